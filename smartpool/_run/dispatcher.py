"""One run, sans I/O: which items come next, what is in flight, when it is over.

Every item is in exactly one place: pending (fed, not placed), in flight (in a chunk
that was placed and is not over) or settled (its outcome is known). A chunk settles
its items in order; what it has not settled when it ends was not called, and goes back
to the front of what is pending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .._backends.base import Chunk, Item


class Dispatcher:
    """The items of one run, from being fed to being settled."""

    def __init__(self) -> None:
        self._pending: deque[Item] = deque()
        self._settled_of: dict[int, int] = {}
        self._chunks: dict[int, Chunk] = {}
        self._input_open = True
        self._given_back = 0
        self._stopped = False
        self.settled: int = 0

    @property
    def pending(self) -> int:
        """Items that could be placed."""
        return len(self._pending)

    @property
    def in_flight(self) -> int:
        """Chunks that were placed and are not over."""
        return len(self._chunks)

    @property
    def chunks(self) -> list[Chunk]:
        """Those chunks."""
        return list(self._chunks.values())

    @property
    def input_open(self) -> bool:
        """Whether more items may be fed."""
        return self._input_open

    @property
    def over(self) -> bool:
        """Whether nothing is in flight and nothing can come any more."""
        return not (self._input_open or self._pending or self._chunks)

    def feed(self, items: Iterable[Item]) -> None:
        """Add items at the end; nothing once the run was stopped."""
        if not self._stopped:
            self._pending.extend(items)

    def close_input(self, taken_back: int) -> None:
        """Say that nothing more will be fed.

        Args:
            taken_back: Items that were given back, as far as the feeder knew when it
                said so. If there are more it did not mean those: it will feed them,
                and say so again.
        """
        if taken_back == self._given_back:
            self._input_open = False

    def give_back(self, count: int) -> None:
        """Say that items which were fed go back to the feeder, to be fed again."""
        self._given_back += count
        self._input_open = not self._stopped

    def take(self, count: int, most_bytes: int) -> list[Item]:
        """Take the next items, at least one, for a chunk.

        One whose worker has crashed comes alone.

        Args:
            count: How many, at most.
            most_bytes: Their payloads together stay below this, if one item does.
        """
        items = [self._pending.popleft()]
        size = len(items[0].payload or b"")
        while self._pending and len(items) < count:
            if items[0].crashes or self._pending[0].crashes:
                break
            size += len(self._pending[0].payload or b"")
            if size > most_bytes:
                break
            items.append(self._pending.popleft())
        return items

    def placed(self, chunk: Chunk) -> None:
        """Count the items of `chunk` as in flight."""
        self._chunks[chunk.id] = chunk
        self._settled_of[chunk.id] = 0

    def settle(self, chunk: Chunk, count: int) -> list[Item]:
        """Settle the next `count` items of `chunk` and return them."""
        done = self._settled_of[chunk.id]
        items = chunk.items[done : done + count]
        self._settled_of[chunk.id] = done + len(items)
        self.settled += len(items)
        return items

    def finish(self, chunk: Chunk) -> list[Item]:
        """Take `chunk` out of flight; return its items that were not called."""
        del self._chunks[chunk.id]
        rest = chunk.items[self._settled_of.pop(chunk.id) :]
        return [] if self._stopped else rest

    def put_back(self, items: list[Item]) -> None:
        """Put items that were not called before those that wait."""
        if not self._stopped:
            self._pending.extendleft(reversed(items))

    def withdraw(self) -> list[Item]:
        """Take back all that is pending."""
        items = list(self._pending)
        self._pending.clear()
        return items

    def stop(self) -> None:
        """Drop what is pending and take nothing more: only what is in flight ends."""
        self._stopped = True
        self._input_open = False
        self._pending.clear()
