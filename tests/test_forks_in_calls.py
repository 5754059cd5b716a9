"""End to end: forks where smartpool is at work, in a call and beside one."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from smartpool import SmartPool
from smartpool._worker import memory
from tests import called, forking, submitted, workloads
from tests.heavy import and_heavy

HANG_S = 30.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


@pytest.mark.parametrize(("how", "code"), [("returns", 0), ("exits", 3), ("raises", 1)])
@pytest.mark.parametrize("chunksize", [1, 4])
def test_a_child_ends_where_its_call_does(
    how: str, code: int, chunksize: int, tmp_path: Path
) -> None:
    """As a program of its own: it calls no further item, and reports none."""
    path = str(tmp_path / "calls")
    with SmartPool(1, backend="processes") as pool:
        results = pool.run_parallel(
            partial(forking.fork_and, how, path), range(4), chunksize=chunksize
        )
        again = pool.submit(forking.fork_and, how, path, 4).result(HANG_S)

    assert [*results, again] == [(code, x) for x in range(5)]
    assert sorted(workloads.lines(path)) == [*"01234"]


def test_a_child_that_goes_on(tmp_path: Path) -> None:
    """The call is over without it; it goes with its worker, when the pool closes."""
    path = str(tmp_path / "began")
    with SmartPool(1, backend="processes") as pool:
        child = pool.submit(forking.fork_and_leave, path, 1).result(HANG_S)
        workloads.until_exists(path)

        assert pool.run_parallel(submitted.same, range(20)) == list(range(20))
        assert not called.is_gone(child)

    workloads.wait_until(lambda: called.is_gone(child))


@pytest.mark.parametrize("forks", and_heavy([25], [300]))
def test_a_fork_on_another_thread(forks: int) -> None:
    """At whatever moment: the child has no descriptor of a memory file of ours."""
    data, over, codes = bytes(1 << 20), threading.Event(), list[int]()

    def fork() -> None:
        for _ in range(forks):
            pid = os.fork()
            if pid == 0:
                os._exit(len(forking.memory_files()))
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        over.set()

    thread = threading.Thread(target=fork)
    with SmartPool(1, backend="processes") as pool:
        thread.start()
        while not over.is_set():
            assert pool.submit(submitted.same, data).result(HANG_S) == data
        thread.join()

    assert codes == [0] * forks


def test_a_memory_file_after_a_fork() -> None:
    """In the child its number may be another file's, which it leaves alone."""
    before = memory.MemoryFile(os.memfd_create("smartpool"), 0)
    pid = os.fork()
    if pid == 0:
        try:
            number = os.dup2(os.memfd_create("smartpool"), before.fd)
            after = memory.MemoryFile(number, 0)
            before.close()
            os.fstat(after.fd)
            os._exit(7)
        finally:
            os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.fstat(before.fd)
    before.close()
