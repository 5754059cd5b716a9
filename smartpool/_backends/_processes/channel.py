"""The parent's end of a worker's socket: it never blocks."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from ..._lock import fork_guard
from ..._worker import wire
from ..._worker.descriptors import SPACE, Arrived, rights
from ..._worker.memory import MemoryFile
from ..base import Host, Watch

_JOIN_BYTES: Final = 1 << 16
"""Up to here pieces are joined: one copy is cheaper than many pieces. A guess."""

_PIECES: Final = 256
"""Pieces given to one call of `sendmsg`, which takes 1024 at most on Linux."""

_LATER: Final = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)
"""The system can take no more for the moment: descriptors on their way, memory."""

_AGAIN_S: Final = 0.01
"""So long after that it is tried again. A guess."""

_CLOEXEC: Final[int] = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_LOOKED_BYTES: Final = 4096
"""What fits in here is read by who waits for it: a guess. To copy it twice costs less
than to wake a thread."""

_READS: Final = 16
"""Reads in a row before others get their turn. A guess: about 1 MB."""


class Channel:
    """Sends and receives frames, on the engine's thread alone.

    What the socket does not take at once is kept and goes out as it can be written;
    what comes is always read. So two ends that both send much cannot block each other.

    Attributes:
        sent_bytes: All that was given to `send`.
    """

    def __init__(
        self,
        host: Host,
        sock: socket.socket,
        on_frame: Callable[[int, wire.Buffer], None],
        on_end: Callable[[], None],
    ) -> None:
        """Take over `sock`. `on_end` is called once, when no more can come."""
        sock.setblocking(False)
        self._host = host
        self._sock = sock
        self._on_frame = on_frame
        self._on_end = on_end
        self._reader = wire.FrameReader()
        self._waiting: deque[tuple[memoryview, Sequence[MemoryFile]]] = deque()
        self._arrived = Arrived()
        self._readable: Watch | None = None
        self._writable: Watch | None = None
        self._closed = False
        self._ended = False
        self.sent_bytes = 0

    def listen(self) -> None:
        """Begin to take in what comes."""
        self._readable = self._host.watch(self._sock.fileno(), self._read)

    def send(self, pieces: list[wire.Buffer], files: Sequence[MemoryFile] = ()) -> None:
        """Send a frame, now or soon. Nothing is said if nobody is there any more.

        Args:
            pieces: The frame.
            files: Memory files whose descriptors go along; kept until they have.
        """
        size = sum(map(len, pieces))
        self.sent_bytes += size
        if size <= _JOIN_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            if len(piece):
                self._waiting.append((memoryview(piece), files))
                files = ()
        if self._writable is None:
            self._write()

    def end(self) -> None:
        """Say that no more will be sent. What comes is still taken in."""
        with suppress(OSError):  # it has gone already
            self._sock.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Take in all that has come; for the end of a worker."""
        while not (self._closed or self._ended) and self._receive():
            pass

    def take(self, count: int) -> list[int]:
        """Return the oldest `count` descriptors that came; they are the caller's."""
        return self._arrived.take(count)

    def close(self) -> None:
        """Close the socket and forget what was not sent."""
        self._arrived.close()
        self._stop_watching()
        self._closed = True
        self._waiting.clear()
        self._sock.close()

    def abandon(self) -> None:
        """Close the descriptor only: this is a child, and the engine is not here."""
        self._closed = True
        self._arrived.close()
        self._sock.close()

    def _write(self) -> None:
        try:
            while self._waiting:
                self._written(self._sock.sendmsg(*self._next_pieces()))
        except BlockingIOError:
            if self._writable is None:
                self._writable = self._host.watch_writable(
                    self._sock.fileno(), self._write
                )
            return
        except OSError as exc:
            if exc.errno in _LATER and not self._closed:
                self._host.call_later(_AGAIN_S, self._write)
                return
            self._waiting.clear()  # the worker has gone: noticed where it is read
        if self._writable is not None:
            self._writable.cancel()
            self._writable = None

    def _next_pieces(self) -> tuple[list[memoryview], list[tuple[int, int, bytes]]]:
        """Return what can go out in one call: up to the next with descriptors."""
        first, files = self._waiting[0]
        pieces = [first]
        for piece, others in islice(self._waiting, 1, _PIECES):
            if others:
                break
            pieces.append(piece)
        return pieces, rights([file.fd for file in files]) if files else []

    def _written(self, count: int) -> None:
        piece, _ = self._waiting[0]
        self._waiting[0] = piece, ()  # its descriptors are there with the first byte
        while self._waiting and count >= len(self._waiting[0][0]):
            count -= len(self._waiting.popleft()[0])
        if count:
            piece, files = self._waiting[0]
            self._waiting[0] = piece[count:], files

    def _read(self) -> None:
        for _ in range(_READS):
            if self._closed or not self._receive():
                return

    @property
    def quiet(self) -> bool:
        """Whether all that was given to `send` has gone out."""
        return not (self._waiting or self._closed)

    def send_now(self, frame: bytes) -> int:
        """Send a small frame on a caller's thread; return how much of it went out.

        Only for a quiet channel to a worker that is that thread's for the moment.

        Raises:
            OSError: If the worker has gone.
        """
        self.sent_bytes += len(frame)
        return self._sock.send(frame)

    @property
    def fd(self) -> int:
        """The socket's descriptor; negative once it is closed."""
        return self._sock.fileno()

    def look(self) -> bytes:
        """Return what has come if a frame begins with it, and leave it in the socket."""
        if self._closed or self._ended or self._reader.amid:
            return b""
        try:
            return self._sock.recv(_LOOKED_BYTES, socket.MSG_PEEK)
        except OSError:  # nothing is there, or nobody: seen where it is read
            return b""

    def skip(self, count: int) -> None:
        """Take so many bytes that `look` has returned."""
        self._sock.recv(count)

    def _receive(self) -> bool:
        """Read once; return whether there may be more."""
        space = self._reader.space()
        try:
            with fork_guard:
                count, came, flags, _ = self._sock.recvmsg_into(
                    [space], SPACE, _CLOEXEC
                )
                self._arrived.add(came)
            if flags & socket.MSG_CTRUNC:  # no room for a descriptor: results are lost
                count = 0
        except BlockingIOError:
            return False
        except OSError:  # reset: it had not read all that we sent
            count = 0
        if count == 0:
            self._ended = True
            self._stop_watching()
            self._on_end()
            return False
        for kind, body in self._reader.filled(count):
            if self._closed:
                return False
            self._on_frame(kind, body)
        return count == len(space)  # else all that there was has been read

    def _stop_watching(self) -> None:
        for watch in (self._readable, self._writable):
            if watch is not None:
                watch.cancel()
        self._readable = self._writable = None
