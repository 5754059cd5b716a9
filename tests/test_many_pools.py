"""End to end: pools that come and go leave nothing, however many there have been."""

from __future__ import annotations

import gc
import os
import sys
import threading

import pytest

from smartpool import SmartPool, machine
from tests import submitted, workloads
from tests.heavy import and_heavy
from tests.leaks import Snapshot, left_behind, native_threads

HANG_S = 30.0
A_POOL_BYTES = 2_000
A_POOL_BLOCKS = 5
"""What a pool may leave in memory, on average: allocators and caches keep some of it."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def memory_bytes() -> int:
    """Return how much of this process is in memory, and its own."""
    with open("/proc/self/statm", encoding="ascii") as file:
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGESIZE")


def use_one(n: int) -> None:
    """Open a pool, use it in one of the ways there are, and close it."""
    with SmartPool(1) as pool:
        if n % 3 == 0:
            assert pool.run_parallel(abs, [-n, n], backend="processes") == [n, n]
        elif n % 3 == 1:
            assert pool.submit(submitted.same, n).result(HANG_S) == n
        else:
            assert pool.run_parallel(abs, [-n, n], backend="threads") == [n, n]


@pytest.mark.parametrize(("warm_up", "count"), and_heavy([(6, 24)], [(100, 1000)]))
@pytest.mark.timeout(400)
def test_many_pools(warm_up: int, count: int) -> None:
    """Descriptors, threads, processes and memory are as they were before."""
    for n in range(warm_up):
        use_one(n)
    gc.collect()
    before, began_bytes = Snapshot(), memory_bytes()
    began_blocks = sys.getallocatedblocks()
    threads, native = threading.active_count(), len(native_threads())

    for n in range(count):
        use_one(n)

    assert left_behind(before) == []
    gc.collect()
    assert threading.active_count() <= threads
    # One that has ended is seen for a moment longer, then as now.
    workloads.wait_until(lambda: len(native_threads()) <= native)
    if count > warm_up * 5:  # else what is loaded and cached meanwhile counts
        assert sys.getallocatedblocks() - began_blocks < count * A_POOL_BLOCKS
        if machine().gil:  # else the allocator keeps pages of threads that have ended
            assert memory_bytes() - began_bytes < count * A_POOL_BYTES
