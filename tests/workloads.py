"""Functions that workers run in tests of the public API. Imports nothing heavy."""

from __future__ import annotations

import contextvars
import functools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

POLL_S = 0.002
DEADLINE_S = 20.0

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="unset")


def on(backend: str | None, fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return `fn` as `backend` takes it: the event loop takes an `async def`."""
    if backend != "event_loop":
        return fn

    async def call(*args: Any) -> Any:
        return fn(*args)

    return call


def same(x: Any) -> Any:
    return x


async def same_async(x: Any) -> Any:
    return x


def add(x: Any, y: Any) -> Any:
    return x + y


def pid(_: Any = None) -> int:
    return os.getpid()


def pid_after_a_while(_: Any = None) -> int:
    time.sleep(0.02)
    return os.getpid()


def thread_name(_: Any = None) -> str:
    return threading.current_thread().name


def append(path: str, word: Any) -> None:
    """Add a line in one write: no two calls' lines are ever mixed."""
    fd = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(fd, f"{word}\n".encode())
    finally:
        os.close(fd)


def lines(path: Any) -> list[str]:
    """Return what was added so far."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def marked(path: str, x: Any) -> Any:
    """Leave a mark for each call."""
    append(path, x)
    return x


def marked_square(path: str, x: int) -> int:
    append(path, x)
    return x * x


def wait_until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait for what only time can show; raise when it takes too long."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it has not come true: {condition}")
        time.sleep(POLL_S)


def until_exists(path: str) -> bool:
    wait_until(lambda: os.path.exists(path))
    return True


def mark_and_wait(began: str, release: str, x: Any) -> Any:
    """Say that the call has begun, and end when the file `release` is there."""
    append(began, x)
    until_exists(release)
    return x


async def mark_and_wait_async(began: str, release: str, x: Any) -> Any:
    import asyncio

    append(began, x)
    end = time.monotonic() + DEADLINE_S
    while not os.path.exists(release):  # noqa: ASYNC240 - it takes microseconds
        if time.monotonic() > end:
            raise TimeoutError(release)
        await asyncio.sleep(POLL_S)
    return x


def meet(folder: str, x: Any, number: int) -> Any:
    """Wait until `number` calls have begun: they have to go on at the same time."""
    append(os.path.join(folder, "here"), x)
    wait_until(lambda: len(lines(os.path.join(folder, "here"))) >= number)
    return x


def spin(seconds: float) -> float:
    """Compute, and hold the GIL where there is one."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def fail_at(where: int, make: Callable[[], BaseException], x: int) -> int:
    if x == where:
        raise make()
    return x


def fail_one_after_the_other(path: str, x: int) -> int:
    append(path, x)
    if x == 3:
        raise ValueError(x)
    time.sleep(0.005)
    return x


def get_var(_: Any = None) -> str:
    return VAR.get()


def swap_var(x: Any) -> str:
    """Return what the variable was, and change it."""
    before = VAR.get()
    VAR.set(f"changed by {x}")
    return before


def generator(x: int) -> Iterator[int]:
    yield x


async def async_generator(x: int) -> AsyncIterator[int]:
    yield x


def with_wraps(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return `fn` behind a decorator that says so."""

    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return ("wrapped", fn(*args))

    return wrapper


def without_wraps(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return `fn` behind a decorator that hides it: all look alike."""

    def wrapper(*args: Any) -> Any:
        return ("hidden", fn(*args))

    return wrapper


@with_wraps
def doubled(x: int) -> int:
    return 2 * x


@with_wraps
def tripled(x: int) -> int:
    return 3 * x


@without_wraps
def doubled_and_hidden(x: int) -> int:
    return 2 * x


@without_wraps
def tripled_and_hidden(x: int) -> int:
    return 3 * x


calls = 0


def count_calls(x: int) -> int:
    """Rebind a global of this module."""
    global calls
    calls += 1
    return x + 1


class Scale:
    """A callable with state, and methods."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x

    def times(self, x: int) -> int:
        return self.factor * x

    @classmethod
    def twice(cls, x: int) -> int:
        return cls(2)(x)

    @staticmethod
    def negative(x: int) -> int:
        return -x


def factorial(n: int) -> int:
    return 1 if n <= 1 else n * factorial(n - 1)


# -- bad objects ----------------------------------------------------------------------


class FrozenError(Exception):
    """Takes no attribute, and no note."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set")

    def add_note(self, note: str, /) -> None:
        raise RuntimeError("no notes")


class TwoArgumentsError(Exception):
    """Cannot be made of its `args`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class NoTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoNotesError(Exception):
    """Has no notes to be read, and takes none."""

    @property
    def __notes__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no notes")


class BadNoteError(Exception):
    """Has a note that cannot be printed."""

    def __init__(self) -> None:
        super().__init__()
        self.__notes__: list[Any] = [NoTextError()]


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Resuming:
    """An iterator that raises once, and would go on if it were asked again."""

    def __init__(self, where: int, count: int) -> None:
        self.where, self.count, self.at = where, count, -1

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.at += 1
        if self.at == self.where:
            raise KeyError("half-way")
        if self.at >= self.count:
            raise StopIteration
        return self.at


class Claims:
    """Has a length that is wrong, or that raises: a progress bar over a generator."""

    def __init__(self, claimed: int | None, items: range) -> None:
        self.claimed, self.items = claimed, items

    def __len__(self) -> int:
        if self.claimed is None:
            raise TypeError("no length is known")
        return self.claimed

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)


class ByIndex:
    """Can be iterated, but only by the oldest protocol."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __getitem__(self, index: int) -> int:
        if index >= self.count:
            raise IndexError(index)
        return index


class InterruptsLoading:
    """A result whose third one stands for a Ctrl-C while it is loaded in the parent."""

    def __init__(self, x: int) -> None:
        self.state = x, os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return InterruptsLoading._load, self.state

    @staticmethod
    def _load(x: int, process: int) -> int:
        if x == 2 and process != os.getpid():
            raise KeyboardInterrupt
        return x


class Holder:
    """Equal to its like, and with a lock in it: it cannot be pickled."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holder) and self.number == other.number

    def __hash__(self) -> int:
        return self.number


def work_a_little(number: int) -> int:
    """Compute; less for the first one, so that a busy machine makes no long item of it."""
    spin(0.001 if number else 0.0001)
    return number


def make_holder(number: int) -> Holder:
    """Return what cannot be pickled."""
    return Holder(work_a_little(number))


def find_holder(number: int) -> Holder | None:
    """Return nothing at first, as a search may."""
    return Holder(work_a_little(number)) if number else None


def number_of(item: Holder | int) -> int:
    """Take what cannot be pickled, or a number."""
    return work_a_little(item.number if isinstance(item, Holder) else item)
