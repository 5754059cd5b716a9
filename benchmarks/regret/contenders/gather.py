"""`asyncio.gather`."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import Fn

VERSION = platform.python_version()


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    with asyncio.Runner() as runner:
        yield lambda fn, items: runner.run(all_of(fn, items))


async def all_of(fn: Fn, items: Sequence[Any]) -> list[Any]:
    """Await all calls side by side."""
    return await asyncio.gather(*(fn(item) for item in items))
