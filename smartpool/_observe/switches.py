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
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

THREADS_MOST: Final = 64
"""More threads than this are not asked for their CPU time, one by one: a guess."""

_CPU_OF_THREAD = 6  # CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED, in the kernel's words
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


def cpu_of_threads() -> dict[int, float] | None:
    """Return the CPU time of all threads that run Python, by their numbers; 2 µs each.

    `None` if they are very many, or if it is not known: Linux only.
    """
    # Not `threading.enumerate`: an interrupt inside of it could leave its lock held, and
    # no thread would start or end any more (see `_lock`).
    active: dict[int, threading.Thread] = getattr(threading, "_active", {})
    threads = list(active.values())
    if len(threads) > THREADS_MOST or sys.platform != "linux":
        return None
    found: dict[int, float] = {}
    for thread in threads:
        number = thread.native_id
        if number is not None:
            # It may be over by now. The clock that the kernel has of a thread's number
            # says so; `pthread_getcpuclockid` would not look.
            with suppress(OSError):
                found[number] = time.clock_gettime((~number << 3) | _CPU_OF_THREAD)
    return found or None


def run_delay_of_process_s(pid: int) -> float | None:
    """Return the same for the main thread of another process; 10 µs."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _read_of(thread_id: int, name: str) -> bytes:
    """Return what the kernel says of a thread of this program."""
    fd = os.open(f"/proc/self/task/{thread_id}/{name}", os.O_RDONLY)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
