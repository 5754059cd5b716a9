"""Large buffers travel in anonymous memory files, and not through the socket.

A pickle of protocol 5 leaves the contents of arrays and their like out. Those of one
message go into one file that has no name (`memfd_create`): filled by `write`, its
descriptor sent over the socket, mapped by who receives it. The mapping is private:
who gets an array may write to it, and nobody else sees that. Nothing is left behind
after `kill -9`, since the memory goes with the last descriptor and mapping.

A message whose pickle has its buffers apart says so by its first byte::

    0x80 ...                       a pickle as it is
    APART, size, table, pickle     the table has offset, size and whether it is
                                   read-only of each buffer, in the order of the pickle
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys

from .._lock import fork_guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    Table = list[tuple[int, int, bool]]

FROM_BYTES: Final = 1 << 18
"""Buffers from this size on travel so (benchmarks/data.py): below it, the system calls
and page faults of a file cost more than copying."""

APART: Final = 0
_ALIGN: Final = 64
"""Offsets are multiples of it: a cache line, as numerical libraries like it."""


def available() -> bool:
    """Return whether there are memory files here, and descriptors for one more."""
    return hasattr(os, "memfd_create") and len(_open) < room.most()


class Room:
    """How many there may be.

    Attributes:
        most: Returns how many memory files may be held by a descriptor. In a worker
            there is one at a time.
    """

    def __init__(self) -> None:
        """Begin with what a worker needs."""
        self.most: Callable[[], int] = lambda: 64


room: Final = Room()


class Packed:
    """A message whose buffers are apart.

    Attributes:
        data: What goes through the socket.
        file: Where the buffers are.
    """

    __slots__ = ("data", "file")

    def __init__(self, data: bytes, file: MemoryFile) -> None:
        """Keep both."""
        self.data: bytes = data
        self.file: MemoryFile = file

    def __len__(self) -> int:
        """Return how many bytes travel."""
        return len(self.data) + self.file.size


class MemoryFile:
    """A descriptor of memory without a name, closed with the last reference.

    Args:
        fd: The descriptor.
        size: Bytes in it.
    """

    __slots__ = ("__weakref__", "fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        """Take over the descriptor."""
        self.fd: int = fd
        self.size: int = size
        _open[fd] = id(self)

    def close(self) -> None:
        """Close it; nothing if that has been done."""
        fd, self.fd = self.fd, -1
        if _open.get(fd) == id(self):  # else a fork has come, and it is another file's
            del _open[fd]
            os.close(fd)

    def __del__(self) -> None:
        """Close it."""
        self.close()


_open: dict[int, int] = {}
"""Descriptors, and by number the files whose they are."""


def close_all_in_child() -> None:
    """After a fork: close what belongs to the parent."""
    while _open:
        try:
            os.close(_open.popitem()[0])
        except (KeyError, OSError):
            pass


def pack(data: bytes, buffers: Sequence[Any]) -> Packed:
    """Put `buffers`, which the pickle `data` lacks, into a memory file.

    Raises:
        OSError: If there is no memory, or no descriptor, for it.
    """
    table: Table = []
    end = 0
    for buffer in buffers:
        start = -(-end // _ALIGN) * _ALIGN
        end = start + buffer.nbytes
        table.append((start, buffer.nbytes, buffer.readonly))
    with fork_guard:
        file = MemoryFile(os.memfd_create("smartpool", os.MFD_CLOEXEC), end)
    for (start, _, _), buffer in zip(table, buffers, strict=True):
        _write(file.fd, buffer, start)
    head = marshal.dumps(table)
    return Packed(
        b"".join((bytes((APART,)), len(head).to_bytes(8, "little"), head, data)), file
    )


def unpack(message: memoryview | bytes) -> tuple[Table, memoryview]:
    """Return the table and the pickle of a message whose buffers are apart."""
    view = memoryview(message)
    end = 9 + int.from_bytes(view[1:9], "little")
    table: Table = marshal.loads(view[9:end])
    return table, view[end:]


def is_apart(message: memoryview | bytes) -> bool:
    """Return whether the buffers of a message are apart."""
    return message[0] == APART


class Mapping(mmap.mmap):
    """A private mapping of a memory file, counted while it lives."""

    live = 0
    """How many there are."""

    def __del__(self) -> None:
        """Count it no more."""
        Mapping.live -= 1


MAPPINGS_MOST: Final = 16_000
"""Mappings at once, where they need no descriptor: a quarter of what Linux allows a
process (`vm.max_map_count`)."""


def mapped(fd: int, table: Table, most: int) -> list[memoryview]:
    """Return the buffers in a memory file, to be written by whoever has them.

    Copied into ordinary memory where there are `most` mappings already.

    Args:
        fd: The memory file; may be closed afterwards.
        table: Where the buffers are.
        most: Mappings at once, at most.
    """
    size = table[-1][0] + table[-1][1]
    whole = memoryview(_map(fd, size) if Mapping.live < most else _copy(fd, size))
    views = [whole[start : start + length] for start, length, _ in table]
    return [
        view.toreadonly() if readonly else view
        for view, (_, _, readonly) in zip(views, table, strict=True)
    ]


def _map(fd: int, size: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        mapping = Mapping(fd, size, access=mmap.ACCESS_COPY, trackfd=False)
    else:
        mapping = Mapping(fd, size, access=mmap.ACCESS_COPY)
    Mapping.live += 1
    return mapping


def _copy(fd: int, size: int) -> bytearray:
    content = bytearray(size)
    view, at = memoryview(content), 0
    while at < size:
        count = os.preadv(fd, [view[at:]], at)
        if not count:
            raise EOFError("a memory file is shorter than was said")
        at += count
    return content


def _write(fd: int, buffer: Any, at: int) -> None:  # noqa: ANN401
    """Write all of a buffer: one call takes 2 GB at most."""
    view = memoryview(buffer)
    while view.nbytes:
        count = os.pwrite(fd, view, at)
        at += count
        view = view[count:]


class Parcel:
    """A message whose buffers are apart, where it has come to.

    Args:
        message: What came through the socket.
        fd: Where the buffers are; it is the parcel's to close.
    """

    __slots__ = ("_fd", "_pickle", "_table")

    def __init__(self, message: memoryview | bytes, fd: int) -> None:
        """Take over the descriptor."""
        self._fd = fd
        self._table, self._pickle = unpack(message)

    def __len__(self) -> int:
        """Return how many bytes have travelled."""
        return len(self._pickle) + sum(size for _, size, _ in self._table)

    def open(self, most: int = MAPPINGS_MOST) -> tuple[memoryview, list[memoryview]]:
        """Return the pickle and its buffers; once.

        Args:
            most: As in `mapped`.

        Raises:
            OSError: If there is no memory for them.
        """
        try:
            return self._pickle, mapped(self._fd, self._table, most)
        finally:
            self.close()

    def close(self) -> None:
        """Close the descriptor; nothing if that has been done."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
