"""What a loop keeps of a call."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

from ..._errors import ItemTimeoutError
from ..._outcome import Error, Outcome
from ..base import Chunk, Item, Job
from ..crowd import Crowd, Part

_call_ids: Final = count(1)


class Call:
    """An item that a loop has begun with.

    Attributes:
        crowd: What it belongs to.
        part: Its chunk, and its position there.
        job: Whose it is.
        item: What is called.
        outcome: What became of it, once that is known.
        calling: Whether its function has been called, and has not come back.
        since_s: Since when; `None` before.
        expired: Whether it has had its `item_timeout`.
        task: Its task, once the loop has made it.
        id: Unique in this program.
    """

    __slots__ = (
        "calling",
        "crowd",
        "expired",
        "id",
        "item",
        "job",
        "outcome",
        "part",
        "since_s",
        "task",
    )

    def __init__(self, crowd: Crowd, part: Part) -> None:
        self.crowd = crowd
        self.part = part
        placed, position = part
        self.job: Job = crowd.job
        self.item: Item = placed.chunk.items[position]
        self.outcome: Outcome | None = None
        self.calling = False
        self.since_s: float | None = None
        self.expired = False
        self.task: asyncio.Task[None] | None = None
        self.id = next(_call_ids)

    @property
    def chunk(self) -> Chunk:
        """Which chunk it came with."""
        return self.part[0].chunk

    def outcome_at_the_end(self) -> Outcome | None:
        """Return what became of it; `None` if it was not called, or is let go."""
        if not self.expired:
            return self.outcome
        # Whatever it made of being cancelled: it has had its time.
        item_timeout_s = self.job.item_timeout_s
        assert item_timeout_s is not None
        return Error(ItemTimeoutError(self.item.index, item_timeout_s))
