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


def _map(fn: Fn, items: Sequence[Any]) -> list[Any]:
    return all_of(unsync(fn), items)


def all_of(call: Fn, items: Sequence[Any]) -> list[Any]:
    """Begin all calls, and wait for them."""
    return [one.result() for one in [call(item) for item in items]]
