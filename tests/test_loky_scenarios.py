"""Scenarios: what has crashed or stopped pools of other libraries, on this one."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any

import pytest

from smartpool import NotPicklableError as Unpicklable
from smartpool import PoolClosedError, SmartPool
from smartpool import WorkerCrashError as Crash
from smartpool._makers import Setup
from smartpool._pool import Pool
from tests import called, scenarios, workloads
from tests.heavy import and_heavy
from tests.scenarios import (
    AtCollection,
    AtPickling,
    AtUnpickling,
    exits,
    makes,
    quits,
    raises,
    raises_one,
    same,
    segfaults,
)
from tests.test_executor import run_script
from tests.test_pool import processes_of

HANG_S = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="made for Linux")

Case = tuple[Callable[..., Any], tuple[Any, ...], type[BaseException]]

CASES: dict[str, Case] = {
    # In the call itself.
    "a call that exits": (exits, (), Crash),
    "a call that crashes": (segfaults, (), Crash),
    "a call that quits": (quits, (), SystemExit),
    "a call that raises": (raises, (), RuntimeError),
    # Arguments, pickled here and loaded there.
    "arguments that cannot be pickled": (same, (AtPickling(raises),), Unpicklable),
    "arguments that quit when pickled": (same, (AtPickling(quits),), Unpicklable),
    "arguments that raise when loaded": (same, (AtUnpickling(raises),), RuntimeError),
    "arguments that quit when loaded": (same, (AtUnpickling(quits),), SystemExit),
    "arguments that exit when loaded": (same, (AtUnpickling(exits),), Crash),
    "arguments that crash when loaded": (same, (AtUnpickling(segfaults),), Crash),
    # Results, pickled there and loaded here.
    "a result that cannot be pickled": (makes, (AtPickling, raises), Unpicklable),
    "a result that quits when pickled": (makes, (AtPickling, quits), Unpicklable),
    "a result that exits when pickled": (makes, (AtPickling, exits), Crash),
    "a result that crashes when pickled": (makes, (AtPickling, segfaults), Crash),
    "a result that raises when loaded": (makes, (AtUnpickling, raises), RuntimeError),
    "a result that quits when loaded": (makes, (AtUnpickling, quits), SystemExit),
    # Errors, the same way.
    "an error that exits when pickled": (raises_one, (AtPickling, exits), Crash),
}


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    with SmartPool(2, backend="processes") as pool:
        yield pool


def outcome_of(future: Future[Any]) -> BaseException | None:
    return future.exception(HANG_S)


def test_each_costs_its_call(pool: SmartPool) -> None:
    """One pool takes them all, with a good call before and after each."""
    for name, (fn, args, error) in CASES.items():
        before = pool.submit(same, name)
        bad = pool.submit(fn, *args)
        after = pool.submit(same, name)

        assert isinstance(outcome_of(bad), error), name
        assert [before.result(HANG_S), after.result(HANG_S)] == [name, name]


@pytest.mark.parametrize(
    "name",
    and_heavy(
        ["a call that exits", "a result that raises when loaded"],
        [
            "a call that crashes",
            "arguments that exit when loaded",
            "a result that cannot be pickled",
        ],
    ),
)
def test_from_a_callback(pool: SmartPool, name: str) -> None:
    """A callback of one call makes the other one, and waits for its outcome."""
    fn, args, error = CASES[name]
    seen: list[Any] = []

    def then(_: object) -> None:
        seen.append(outcome_of(pool.submit(fn, *args)))
        seen.append(pool.submit(same, 3).result(HANG_S))

    pool.submit(same, 1).add_done_callback(then)

    workloads.wait_until(lambda: len(seen) == 2)
    assert isinstance(seen[0], error)
    assert seen[1] == 3


@pytest.mark.parametrize("workers", and_heavy([2], [1, 5, 13]))
def test_workers_that_kill_each_other(workers: int) -> None:
    """At about the same time: each call ends, well or with its worker's death."""
    with SmartPool(workers, backend="processes") as pool:
        list(pool.map(called.pid, range(4 * workers)))
        pids = processes_of(pool).worker_pids()
        calls = [
            pool.submit(scenarios.kill_another, pids, 0.002 * n) for n in range(workers)
        ]
        outcomes = [outcome_of(call) for call in calls]

        assert all(one is None or isinstance(one, Crash) for one in outcomes)
        assert list(pool.map(same, range(50))) == list(range(50))


