"""What the tests of single calls have called in workers: light to import there."""

from __future__ import annotations

import os
import time
from typing import Any

from tests.workloads import append, lines, wait_until


def same(x: Any) -> Any:
    return x


def add(x: int, y: int) -> int:
    return x + y


def keywords(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def a_millisecond(x: int) -> int:
    until = time.perf_counter() + 0.001
    while time.perf_counter() < until:
        pass
    return x


def look_up(table: dict[str, int], key: str) -> int:
    return table[key]


def exit_at_3(x: int) -> int:
    if x == 3:
        os._exit(7)
    return x


def mark(path: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("called\n")


class Falsey(Exception):
    def __bool__(self) -> bool:
        return False


def fail(error: type[BaseException]) -> None:
    raise error("on purpose")


class Weak:
    """Something that can be referred to weakly, and travels."""


def pid_of(_: Any) -> int:
    return os.getpid()


class State:
    """What an initializer sets."""

    value = ""


def set_state(value: str) -> None:
    State.value = value


def get_state(_: Any = None) -> str:
    return State.value


def pid_and_state(_: Any) -> tuple[int, str]:
    return os.getpid(), State.value


def begin_together(path: str, count: int) -> None:
    """Say that this process is there, and wait until so many are."""
    append(path, os.getpid())
    wait_until(lambda: len(lines(path)) >= count)


def meet(path: str, count: int) -> int:
    """Wait until so many processes are at it at once; return this one's number."""
    begin_together(path + ".met", count)
    return os.getpid()
