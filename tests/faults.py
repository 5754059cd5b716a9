"""Faults, and the places where the tests have them strike: in workers, as a rule."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CULPRIT = 3
"""The item that the fault belongs to."""


class Fault(Exception):
    """What the fault "raise" raises."""


def _raise() -> None:
    raise Fault("on purpose")


def _exit() -> None:
    sys.exit(9)


def _os_exit() -> None:
    os._exit(7)


def _sigkill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def _sigsegv() -> None:
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


def _sigstop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


FAULTS: dict[str, Callable[[], None]] = {
    "raise": _raise,
    "SystemExit": _exit,
    "os._exit": _os_exit,
    "SIGKILL": _sigkill,
    "SIGSEGV": _sigsegv,
    "SIGSTOP": _sigstop,
}
DEADLY = ("os._exit", "SIGKILL", "SIGSEGV")


def strike(fault: str) -> Any:
    FAULTS[fault]()
    return fault


class AtPickle:
    """Strikes when it is pickled."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __reduce__(self) -> Any:
        strike(self.fault)
        return AtPickle, (self.fault,)


class AtUnpickle:
    """Strikes when it is unpickled."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __reduce__(self) -> Any:
        return strike, (self.fault,)


class Stages:
    """For each stage: what an item is called with, and what is called."""

    @staticmethod
    def argument(stage: str, fault: str, index: int) -> Any:
        """Return what item `index` is called with."""
        if index != CULPRIT:
            return index
        if stage == "argument pickle":
            return AtPickle(fault)
        if stage == "argument unpickle":
            return AtUnpickle(fault)
        return index


def call(stage: str, fault: str, x: Any) -> Any:
    """Return the item, or have the fault strike."""
    if x != CULPRIT:
        return x
    if stage == "call":
        return strike(fault)
    if stage == "result pickle":
        return AtPickle(fault)
    if stage == "result unpickle":
        return AtUnpickle(fault)
    if stage == "between items":
        strike_when(fault, lambda words: words[_POSITION] == 0)
    if stage == "idle":
        strike_when(fault, lambda words: words[_PHASE] == _IDLE)
    return x


_POSITION, _PHASE, _IDLE = 1, 2, 1


def strike_when(fault: str, now: Callable[[Any], bool]) -> None:
    """Have a thread of this worker strike as soon as its board says so."""
    from smartpool._worker.board import Board

    board = next(one for one in gc.get_objects() if type(one) is Board)

    def wait() -> None:
        while not now(board.words):
            pass
        strike(fault)

    threading.Thread(target=wait, daemon=True).start()


def initialize(path: str, fault: str) -> None:
    """Have the fault strike in the first worker that starts; in all, if it is raised.

    Another one that came up could have called everything before the first is heard of.
    """
    try:
        Path(path).touch(exist_ok=fault not in DEADLY and fault != "SIGSTOP")
    except FileExistsError:
        return
    strike(fault)
