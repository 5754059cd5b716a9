"""Callables of every sort, to look at."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

AnyCallable = Callable[..., Any]


def plain(x: int = 0) -> int:
    return x


async def coro(x: int = 0) -> int:
    return x


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


def with_wraps(fn: AnyCallable) -> AnyCallable:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def without_wraps(fn: AnyCallable) -> AnyCallable:
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def counting(fn: AnyCallable) -> AnyCallable:
    calls = 0

    def wrapper(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return fn(*args)

    return wrapper


class Service:
    async def fetch(self, x: int) -> int:
        return x

    def work(self, x: int) -> int:
        return x

    @staticmethod
    async def outside() -> None: ...

    @classmethod
    async def inside(cls) -> None: ...

    fetch_one = functools.partialmethod(fetch, 1)
    work_one = functools.partialmethod(work, 1)


class Awaited:
    async def __call__(self) -> None: ...


class Called:
    def __call__(self) -> None: ...


class Quiet:
    """Has no attribute that it is asked for, and no name."""

    __slots__ = ()
    __call__: ClassVar[Any] = len


class Endless:
    """Claims to wrap another one, and so on."""

    def __call__(self) -> None: ...

    @property
    def __wrapped__(self) -> "Endless":
        return Endless()
