"""The plain loop."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any

from . import Fn

VERSION = platform.python_version()


@contextmanager
def open_pool() -> Iterator[Any]:
    """Nothing to open."""
    yield _loop


def _loop(fn: Fn, items: Sequence[Any]) -> list[Any]:
    if iscoroutinefunction(fn):
        return asyncio.run(_awaited(fn, items))
    return [fn(item) for item in items]


async def _awaited(fn: Fn, items: Sequence[Any]) -> list[Any]:
    return [await fn(item) for item in items]
