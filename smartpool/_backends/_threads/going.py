"""A chunk that a thread is at: how far it has come, and since when."""

from __future__ import annotations

import threading
import time

from ..._outcome import Outcome
from ..base import Chunk


class Going:
    """A chunk that is being called, and what became of its items since the last report.

    Its thread alone adds to that, and adds to nothing that anybody reads once the
    chunk is out of the backend's `_running`.

    Attributes:
        lock: Keeps its reports in the order of its items.
        unreported: What became of the items after those that were reported.
        reported: How many those are.
        began_s: When its thread began with it, by `time.perf_counter`.
        calling: Position of the item that is called, or was called last, and since
            when; `None` before the first, and where nobody asks.
    """

    __slots__ = ("began_s", "calling", "chunk", "lock", "reported", "unreported")

    def __init__(self, chunk: Chunk) -> None:
        """Begin with no item called."""
        self.chunk = chunk
        self.lock = threading.RLock()  # a report may lead to `kill` on the same thread
        self.unreported: list[Outcome] = []
        self.reported = 0
        self.began_s = time.perf_counter()
        self.calling: tuple[int, float] | None = None

    @property
    def position(self) -> int:
        """Position of the first item whose outcome is not known. Under the lock."""
        return self.reported + len(self.unreported)

    @property
    def item(self) -> int | None:
        """The index of that item; `None` if all outcomes are known."""
        items, position = self.chunk.items, self.position
        return items[position].index if position < len(items) else None

    def left_s(self, limit_s: float, position: int) -> float:
        """Return how long the item at `position` may still be called.

        That is `limit_s` if it is not being called: others take no longer, either.
        """
        if self.calling is None or self.calling[0] != position:
            return limit_s
        return limit_s - (time.perf_counter() - self.calling[1])
