"""What crashes, and where: called and pickled in workers by `test_loky_scenarios`."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any


def exits(*_: Any) -> Any:
    """End the process, as C code might."""
    os._exit(9)


def quits(*_: Any) -> Any:
    raise SystemExit(1)


def raises(*_: Any) -> Any:
    raise RuntimeError("on purpose")


def segfaults(*_: Any) -> Any:
    faulthandler.disable()  # its report is of no interest
    ctypes.string_at(0)


def same(x: Any) -> Any:
    return x


def length(x: Any) -> int:
    return len(x)


class AtPickling:
    """Does something when it is pickled: as an argument here, as a result there."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    def __reduce__(self) -> Any:
        return self.act()


class AtUnpickling:
    """Does something when it is loaded: as an argument there, as a result here."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    def __reduce__(self) -> Any:
        return self.act, (None,)


class AtCollection:
    """Does something when it is collected in another process than it was made in."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self.act, self.pid = act, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.pid:
            self.act()


def makes(kind: Callable[[Any], Any], act: Callable[..., Any]) -> Any:
    """Return an object of that kind."""
    return kind(act)


def raises_one(kind: Callable[[Any], Any], act: Callable[..., Any]) -> Any:
    """Raise an error with an object of that kind in it."""
    raise ValueError(kind(act))


def kill_another(pids: list[int], seconds: float) -> None:
    """Kill one of some processes, a little later: it may be this one."""
    time.sleep(seconds)
    try:
        os.kill(pids[os.getpid() % len(pids)], signal.SIGKILL)
    except ProcessLookupError:
        pass


def factorial(n: int) -> int:
    return n * factorial(n - 1) if n else 1


def reads_input(_: Any = None) -> str:
    return sys.stdin.read()


def faulthandler_works(_: Any = None) -> bool:
    faulthandler.enable()
    return faulthandler.is_enabled()


def multiplies(size: int) -> float:
    import numpy as np

    ones = np.ones((size, size))
    return float((ones @ ones)[0, 0])


class SlowToPickle:
    """Takes longer to pickle than an idle worker stays."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self) -> Any:
        time.sleep(self.seconds)
        return str, ("slow",)
