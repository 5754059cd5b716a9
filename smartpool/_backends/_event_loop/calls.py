"""What a loop keeps of a chunk, and how an item's coroutine becomes an outcome."""

from __future__ import annotations

import asyncio
from typing import Any

from ..._outcome import Error, Outcome, Value, called
from ..base import Arguments, Chunk


class Call:
    """A chunk that was placed on a loop.

    Attributes:
        outcomes: What became of its items so far.
        calling: Whether one of them is being called.
        began_s: When its task began; `None` before.
        task: That task, once the loop has made it.
    """

    __slots__ = ("began_s", "calling", "chunk", "outcomes", "task")

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.outcomes: list[Outcome] = []
        self.calling = False
        self.began_s: float | None = None
        self.task: asyncio.Task[None] | None = None


async def capture_awaited(fn: Any, args: Arguments) -> Outcome:  # noqa: ANN401
    """Await `fn(*args)` once and return what became of it, `SystemExit` too."""
    try:
        return Value(await called(fn, args))
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # we are being ended; else it is the item's own doing
        return Error(exc)
    except BaseException as exc:  # noqa: BLE001 - the item's, whatever it is
        return Error(exc)
