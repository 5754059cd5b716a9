"""End to end: a call that takes longer than `item_timeout` is ended, or let go."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smartpool import (
    ItemTimeoutError,
    Results,
    SmartPool,
    SmartPoolError,
    completed,
    run_parallel,
    stream_parallel,
    testing,
)
from smartpool._backends._processes.worker import Worker
from smartpool._backends.processes import Processes
from tests import called, workloads
from tests.heavy import and_heavy
from tests.hosts import Bench

LIMIT_S = 0.5
ENDED_S = 5 * (LIMIT_S + 1.0)
"""Five times what it should take; the machine may be busy."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")


def stops_itself(path: str) -> None:
    Path(path).touch()
    os.kill(os.getpid(), signal.SIGSTOP)
    workloads.wait_until(lambda: False)


def at_three(tmp_path: Path, what: Callable[[str], Any]) -> Callable[[int], int]:
    """Return a function whose item 3 does `what`, with a file to say so."""
    path = str(tmp_path / "begun")

    def fn(x: int) -> int:
        if x == 3:
            what(path)
        return x

    return fn


def shown(values: list[Any]) -> list[Any]:
    """Return results as they are, and item timeouts as the item's number in words."""
    return [
        f"late: {one.index}" if isinstance(one, ItemTimeoutError) else one
        for one in values
    ]


ALL_BUT_THREE: list[Any] = [0, 1, 2, "late: 3", 4, 5, 6, 7]

# -- processes ------------------------------------------------------------------------


@on_linux
@pytest.mark.parametrize("what", [called.touch_and_wait, called.spin_in_c])
@pytest.mark.parametrize("chunksize", and_heavy([8], [None, 1]))
@pytest.mark.parametrize("way", ["run", "stream"])
def test_only_that_item_is_lost(
    tmp_path: Path, what: Callable[[str], Any], chunksize: int | None, way: str
) -> None:
    """Inside of a chunk, and in C code that holds the GIL; the others are called."""
    fn, began_s = at_three(tmp_path, what), time.monotonic()
    options: dict[str, Any] = {
        "item_timeout": LIMIT_S,
        "chunksize": chunksize,
        "return_exceptions": True,
    }

    if way == "run":
        ran = run_parallel(fn, range(8), **options)
        results, report = list(ran), ran.report
    else:
        with stream_parallel(fn, range(8), **options) as stream:
            results, report = list(stream), stream.report

    assert shown(results) == ALL_BUT_THREE
    assert LIMIT_S <= time.monotonic() - began_s < ENDED_S
    assert report.plan.rule == "isolated"
    assert report.on == {"processes": 8}


@on_linux
def test_the_error_ends_the_run(tmp_path: Path) -> None:
    """As any error of an item: it names it, and the results are kept."""
    fn = at_three(tmp_path, called.touch_and_wait)

    with pytest.raises(ItemTimeoutError) as caught:
        run_parallel(fn, range(8), backend="processes", item_timeout=LIMIT_S)

    error = caught.value
    assert (error.index, error.item_timeout) == (3, LIMIT_S)
    assert error.__notes__ == ["smartpool: item 3: 3"]
    assert completed(error).items() >= {(0, 0), (1, 1), (2, 2)}
    assert isinstance(error, SmartPoolError)
    assert isinstance(error, TimeoutError)


@on_linux
def test_each_call_has_its_own_time() -> None:
    """Counted from its own beginning: a chunk may take as long as it likes."""

    def fn(x: int) -> int:
        workloads.spin(0.12)
        return x

    results = run_parallel(
        fn, range(9), backend="processes", item_timeout=1.0, chunksize=9
    )

    assert results == list(range(9))


@on_linux
def test_what_it_started_goes_with_it(tmp_path: Path) -> None:
    """The worker is killed with its process group, and replaced."""
    path = tmp_path / "pids"

    def fn(x: int) -> int:
        if x == 0:
            child = called.start_sleep(0)
            workloads.append(str(path), os.getpid())
            workloads.append(str(path), child)
            workloads.wait_until(lambda: False)
        return os.getpid()

    with SmartPool(1, backend="processes") as pool:
        late, *others = pool.run_parallel(
            fn, range(4), item_timeout=LIMIT_S, return_exceptions=True, chunksize=1
        )
        worker, child = map(int, workloads.lines(path))
        workloads.wait_until(lambda: called.is_gone(worker) and called.is_gone(child))

        assert isinstance(late, ItemTimeoutError)
        assert len(set(others)) == 1
        assert worker not in others
        assert pool.run_parallel(workloads.pid, [0]) == others[:1]