def test_bad_ones_between_good_ones(pool: SmartPool) -> None:
    """A hundred that cannot travel, and a hundred that can: none waits for another."""
    good: list[Future[int]] = []
    bad: list[Future[Any]] = []
    for n in range(100):
        bad.append(pool.submit(same, AtPickling(raises)))
        good.append(pool.submit(same, n))

    assert [one.result(HANG_S) for one in good] == list(range(100))
    assert all(isinstance(outcome_of(one), Unpicklable) for one in bad)


def test_a_crash_when_arguments_are_collected(pool: SmartPool) -> None:
    """It comes after the call, or in it: its outcome is there, or is the death."""
    for _ in range(3):
        call = pool.submit(scenarios.length, [AtCollection(exits)])
        error = outcome_of(call)
        assert error is None or isinstance(error, Crash)
        assert pool.submit(same, 1).result(HANG_S) == 1


def test_what_was_cancelled_while_a_worker_dies(pool: SmartPool) -> None:
    """Those that waited and were cancelled stay so; the others are called."""
    calls = [pool.submit(workloads.spin, 0.02) for _ in range(20)]
    cancelled = [call for call in calls[4::2] if call.cancel()]
    pool.submit(exits)

    for call in calls:
        if call not in cancelled:
            assert outcome_of(call) is None
    assert all(call.cancelled() for call in cancelled)


def test_a_pool_that_nobody_has_any_more() -> None:
    """It goes, with its workers, also after one of them has crashed."""
    pool = SmartPool(2, backend="processes")
    assert isinstance(outcome_of(pool.submit(exits)), Crash)
    assert pool.submit(same, 1).result(HANG_S) == 1
    pids = processes_of(pool).worker_pids()
    del pool
    gc.collect()

    workloads.wait_until(lambda: all(called.is_gone(pid) for pid in pids))


def test_submitting_while_it_shuts_down() -> None:
    """A call is refused, or it is made: it is not taken and then dropped."""
    for _ in range(20):
        pool, taken = SmartPool(1, backend="processes"), list[Future[int]]()
        pool.submit(same, 0).result(HANG_S)
        begun = threading.Event()

        def submit(
            pool: SmartPool = pool, taken: Any = taken, begun: Any = begun
        ) -> None:
            for n in range(10_000):
                try:
                    taken.append(pool.submit(same, n))
                except PoolClosedError:
                    return
                begun.set()

        thread = threading.Thread(target=submit)
        thread.start()
        assert begun.wait(HANG_S)
        pool.shutdown(wait=True)
        thread.join(HANG_S)

        assert [one.result(HANG_S) for one in taken] == list(range(len(taken)))


def test_odds_and_ends(pool: SmartPool) -> None:
    """Recursion, an empty standard input, the fault handler: as in any program."""
    assert pool.submit(scenarios.factorial, 50).result(HANG_S) == scenarios.factorial(
        50
    )
    assert pool.submit(scenarios.reads_input).result(HANG_S) == ""
    assert pool.submit(scenarios.faulthandler_works).result(HANG_S)


def test_arguments_that_take_long_to_pickle() -> None:
    """Longer than idle workers stay: another one is there for them."""
    with SmartPool(1, backend="processes") as pool:
        pool._pool = Pool(Setup(1, idle_s=0.05))
        pids = set[int]()
        for _ in range(3):
            call = pool.submit(same, scenarios.SlowToPickle(0.1))
            pids.add(pool.submit(called.pid).result(HANG_S))
            assert call.result(HANG_S) == "slow"

    assert len(pids) > 1


PRODUCTS = """
from smartpool import SmartPool
from tests.scenarios import multiplies

assert multiplies(300) == 300.0
with SmartPool(2, backend="processes") as pool:
    assert list(pool.map(multiplies, [300] * 4)) == [300.0] * 4
assert multiplies(300) == 300.0
"""


@pytest.mark.skipif(find_spec("numpy") is None, reason="there is no NumPy here")
def test_products_of_matrices_here_and_there() -> None:
    """Thread pools of its library stop neither a program nor its workers."""
    done = run_script(PRODUCTS)

    assert (done.returncode, done.stderr) == (0, "")
