"""Threads of numerical libraries beside ours: limited meanwhile, and put back."""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smartpool import SmartPool, machine, run_parallel
from smartpool._backends import libraries

pytest.importorskip("numpy")
threadpoolctl: Any = pytest.importorskip("threadpoolctl")

pytestmark = pytest.mark.skipif(
    not libraries.are_loaded(), reason="NumPy has no library with threads here"
)


def limit_now(_: object = None) -> int:
    """Return how many threads the libraries that are loaded would use."""
    return max(int(one["num_threads"]) for one in threadpoolctl.threadpool_info())


@pytest.fixture(autouse=True)
def limit() -> Iterator[int]:
    """The usual limit, which is there again after each test."""
    libraries.can_be_capped.cache_clear()
    usual = limit_now()
    if usual == 1:
        pytest.skip("on one CPU there is nothing to limit")
    yield usual
    assert limit_now() == usual
    libraries.can_be_capped.cache_clear()


EACH = max(1, machine().cpus // 2)


@pytest.mark.parametrize("pinned", [True, False])
def test_calls_on_threads_share_the_cpus(pinned: bool, limit: int) -> None:
    """Each may use its part of them, and that is said; afterwards all is as before."""
    options: dict[str, Any] = {"hint": "nogil", "max_workers": 2}
    if pinned:
        options["backend"] = "threads"

    def compute(_: int) -> int:
        sum(range(20_000))
        return limit_now()

    results = run_parallel(compute, range(300), **options)

    report = results.report
    assert report.plan.backend == "threads", report.explain()
    assert report.plan.workers == 2
    if pinned:  # else the probe has seen that nothing uses a library's threads
        assert results[-1] == report.plan.library_threads == EACH
        assert [one.rule for one in report.reasons] == ["pinned", "library-threads"]
    else:
        assert set(results) == {limit}


def test_one_call_at_a_time_may_use_all(limit: int) -> None:
    """There is nothing to share."""
    results = run_parallel(
        limit_now, range(5), hint="nogil", backend="threads", max_workers=1
    )

    assert results == [limit] * 5
    assert results.report.plan.library_threads is None


def test_without_threadpoolctl_nothing_is_limited(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    plan = run_parallel(abs, [1, 2], hint="nogil", backend="threads").report.plan

    assert plan.library_threads is None


def test_the_last_of_several_runs_puts_back(limit: int) -> None:
    """The smallest limit holds for all of them meanwhile."""
    inner, outer = libraries.Cap(), libraries.Cap()
    outer.set(limit)
    assert limit_now() == limit
    inner.set(1)
    assert limit_now() == 1
    outer.set(1)
    inner.lift()
    assert limit_now() == 1
    outer.lift()
    outer.lift()
    assert limit_now() == limit


def test_a_limit_of_the_users_stays(limit: int) -> None:
    """Who has set one before is not overruled."""
    with threadpoolctl.threadpool_limits(limit):
        results = run_parallel(
            limit_now, range(20), hint="nogil", backend="threads", max_workers=2
        )
        assert limit_now() == limit
    assert set(results) == {limit}


def test_openmp_is_limited_on_each_thread() -> None:
    """Its limits are a thread's own: those of other threads stay."""
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        pytest.skip("there is no OpenMP here")

    def openmp_now(_: object = None) -> list[int]:
        found = threadpoolctl.threadpool_info()
        return [one["num_threads"] for one in found if one["user_api"] == "openmp"]

    before = openmp_now()
    results = run_parallel(
        openmp_now, range(20), hint="nogil", backend="threads", max_workers=2
    )
    after = run_parallel(openmp_now, range(20), hint="io", backend="threads")

    assert results[-1] == [EACH] * len(before)
    assert openmp_now() == after[0] == before


def test_a_stream_that_is_dropped_puts_back(limit: int) -> None:
    """Without a `with`, and not read to its end."""
    with SmartPool(2) as pool:
        stream = pool.stream_parallel(
            limit_now, range(10_000), hint="nogil", backend="threads"
        )
        assert next(stream) == EACH
        del stream
        gc.collect()
    assert limit_now() == limit


def test_an_error_puts_back(limit: int) -> None:
    """However the run ends."""
    with pytest.raises(ZeroDivisionError):
        run_parallel(lambda x: 1 / x, range(-3, 50), hint="nogil", backend="threads")


FORKS = """
import os, threading
import numpy
from smartpool import stream_parallel
from tests.test_libraries import limit_now

begun, over, usual = threading.Event(), threading.Event(), limit_now()

def wait(_):
    begun.set()
    return over.wait(60)

with stream_parallel(
    wait, range(4), hint="nogil", backend="threads", max_workers=2
) as stream:
    reader = threading.Thread(target=next, args=(stream,))
    reader.start()
    assert begun.wait(60)
    assert limit_now() < usual
    pid = os.fork()
    if pid == 0:
        os._exit(limit_now())
    seen = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    over.set()
    reader.join()
    assert list(stream) == [True] * 3
assert seen == usual == limit_now(), (seen, usual, limit_now())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_meanwhile_is_not_limited() -> None:
    """The run that wanted the limit is not there.

    In a program of its own: a fork makes OpenBLAS end its threads and start others.
    """
    root = Path(__file__).parent.parent
    command = [sys.executable, "-W", "ignore", "-c", FORKS]
    subprocess.run(command, check=True, timeout=120, cwd=root)
