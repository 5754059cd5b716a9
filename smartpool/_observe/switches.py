"""How often a thread has given up its CPU of its own accord (voluntary switches).

A thread that waits - for a file, a lock, the GIL - gives its CPU up each time. One that
has not done so has not waited, however long it took: another program had its CPU, or
the hypervisor gave that to another machine, which no other clock of this one shows.

Linux counts the switches of each thread (getrusage(2), proc_pid_status(5)); elsewhere
nothing is known.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_FIELD = b"\nvoluntary_ctxt_switches:"


def _counter() -> Callable[[], int | None]:
    try:
        from resource import RUSAGE_THREAD, getrusage
    except ImportError:  # on macOS and Windows
        return lambda: None
    return lambda: getrusage(RUSAGE_THREAD).ru_nvcsw


own_switches = _counter()  # made here, not at the first run: see `_aside`
"""Return how often this thread has given up its CPU, or `None`; 1 µs."""


def switches_of(thread_id: int) -> int | None:
    """Return how often another thread of this program has given up its CPU; 20 µs."""
    try:
        fd = os.open(f"/proc/self/task/{thread_id}/status", os.O_RDONLY)
        try:
            status = os.read(fd, 4096)
        finally:
            os.close(fd)
        return int(status.partition(_FIELD)[2].split(maxsplit=1)[0])
    except (OSError, ValueError, IndexError):
        return None
