"""What the tests of memory files have called in workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from pickle import PickleBuffer
from typing import Any

import numpy as np


def same(x: Any) -> Any:
    return x


def double(array: Any) -> Any:
    """Change the argument, and return it."""
    array *= 2
    return array


def flags(array: Any) -> tuple[bool, bool, bool]:
    return (
        bool(array.flags.writeable),
        bool(array.flags.c_contiguous),
        bool(array.flags.f_contiguous),
    )


def filled(megabytes: int, value: int = 1) -> Any:
    return np.full((megabytes, 1 << 20), value, dtype=np.uint8)


def row(table: Any, index: int) -> float:
    return float(table[index].sum())


def write_row(table: Any, index: int) -> float:
    """Change what is bound to the function; return what was there."""
    before = float(table[index, 0])
    table[index] = -1
    return before


def memory_kb(_: Any = None) -> int:
    """Return the memory that is this process's alone."""
    text = Path("/proc/self/smaps_rollup").read_text("ascii")
    return sum(
        int(line.split()[1]) for line in text.splitlines() if "Private_" in line[:8]
    )


def descriptors(_: Any = None) -> int:
    return len(os.listdir("/proc/self/fd"))


def die_with(array: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


class Buffered:
    """A class of the user's whose contents are a buffer."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (PickleBuffer(self.data),)


class Aliased:
    """Two names for one array."""

    def __init__(self, array: Any) -> None:
        self.first = self.second = array


def is_aliased(pair: Any) -> bool:
    return pair.first is pair.second