@on_linux
def test_a_stopped_worker_has_its_time(tmp_path: Path) -> None:
    """Who stopped it does not matter: its item fails, and it is replaced."""
    results = run_parallel(
        at_three(tmp_path, stops_itself),
        range(8),
        item_timeout=LIMIT_S,
        return_exceptions=True,
    )

    assert shown(results) == ALL_BUT_THREE


@on_linux
def test_it_is_not_called_again(tmp_path: Path) -> None:
    """`crash_retries` is for crashes: who takes too long once would again."""
    path = str(tmp_path / "calls")

    def fn(x: int) -> int:
        workloads.append(path, x)
        if x == 1:
            workloads.wait_until(lambda: False)
        return x

    results = run_parallel(
        fn, range(3), item_timeout=LIMIT_S, crash_retries=3, return_exceptions=True
    )

    assert shown(results) == [0, "late: 1", 2]
    assert sorted(workloads.lines(path)) == ["0", "1", "2"]


@on_linux
def test_many_late_items() -> None:
    """Each costs a worker, and no result of another item."""

    def fn(x: int) -> int:
        if x % 3 == 0:
            workloads.wait_until(lambda: False)
        return x

    results = run_parallel(
        fn, range(12), item_timeout=0.05, return_exceptions=True, chunksize=4
    )

    assert shown(results) == [f"late: {x}" if x % 3 == 0 else x for x in range(12)]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(lambda host: Processes(host, cpus=1))
    yield bench
    bench.close()


