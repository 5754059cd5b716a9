"""The worker's end of its socket: blocking, and without the `socket` module."""

from __future__ import annotations

import _socket
import _thread
import os
import select

from . import wire
from .descriptors import SPACE, Arrived, rights
from .pauses import Pauses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_JOIN_BYTES: Final = 1 << 14
"""Up to here pieces are joined: one copy is cheaper than many pieces. A guess."""


class Link:
    """Sends and receives frames, and descriptors with them.

    The parent always reads, so a send blocks for as long as that takes and no
    longer. The worker reads when it has nothing to do.

    Attributes:
        arrived: Descriptors that came with frames.
        alone: The last chunk was a single call, and the next may come at once.
    """

    def __init__(self, fd: int) -> None:
        """Take over the socket `fd`."""
        self._fd = fd
        self._sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        # Who blocks in a read of such a socket is also woken when the other end has read
        # what was sent: that costs both ends as much as a small call. A poll is not.
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._reader = wire.FrameReader()
        self.arrived = Arrived()
        # Calls and threads of theirs may make log records; each may be interrupted by
        # a finalizer that makes one more.
        self._lock = _thread.RLock()
        self._pauses = Pauses()
        self.alone = False
        self._sending = False
        self._later: list[tuple[list[wire.Buffer], Sequence[int]]] = []
        os.register_at_fork(after_in_child=self.close)

    def send(self, pieces: list[wire.Buffer], fds: Sequence[int] = ()) -> None:
        """Send a frame, and descriptors with its first byte.

        Raises:
            OSError: If the parent has gone.
        """
        with self._lock:
            if self._sending:  # by a log record from a finalizer, in the middle of it
                self._later.append((pieces, fds))
                return
            self._sending = True
            try:
                self._send(pieces, fds)
                while self._later:
                    self._send(*self._later.pop(0))
            finally:
                self._sending = False

    def _send(self, pieces: list[wire.Buffer], fds: Sequence[int]) -> None:
        if sum(map(len, pieces)) <= _JOIN_BYTES:
            whole = b"".join(pieces)
            pieces = [whole if fds else whole[os.write(self._fd, whole) :]]
        rest = [memoryview(piece) for piece in pieces if len(piece)]
        while rest:
            if fds:
                sent = self._sock.sendmsg(rest, rights(fds))
                fds = ()
            else:
                sent = os.writev(self._fd, rest)
            while rest and sent >= len(rest[0]):
                sent -= len(rest.pop(0))
            if sent:
                rest[0] = rest[0][sent:]

    def receive(self) -> list[tuple[int, wire.Buffer]]:
        """Return the next frames, at least one; none if the parent has gone.

        Raises:
            OSError: If descriptors that came along were lost: there is room for no
                more, since user code has opened too many.
        """
        while True:
            self._wait()
            count, came, flags, _ = self._sock.recvmsg_into(
                [self._reader.space()], SPACE, _socket.MSG_CMSG_CLOEXEC
            )
            if came:
                self.arrived.add(came)
            if flags & _socket.MSG_CTRUNC:
                raise OSError("too many open files: arguments were lost")
            if count == 0:
                return []
            frames = self._reader.filled(count)
            if frames:
                return frames

    def _wait(self) -> None:
        """Wait until something has come: awake, for a moment, after a single call."""
        if not self.alone:
            self._poll.poll()
            return
        self.alone = False
        if not self._pauses.over(self._poll):
            self._poll.poll()
        self._pauses.end()

    def close(self) -> None:
        """Let go of the socket: what the user forks must not hold it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._sock.detach()
            os.close(fd)
