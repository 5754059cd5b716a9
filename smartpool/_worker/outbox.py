"""Outcomes on their way out: into shared memory at once, to the parent in batches.

The order of the steps is what the guarantee in `board` stands on: a record is whole
in the outbox before `OUTBOX_BYTES` covers it, and it is taken back only after it went
into the socket. Seen twice is possible, lost is not.
"""

from __future__ import annotations

from . import board as words
from . import wire
from .memory import Packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .board import Board
    from .link import Link

FLUSH_AFTER_NS: Final = 20_000_000
"""How long outcomes lie in the outbox while more are made. A guess: below what a
person sees, and 50 frames a second cost nothing."""


class Outbox:
    """Collects outcomes of one chunk after the other."""

    def __init__(self, board: Board, link: Link) -> None:
        """Begin with nothing in it."""
        self._words = board.words
        self._memory = board.outbox
        self._link = link
        self._used = 0
        self._flushed_ns = 0

    def begin(self, now_ns: int) -> None:
        """Begin a chunk; nothing of the last one is left in here."""
        self._flushed_ns = now_ns

    def put(self, position: int, tag: int, data: bytes | Packed) -> None:
        """Make the outcome of an item safe; what is too large is sent right now."""
        if isinstance(data, Packed):
            self._put_apart(position, tag, data)
            return
        start = self._used + wire.RECORD.size
        end = start + len(data)
        if end > words.OUTBOX_SIZE:
            self._put_when_full(position, tag, data)
            return
        wire.RECORD.pack_into(self._memory, self._used, position, tag, len(data))
        self._memory[start:end] = data
        self._used = self._words[words.OUTBOX_BYTES] = end

    def _put_when_full(self, position: int, tag: int, data: bytes) -> None:
        if self._used:
            self.flush()
            self.put(position, tag, data)
            return
        head = wire.RECORD.pack(position, tag, len(data))
        self._link.send(wire.pack_outcomes(self._words[words.TURN], [head, data], None))

    def _put_apart(self, position: int, tag: int, packed: Packed) -> None:
        """Send an outcome whose buffers are in a memory file, after those before it."""
        if self._used:
            self.flush()
        data = packed.data
        record = [wire.RECORD.pack(position, tag, len(data)), data]
        turn = self._words[words.TURN]
        frame = wire.pack_outcomes(turn, record, None, files=1)
        self._link.send(frame, [packed.file.fd])
        packed.file.close()

    def flush_if_due(self, now_ns: int) -> None:
        """Send what is here if it has been here for long."""
        if now_ns - self._flushed_ns >= FLUSH_AFTER_NS:
            self._flushed_ns = now_ns
            self.flush()

    def flush_one(self, wall_s: float, cpu_s: float, tag: int, data: bytes) -> None:
        """Send the outcome that is here, the only one, and that its chunk is over."""
        turn = self._words[words.TURN]
        self._link.send([wire.pack_answer(turn, wall_s, cpu_s, tag, data)])
        self._used = self._words[words.OUTBOX_BYTES] = 0

    def flush(self, finish: wire.Finish | None = None) -> None:
        """Send what is here, and that the chunk is over if `finish` says so."""
        records = self._memory[: self._used]
        self._link.send(wire.pack_outcomes(self._words[words.TURN], [records], finish))
        self._used = self._words[words.OUTBOX_BYTES] = 0
