"""`asyncio.gather` on uvloop's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from .gather import all_of

VERSION = uvloop.__version__


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda fn, items: runner.run(all_of(fn, items))
