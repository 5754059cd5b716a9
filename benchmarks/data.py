"""From which size on is a memory file quicker than the socket?

One pool has large buffers travel apart from the smallest size on, another sends them
in-band, whatever their size; both send NumPy arrays to a warm worker and back, in turn.
Between them lies `FROM_BYTES` in `smartpool/_worker/memory.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.measuring import (
    is_quick,
    medians_in_turn,
    print_machine,
    print_table,
    short,
)
from smartpool import SmartPool
from smartpool._worker import memory

SIZES = [1 << exponent for exponent in range(13, 25)]
ALWAYS, NEVER = 1, sys.maxsize


def set_limit(from_bytes: int) -> None:
    """Have buffers from that size on travel in memory files, from here."""
    memory.FROM_BYTES = from_bytes  # type: ignore[misc]  # a constant, but for this


def there_and_back(pool: SmartPool, from_bytes: int, array: object) -> None:
    """Send an array to a worker, and take it back."""
    set_limit(from_bytes)
    pool.submit(np.asanyarray, array).result()  # returns what has come


def pool_for(from_bytes: int) -> SmartPool:
    """Return a pool whose one worker has that limit, too."""
    return SmartPool(1, initializer=set_limit, initargs=(from_bytes,))


def main() -> None:
    """Print a table: sizes, both ways, and how much the memory file gains."""
    quick = is_quick(__doc__)
    print_machine()
    repeat = 21 if quick else 201
    rows: list[list[str]] = []
    with pool_for(ALWAYS) as apart, pool_for(NEVER) as in_band:
        for size in SIZES[::3] if quick else SIZES:
            array = np.arange(size, dtype=np.uint8)
            ways: list[Callable[[], None]] = [
                partial(there_and_back, apart, ALWAYS, array),
                partial(there_and_back, in_band, NEVER, array),
            ]
            file_s, socket_s = medians_in_turn(repeat, *ways)
            gain = f"{socket_s / file_s:.2f}"
            rows.append([f"{size // 1024} KB", short(file_s), short(socket_s), gain])
    print_table(["there and back", "memory file", "socket", "gain"], rows)


if __name__ == "__main__":
    main()
