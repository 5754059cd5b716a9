"""End to end: coroutines in worker processes, side by side on a loop in each."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from smartpool import NotPicklableError, Report, Results, SmartPool, WorkerCrashError
from tests import workloads

COUNT = 8

MARK: ContextVar[str] = ContextVar("mark", default="none")


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    with SmartPool(max_workers=2) as pool:
        yield pool


def rules(report: Report) -> list[str]:
    return [reason.rule for reason in report.reasons]


class Meeting:
    """Where so many calls meet on one loop; none goes on before the last has come."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.here = 0
        self.full = asyncio.Event()

    async def join(self) -> None:
        self.here += 1
        if self.here == self.size:
            self.full.set()
        await asyncio.wait_for(self.full.wait(), workloads.DEADLINE_S)


meetings: dict[int, Meeting] = {}


async def meet(size: int, x: int) -> tuple[int, int]:
    meeting = meetings.setdefault(x // size, Meeting(size))
    await meeting.join()
    return x, os.getpid()


def test_the_calls_of_a_chunk_wait_side_by_side(pool: SmartPool) -> None:
    """None goes on before the last of its chunk has begun."""
    results = pool.run_parallel(
        partial(meet, 4), range(COUNT), backend="processes", chunksize=4
    )

    assert [x for x, _ in results] == list(range(COUNT))
    assert os.getpid() not in {pid for _, pid in results}
    assert results.report.workers <= 2
    assert 4 <= results.report.concurrency <= COUNT


def test_max_workers_bounds_the_calls_that_go_on_at_once() -> None:
    """As on the loop of this process: it is the number of calls, for an `async def`."""
    with SmartPool(max_workers=2) as pool:
        results = pool.run_parallel(most_at_once, range(20), backend="processes")
    assert max(results) == 1


going = 0


async def most_at_once(_: int) -> int:
    global going
    going += 1
    most = going
    await asyncio.sleep(0.01)
    going -= 1
    return most


async def odd(x: int) -> Any:
    await asyncio.sleep(0.001 * (COUNT - x))  # they end in another order
    match x:
        case 1:
            raise KeyError(x)
        case 2:
            raise asyncio.CancelledError
        case 3:
            raise SystemExit(x)
        case 4:
            return threading.Lock()
        case 5:
            raise KeyboardInterrupt
    return x


def test_each_has_its_own_outcome(pool: SmartPool) -> None:
    """In input order, whatever it is and whenever it came."""
    results = pool.run_parallel(
        odd, range(COUNT), backend="processes", chunksize=COUNT, return_exceptions=True
    )

    kinds = [type(one) for one in results]
    assert kinds == [
        int,
        KeyError,
        asyncio.CancelledError,
        SystemExit,
        NotPicklableError,
        KeyboardInterrupt,
        int,
        int,
    ]
    assert (results[0], results[6], results[7]) == (0, 6, 7)


def test_the_first_error_ends_the_run(pool: SmartPool) -> None:
    """It is raised as it was."""
    with pytest.raises(KeyError):
        pool.run_parallel(odd, [0, 1], backend="processes", chunksize=2)


async def crashes(x: int) -> int:
    if x == 2:
        await asyncio.sleep(0.05)
        os._exit(3)
    if x % 2:
        await asyncio.sleep(workloads.DEADLINE_S)
    return x


def test_a_crash_costs_those_that_had_begun_and_not_ended(pool: SmartPool) -> None:
    """Whose step it was nobody knows; what has ended is safe."""
    results: Results[Any] = pool.run_parallel(
        crashes, range(4), backend="processes", chunksize=4, return_exceptions=True
    )

    crashed = [one.index for one in results if isinstance(one, WorkerCrashError)]
    assert crashed == [1, 2, 3]
    assert results[0] == 0
    assert {one.exit_code for one in results[1:]} == {3}


async def crashes_alone(path: str, x: int) -> int:
    workloads.append(path, x)
    if x == 5 and len(workloads.lines(path)) < 2 * COUNT:
        os._exit(3)
    return x


@pytest.mark.parametrize("retries", [0, 1])
def test_with_crash_retries_one_is_called_after_the_other(
    pool: SmartPool, tmp_path: Any, retries: int
) -> None:
    """So it is known whose fault it was, and none is called twice but that one."""
    path = str(tmp_path / "calls")
    results = pool.run_parallel(
        partial(crashes_alone, path),
        range(COUNT),
        backend="processes",
        chunksize=COUNT,
        crash_retries=retries,
        return_exceptions=True,
    )

    if retries:
        assert isinstance(results[5], WorkerCrashError)
        assert [one for one in results if one is not results[5]] == [
            0,
            1,
            2,
            3,
            4,
            6,
            7,
        ]
    counts = [workloads.lines(path).count(str(x)) for x in range(COUNT)]
    assert counts == [1, 1, 1, 1, 1, 1 + retries, 1, 1]


class Loads:
    """An argument that cannot be loaded in a worker, or ends it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded, (self.how,)


def loaded(how: str) -> str:
    if how == "raises":
        raise ValueError(how)
    if how == "exits":
        os._exit(4)
    return how


async def returned(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


def test_arguments_that_cannot_be_loaded_cost_their_item(pool: SmartPool) -> None:
    """Nothing is called before all are loaded, so nobody else is at fault."""
    items = [0, Loads("raises"), 2, Loads("exits"), 4]
    results = pool.run_parallel(
        returned, items, backend="processes", chunksize=5, return_exceptions=True
    )

    kinds = [type(one) for one in results]
    assert kinds == [int, ValueError, int, WorkerCrashError, int]


async def loop_id(_: int) -> tuple[int, int]:
    return os.getpid(), id(asyncio.get_running_loop())


def test_a_worker_has_one_loop(pool: SmartPool) -> None:
    """What is kept for it, a client say, can be used by the next call."""
    found = set(pool.run_parallel(loop_id, range(40), backend="processes", chunksize=5))
    found |= set(pool.run_parallel(loop_id, range(4), backend="processes", chunksize=1))
    assert len(found) == len({pid for pid, _ in found})


async def marked(x: int) -> tuple[str, str]:
    before = MARK.get()
    MARK.set(f"call {x}")
    await asyncio.sleep(0.01)
    return before, MARK.get()


def test_each_call_has_context_variables_of_its_own(pool: SmartPool) -> None:
    """Those of the caller, and what a call sets is not seen by another."""
    token = MARK.set("here")
    try:
        results = pool.run_parallel(
            marked, range(COUNT), backend="processes", chunksize=COUNT
        )
    finally:
        MARK.reset(token)

    assert results == [("here", f"call {x}") for x in range(COUNT)]


async def large(x: int) -> bytes:
    await asyncio.sleep(0.001 * (COUNT - x))
    return bytes([x]) * (1 << 20)


def test_large_results_come_in_any_order(pool: SmartPool) -> None:
    """In memory files, or through the socket."""
    results = pool.run_parallel(
        large, range(COUNT), backend="processes", chunksize=COUNT
    )
    assert [(one[0], len(one)) for one in results] == [
        (x, 1 << 20) for x in range(COUNT)
    ]


# -- where they go -------------------------------------------------------------------------


async def works(x: int) -> tuple[int, int]:
    """Wait for a while, then compute for 3 ms."""
    await asyncio.sleep(0.01)
    until_s = time.thread_time() + 0.003
    while time.thread_time() < until_s:
        pass
    return x, os.getpid()


@pytest.fixture
def wide() -> Iterator[SmartPool]:
    with SmartPool() as pool:
        yield pool


def test_those_that_compute_move_to_workers(wide: SmartPool) -> None:
    """As soon as it shows; and the next run begins there."""
    results = wide.run_parallel(works, range(1000))

    assert [x for x, _ in results] == list(range(1000))
    assert "coroutines-work" in rules(results.report), results.report.explain()
    assert len({pid for _, pid in results}) > 1

    again = wide.run_parallel(works, range(100))

    assert "learnt" in rules(again.report)
    assert os.getpid() not in {pid for _, pid in again}


async def works_with(lock: Any, x: int) -> int:
    assert lock is not None
    return (await works(x))[0]


def test_those_that_cannot_leave_stay_on_the_loop(wide: SmartPool) -> None:
    """And the run says that they compute, and why they stay."""
    results = wide.run_parallel(partial(works_with, threading.Lock()), range(800))
    assert results == list(range(800))
    assert set(results.report.on) == {"event_loop"}
    assert "cannot leave this process" in results.report.explain()


def test_arguments_that_cannot_travel_are_seen_before(wide: SmartPool) -> None:
    """None of them fails for it."""
    items = [(threading.Lock(), x) for x in range(800)]
    results = wide.run_parallel(works_with, *zip(*items, strict=True))
    assert results == list(range(800))
    assert set(results.report.on) == {"event_loop"}
    assert "cannot leave this process" in results.report.explain()


def test_a_hint_says_it_at_once(wide: SmartPool) -> None:
    """Nothing is called on the loop first."""
    results = wide.run_parallel(works, range(20), hint="cpu")
    assert rules(results.report)[0] == "coroutines-work"
    assert os.getpid() not in {pid for _, pid in results}


async def naps(x: int) -> int:
    await asyncio.sleep(0.005)
    return x


def test_those_that_wait_stay_on_the_loop(wide: SmartPool) -> None:
    """However many there are."""
    results = wide.run_parallel(naps, range(2000))
    assert results == list(range(2000))
    assert set(results.report.on) == {"event_loop"}
