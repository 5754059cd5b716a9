"""What a caller's thread reads itself: the answer to a chunk of one item."""

from __future__ import annotations

from typing import Final

from ..._outcome import Outcome
from ..._worker import wire
from ..base import Host
from .payloads import Encoded
from .placing import Placing
from .worker import Placed, Worker

LOST_S: Final = 1.0
"""After so long a worker that nobody has is lost. A guess: to be sent something takes
a thread that took it from the idle ones some microseconds."""


class Answer:
    """Where the outcome of a chunk comes that a caller's thread has placed.

    Args:
        host: The engine.
        placing: Whose workers they are.
        worker: Who calls the chunk.
        placed: The chunk.
        spare_cpus: Whether who waits, at either end, has a CPU to stay awake on.
    """

    __slots__ = (
        "_host",
        "_placed",
        "_placing",
        "_size",
        "_turn",
        "_worker",
        "fd",
        "spare_cpus",
    )

    def __init__(
        self,
        host: Host,
        placing: Placing,
        worker: Worker,
        placed: Placed,
        *,
        spare_cpus: bool,
    ) -> None:
        """Begin before anything has come."""
        self._host = host
        self._placing = placing
        self._worker = worker
        self._placed = placed
        self._turn = worker.turn + 1  # that of the chunk, which has not been sent
        self._size = 0
        self.fd = worker.fd
        self.spare_cpus = spare_cpus

    def look(self) -> tuple[Outcome, tuple[float, float]] | None:
        """Return what came of the chunk if just that can be read; take nothing.

        And the seconds of wall time and of CPU that it took.
        """
        worker, placed = self._worker, self._placed
        if worker.placed is not placed or len(placed.chunk.items) != 1:
            return None
        data = worker.look()
        found = wire.unpack_answer(data)
        if found is None:
            return None
        turn, tag, wall_s, cpu_s, outcome = found
        if turn != worker.turn or placed.done:
            return None
        self._size = len(data)
        return Encoded(tag, outcome), (wall_s, cpu_s)

    def take(self) -> None:
        """Take what `look` has seen, and let the worker wait for work."""
        self._worker.skip(self._size)
        self._placed.done = 1
        self._placed.function.deaths = 0
        self._worker.release()
        self._worker.called(1)
        self._placing.rest(self._worker)

    def spoil(self) -> None:
        """End a worker that may have been read from, or not; it calls nothing."""
        worker = self._worker
        if worker.placed is self._placed:
            worker.release()
            worker.kill()
        elif worker.turn == self._turn:
            self._host.call_later(
                LOST_S, lambda: self._placing.reclaim(worker, self._turn)
            )
