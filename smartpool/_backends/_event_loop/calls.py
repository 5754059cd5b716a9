"""What a loop keeps of a chunk, and how an item's coroutine becomes an outcome."""

from __future__ import annotations

import asyncio
from typing import Any

from ..._errors import ItemTimeoutError
from ..._outcome import Error, Outcome, Value, called
from ..base import Arguments, Chunk


class Call:
    """A chunk that was placed on a loop.

    Attributes:
        outcomes: What became of its items so far.
        calling: Whether one of them is being called.
        called: Position of that one, or of the last one, and since when; `None` before.
        expired: Position of the one that has had its `item_timeout`: the last one.
        began_s: When its task began; `None` before.
        task: That task, once the loop has made it.
    """

    __slots__ = (
        "began_s",
        "called",
        "calling",
        "chunk",
        "expired",
        "outcomes",
        "task",
    )

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.outcomes: list[Outcome] = []
        self.calling = False
        self.called: tuple[int, float] | None = None
        self.expired: int | None = None
        self.began_s: float | None = None
        self.task: asyncio.Task[None] | None = None

    def overdue(self) -> Error:
        """Return what becomes of the item that has had its time."""
        item_timeout_s = self.chunk.job.item_timeout_s
        assert self.expired is not None
        assert item_timeout_s is not None
        index = self.chunk.items[self.expired].index
        return Error(ItemTimeoutError(index, item_timeout_s))

    def outcomes_at_the_end(self) -> list[Outcome]:
        """Return a copy of all outcomes: the loop may go on with the call."""
        outcomes = list(self.outcomes)
        if self.expired is not None and len(outcomes) == self.expired:
            outcomes.append(self.overdue())
        return outcomes


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
