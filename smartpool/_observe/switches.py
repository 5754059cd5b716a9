"""How a thread gave up its CPU, or had none, as the kernel counts it.

A thread that waits - for a file, a lock, the GIL - gives its CPU up of its own accord
each time (a voluntary switch). One that has not done so has not waited, however long it
took: another program had its CPU (run delay), or the hypervisor gave that to another
machine, which no other clock of this one shows.

Linux counts both for each thread (getrusage(2), proc_pid_status(5), schedstat);
elsewhere nothing is known.
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
        status = _read_of(thread_id, "status")
        return int(status.partition(_FIELD)[2].split(maxsplit=1)[0])
    except (OSError, ValueError, IndexError):
        return None


def run_delay_s(thread_id: int) -> float | None:
    """Return how long a thread of this program was ready to run and had no CPU.

    Linux only (`schedstat`, second field, nanoseconds); elsewhere `None`.
    """
    try:
        return int(_read_of(thread_id, "schedstat").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _read_of(thread_id: int, name: str) -> bytes:
    """Return what the kernel says of a thread of this program."""
    fd = os.open(f"/proc/self/task/{thread_id}/{name}", os.O_RDONLY)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
