"""The worker's end of its socket: blocking, and without the `socket` module."""

from __future__ import annotations

import os

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_JOIN_BYTES: Final = 1 << 14
"""Up to here pieces are joined: one copy is cheaper than many pieces. A guess."""


class Link:
    """Sends and receives frames.

    The parent always reads, so a send blocks for as long as that takes and no
    longer. The worker reads when it has nothing to do.
    """

    def __init__(self, fd: int) -> None:
        """Take over the socket `fd`."""
        self._fd = fd
        self._reader = wire.FrameReader()
        os.register_at_fork(after_in_child=self.close)

    def send(self, pieces: list[wire.Buffer]) -> None:
        """Send a frame.

        Raises:
            OSError: If the parent has gone.
        """
        if sum(map(len, pieces)) <= _JOIN_BYTES:
            pieces = [b"".join(pieces)]
        rest = [memoryview(piece) for piece in pieces if len(piece)]
        while rest:
            sent = os.writev(self._fd, rest)
            while rest and sent >= len(rest[0]):
                sent -= len(rest.pop(0))
            if sent:
                rest[0] = rest[0][sent:]

    def receive(self) -> list[tuple[int, wire.Buffer]]:
        """Return the next frames, at least one; none if the parent has gone."""
        while True:
            count = os.readv(self._fd, [self._reader.space()])
            if count == 0:
                return []
            frames = self._reader.filled(count)
            if frames:
                return frames

    def close(self) -> None:
        """Let go of the socket: what the user forks must not hold it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
