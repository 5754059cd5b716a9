"""The memory that a worker and its parent share: where it is, and what it has done.

::

    words    TURN  POSITION  PHASE  STARTED_NS  OUTBOX_BYTES        worker writes
             STOP                                                   parent writes
    outbox   records of outcomes that have not been sent yet        worker writes

The guarantee: while an item is called, `POSITION` names it; its outcome has left by
the socket, or lies in the outbox, before `POSITION` moves on. So when the worker dies,
whoever reads the socket to its end and then the outbox knows the outcome of each item
that was called, but for one at most: the one that `POSITION` names, unless its outcome
is known too (the worker died between the two).

Each word is 8 aligned bytes and has one writer. What the parent reads of a living
worker may be old; what it reads of a dead one is final.
"""

from __future__ import annotations

import mmap
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TURN: Final = 0
"""Which chunk it is at, counted from 1 for each worker."""
POSITION: Final = 1
"""Position in the chunk of the item being called, plus 1; 0 between items."""
PHASE: Final = 2
STARTED_NS: Final = 3
"""`time.monotonic_ns()` when the item began; written before `POSITION`."""
OUTBOX_BYTES: Final = 4
STOP: Final = 5
"""The turn that is to call no further item."""

STARTING: Final = 0  # phases
IDLE: Final = 1
LOADING: Final = 2
CALLING: Final = 3

_WORDS: Final = 8
OUTBOX_SIZE: Final = 256 * 1024
"""A guess: a few thousand small outcomes, and little memory for each worker."""
SIZE: Final = 8 * _WORDS + OUTBOX_SIZE


def _map(fd: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, SIZE, trackfd=False)  # else it keeps a duplicate of `fd`
    return mmap.mmap(fd, SIZE)


class Board:
    """One mapping of it; the descriptor may be closed afterwards.

    Attributes:
        words: To be indexed with the constants of this module.
        outbox: The bytes after the words.
    """

    def __init__(self, fd: int) -> None:
        """Map `SIZE` bytes of the memory file `fd`."""
        self._map = _map(fd)
        whole = memoryview(self._map)
        self.words = whole[: 8 * _WORDS].cast("Q")
        self.outbox = whole[8 * _WORDS :]
        whole.release()

    def unsent(self) -> memoryview:
        """Return the records in the outbox."""
        return self.outbox[: self.words[OUTBOX_BYTES]]

    def close(self) -> None:
        """Unmap it, as soon as nobody holds a part of the outbox any more."""
        self.words.release()
        self.outbox.release()
        try:
            self._map.close()
        except BufferError:  # a view is still alive: unmapped when it goes
            pass
