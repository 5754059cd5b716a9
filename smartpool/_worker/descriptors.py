"""Descriptors that come over a socket with the frames that they belong to.

They arrive with, or before, the first byte of what they were sent with, in order. A
frame says how many are its own, and whoever takes it in takes those.
"""

from __future__ import annotations

import _socket
import os
import sys
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

MOST: Final = 128
"""Descriptors sent with one frame, at most; Linux takes 253."""

SPACE: Final = 2048
"""Bytes for descriptors at one read: more than 253 of them need."""


class Arrived:
    """Descriptors that have come and were not taken yet, oldest first."""

    def __init__(self) -> None:
        """Begin with none."""
        self._fds: deque[int] = deque()

    def add(self, messages: Iterable[tuple[int, int, bytes]]) -> None:
        """Take in ancillary data, as `recvmsg` returns it."""
        for _level, _kind, data in messages:
            whole = len(data) - len(data) % 4
            self._fds.extend(memoryview(data)[:whole].cast("i"))

    def take(self, count: int) -> list[int]:
        """Return the oldest `count`; they are the caller's to close."""
        return [self._fds.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close those that nobody has taken."""
        close(self._fds)
        self._fds.clear()


def rights(fds: Iterable[int]) -> list[tuple[int, int, bytes]]:
    """Return descriptors as `sendmsg` takes them."""
    data = b"".join([fd.to_bytes(4, sys.byteorder) for fd in fds])
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)]


def close(fds: Iterable[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
