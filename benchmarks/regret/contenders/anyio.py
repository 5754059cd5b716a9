"""`anyio.to_process`: a task a call, as many at once as there are CPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from anyio import create_task_group, to_process
from anyio.from_thread import start_blocking_portal

from . import Fn

VERSION = version("anyio")


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it, with the event loop kept, and so its workers."""
    with start_blocking_portal() as portal:
        yield lambda fn, items: portal.call(_map, fn, items)


async def _map(fn: Fn, items: Sequence[Any]) -> list[Any]:
    results: list[Any] = [None] * len(items)

    async def call(index: int, item: Any) -> None:
        results[index] = await to_process.run_sync(fn, item)

    async with create_task_group() as group:
        for index, item in enumerate(items):
            group.start_soon(call, index, item)
    return results
