"""`unsync`: each call on its threads, or, of an `async def`, on its event loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from unsync import unsync

from . import Fn

VERSION = version("unsync")


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    yield _map


@contextmanager
def open_cpu_bound() -> Iterator[Any]:
    """The same for what computes: on its worker processes."""
    yield lambda fn, items: _map(fn, items, cpu_bound=True)


def _map(fn: Fn, items: Sequence[Any], *, cpu_bound: bool = False) -> list[Any]:
    call = unsync(cpu_bound=True)(fn) if cpu_bound else unsync(fn)
    return [one.result() for one in [call(item) for item in items]]