@on_linux
def test_one_that_has_just_moved_on_is_left_alone(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read of a worker before it stands still may be old: it is read again."""
    release, suspended = tmp_path / "release", list[int]()

    def suspend_late(worker: Worker) -> None:
        """Let it move on between being looked at and being stopped."""
        release.touch()
        workloads.wait_until(lambda: worker.calling() == 1)
        suspended.append(worker.pid)
        suspend(worker)

    def fn(x: int) -> int:
        if x == 0:
            workloads.until_exists(str(release))
        if x == 1:
            workloads.wait_until(lambda: bool(_was_stopped()))
        return x

    def _was_stopped() -> list[str]:
        return workloads.lines(tmp_path / "resumed")

    def resume_and_say(worker: Worker) -> None:
        resume(worker)
        workloads.append(str(tmp_path / "resumed"), worker.pid)

    suspend, resume = Worker.suspend, Worker.resume
    monkeypatch.setattr(Worker, "suspend", suspend_late)
    monkeypatch.setattr(Worker, "resume", resume_and_say)
    bench.map(called.same, 0)  # so that its start is not in the time of the first

    assert bench.map(fn, 0, 1, 2, item_timeout_s=LIMIT_S) == [0, 1, 2]
    assert len(suspended) == 1


@on_linux
def test_a_worker_that_is_stopped_before_any_call(bench: Bench) -> None:
    """It is killed in time, no item is at fault, and another one calls them."""
    (pid,) = bench.map(called.pid, 0)
    os.kill(pid, signal.SIGSTOP)

    others = bench.map(called.pid, 0, 1, item_timeout_s=0.1)

    assert len(set(others)) == 1
    assert pid not in others
    workloads.wait_until(lambda: called.is_gone(pid))


# -- threads --------------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What calls wait for that are let go; in the end it is open."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("chunksize", and_heavy([8], [None, 1]))
@pytest.mark.parametrize("way", ["run", "stream"])
def test_a_thread_is_let_go(
    gate: threading.Event, chunksize: int | None, way: str
) -> None:
    """The others are called by others; the report names the item."""

    def fn(x: int) -> int:
        if x == 3:
            assert gate.wait(workloads.DEADLINE_S)
        return x

    options: dict[str, Any] = {
        "backend": "threads",
        "item_timeout": LIMIT_S,
        "chunksize": chunksize,
        "return_exceptions": True,
    }
    if way == "run":
        ran = run_parallel(fn, range(8), **options)
        results, report = list(ran), ran.report
    else:
        with stream_parallel(fn, range(8), **options) as stream:
            results, report = list(stream), stream.report

    assert shown(results) == ALL_BUT_THREE
    reason = report.reasons[-1]
    assert (reason.rule, dict(reason.facts)) == ("let-go", {"calls": 1, "first": 3})
    assert "item 3" in reason.text
    assert "let go and not stopped" in report.reasons[0].text


def test_let_go_threads_are_replaced(gate: threading.Event) -> None:
    """`max_workers` counts those that are ours: two that hang hold nobody up."""
    names: list[str] = []

    def fn(x: int) -> int:
        names.append(threading.current_thread().name)
        if x < 4:
            assert gate.wait(workloads.DEADLINE_S)
        return x

    results = run_parallel(
        fn,
        range(8),
        backend="threads",
        max_workers=2,
        item_timeout=0.1,
        return_exceptions=True,
    )

    assert shown(results) == [f"late: {x}" for x in range(4)] + [4, 5, 6, 7]
    assert results.report.concurrency == 2
    facts = dict(results.report.reasons[-1].facts)
    assert facts["calls"] == 4


def test_threads_that_come_back_are_used_again(gate: threading.Event) -> None:
    """A call that was let go ends by itself; its thread then calls others."""
    with SmartPool(backend="threads") as pool:
        with pytest.raises(ItemTimeoutError):
            pool.run_parallel(
                lambda _: gate.wait(workloads.DEADLINE_S), [0], item_timeout=0.05
            )
        gate.set()
        backend = pool._pool.engine().backend("threads")
        workloads.wait_until(lambda: backend.ready() == 1)

        assert pool.run_parallel(workloads.same, [1, 2]) == [1, 2]


# -- coroutines -----------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [None, 8])
@pytest.mark.parametrize("way", ["run", "stream"])
def test_a_coroutine_is_cancelled(chunksize: int | None, way: str) -> None:
    """It cleans up before the run goes on: nothing of it is left."""
    ended: list[int] = []

    async def fn(x: int) -> int:
        try:
            if x == 3:
                await asyncio.sleep(workloads.DEADLINE_S)
        finally:
            ended.append(x)
        return x

    options: dict[str, Any] = {
        "item_timeout": LIMIT_S,
        "chunksize": chunksize,
        "return_exceptions": True,
    }
    if way == "run":
        ran = run_parallel(fn, range(8), **options)
        results, report = list(ran), ran.report
    else:
        with stream_parallel(fn, range(8), **options) as stream:
            results, report = list(stream), stream.report

    assert shown(results) == ALL_BUT_THREE
    assert sorted(ended) == list(range(8))
    assert "let-go" not in [reason.rule for reason in report.reasons]


@pytest.mark.parametrize("chunksize", [None, 8])
def test_a_coroutine_that_hides_its_being_cancelled(chunksize: int | None) -> None:
    """It has had its time all the same."""

    async def fn(x: int) -> int:
        if x == 3:
            try:
                await asyncio.sleep(workloads.DEADLINE_S)
            except asyncio.CancelledError:
                return -1
        return x

    results = run_parallel(
        fn,
        range(8),
        item_timeout=LIMIT_S,
        chunksize=chunksize,
        return_exceptions=True,
    )

    assert shown(results) == ALL_BUT_THREE


def test_a_coroutine_that_refuses(gate: threading.Event) -> None:
    """It is let go, and the report names it."""

    async def fn(x: int) -> int:
        while x == 3 and not gate.is_set():
            try:
                await asyncio.sleep(workloads.POLL_S)
            except asyncio.CancelledError:
                pass
        return x

    with SmartPool() as pool:
        results = pool.run_parallel(
            fn, range(8), item_timeout=0.2, return_exceptions=True
        )
        gate.set()

    assert shown(results) == ALL_BUT_THREE
    assert dict(results.report.reasons[-1].facts) == {"calls": 1, "first": 3}


def test_a_coroutine_that_blocks_its_loop(gate: threading.Event) -> None:
    """Those that had not begun are called on another loop; nothing hangs."""

    async def fn(x: int) -> int:
        if x == 3:
            assert gate.wait(workloads.DEADLINE_S)
        await asyncio.sleep(0)
        return x

    with SmartPool() as pool:
        results: Results[Any] = pool.run_parallel(
            fn, range(8), item_timeout=0.2, return_exceptions=True
        )
        gate.set()

    # Those that wait on the same loop have no time left, either.
    late = [one for one in results if isinstance(one, ItemTimeoutError)]
    assert 3 in [one.index for one in late]
    assert shown(results)[4:] == [4, 5, 6, 7]


# -- at the last moment ------------------------------------------------------------------

SHORT_S, COUNT = 0.01, 80
SURELY_LATE, MUCH_MORE = range(18, COUNT, 20), 100.0
"""They sleep: one that computes, and is let go on a thread, would keep others from
their first line."""


def about_short_s(x: int) -> float:
    """Return a little less than may be, or a little more; now and then much more.

    Of a little more a busy machine may see nothing before it is over.
    """
    return SHORT_S * (MUCH_MORE if x in SURELY_LATE else 0.5 + 0.06 * (x % 10))


def about_short(path: str, x: int) -> int:
    """Take about as long as may be."""
    workloads.append(path, x)
    until_s = time.perf_counter() + about_short_s(x)
    if x % 2:
        workloads.spin(until_s - time.perf_counter())
    else:
        time.sleep(until_s - time.perf_counter())
    return x


async def about_short_async(path: str, x: int) -> int:
    workloads.append(path, x)
    await asyncio.sleep(about_short_s(x))
    return x


@pytest.mark.parametrize("chunksize", and_heavy([7], [None]))
@pytest.mark.parametrize("backend", and_heavy(["threads", "event_loop"], ["processes"]))
def test_calls_that_end_just_then(
    backend: Any, chunksize: int | None, tmp_path: Path
) -> None:
    """Each item is called once and has one outcome, its own, late or not.

    A worker may be ended before its call has come to the first line.
    """
    path = str(tmp_path / "calls")
    fn = about_short_async if backend == "event_loop" else about_short

    results: Results[Any] = run_parallel(
        partial(fn, path),
        range(COUNT),
        backend=backend,
        max_workers=4,
        chunksize=chunksize,
        item_timeout=SHORT_S,
        return_exceptions=True,
    )

    late = [one for one in results if isinstance(one, ItemTimeoutError)]
    indices = [one.index if one in late else one for one in results]
    assert indices == list(range(COUNT))
    assert {one.index for one in late}.issuperset(SURELY_LATE)
    calls = Counter(map(int, workloads.lines(path)))
    assert set(calls.values()) == {1}
    unseen = set(range(COUNT)) - set(calls)
    assert unseen <= ({one.index for one in late} if backend == "processes" else set())
    assert results.report.items == COUNT


# -- where it cannot be kept ------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"item_timeout": 1.5}, {"crash_retries": 2}], ids=["time", "retries"]
)
def test_serial_work_cannot_be_stopped(options: dict[str, Any]) -> None:
    """So that is refused at the call, with what to write instead."""
    items: list[int] = []
    with SmartPool(backend="serial") as pool:
        for go in (pool.run_parallel, pool.stream_parallel):
            with pytest.raises(ValueError, match="backend='serial'") as caught:
                go(items.append, [1], **options)
            assert "write backend='processes'" in str(caught.value)
    with pytest.raises(ValueError, match="cannot be kept with backend='serial'"):
        run_parallel(items.append, [1], backend="serial", **options)

    assert items == []


def test_inline_tests_run_all_the_same() -> None:
    """What a test has pinned to this thread is called there, and the report says so."""
    with testing.inline():
        results = run_parallel(workloads.pid, [1], item_timeout=1, crash_retries=1)

    assert results == [os.getpid()]
    assert "cannot be stopped" in results.report.reasons[0].text


def test_the_error_travels() -> None:
    """It can be pickled, with what it says."""
    error = ItemTimeoutError(3, 2.0)
    error.add_note("a note")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is ItemTimeoutError
    assert (again.index, again.item_timeout, again.__notes__) == (3, 2.0, ["a note"])
    assert str(again) == "the call of item 3 took longer than item_timeout=2"
    assert again.errno is None
