"""End to end: what a run has learnt serves the next one, as long as it fits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from smartpool import Report, SmartPool, learned, machine
from smartpool._observe.learned import forget_all, recall
from tests import workloads
from tests.choices import steps_for


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    forget_all()
    yield
    forget_all()


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    with SmartPool() as pool:
        yield pool


ROUNDS = 5
"""So often it is tried to have a function learnt, on a busy machine."""

WAITS = partial(workloads.do, "wait", 0.01)
COMPUTES = partial(workloads.do, "compute", steps_for(0.002))
TINY = partial(workloads.do, "nothing", 0.0)


def rules(report: Report) -> list[str]:
    return [reason.rule for reason in report.reasons]


def is_learnt(report: Report) -> bool:
    return "learnt" in rules(report)


@pytest.mark.parametrize(
    "fn", [WAITS, COMPUTES, TINY], ids=["waits", "computes", "tiny"]
)
def test_the_next_run_probes_nothing(pool: SmartPool, fn: Any) -> None:
    """It says so, and calls its items where the first run did."""
    first = pool.run_parallel(fn, range(400))
    assert not is_learnt(first.report)
    known = learned(fn)

    again = pool.run_parallel(fn, range(400))

    assert again == list(range(400))
    if known is None or known.backend == "serial":  # a probe costs nothing then
        assert not is_learnt(again.report), again.report.explain()
    else:
        assert is_learnt(again.report), again.report.explain()
        assert "serial" not in again.report.on, again.report.explain()


def test_a_single_call_teaches_a_run_nothing_wrong(pool: SmartPool) -> None:
    """Runs and calls share what is learnt."""
    for _ in range(3):
        assert pool.call(WAITS, 3) == 3

    assert pool.run_parallel(WAITS, range(50)) == list(range(50))


def test_what_was_tiny_waits_now(pool: SmartPool) -> None:
    """A block of items that take long is not called one after the other."""
    pool.run_parallel(TINY, range(10_000))

    results = pool.run_parallel(WAITS, range(2000))  # the same function, by its key

    report = results.report
    assert results == list(range(2000))
    assert report.on.get("serial", 0) < 200, report.explain()
    assert report.on.get("threads", 0) > 1000, report.explain()


def test_what_waited_is_tiny_now(pool: SmartPool) -> None:
    """All of it is called, wherever; and the next run knows better."""
    pool.run_parallel(WAITS, range(100))

    assert pool.run_parallel(TINY, range(20_000)) == list(range(20_000))


@pytest.mark.skipif(not machine().gil, reason="without a GIL threads compute")
def test_what_computed_waits_now(pool: SmartPool) -> None:
    """Calls in worker processes that wait move to threads."""
    for _ in range(ROUNDS):
        pool.run_parallel(COMPUTES, range(400))
        known = recall(COMPUTES)
        there = known is not None and known.plan.backend == "processes"
        if known is not None and there and known.profile.finished:
            break
        forget_all()
    else:
        pytest.skip("a busy machine: it was not taken for what computes")

    results = pool.run_parallel(WAITS, range(600))

    report = results.report
    assert results == list(range(600))
    assert is_learnt(report), report.explain()
    assert "not-as-planned" in rules(report), report.explain()
    assert report.on["threads"] > 200, report.explain()


@pytest.mark.skipif(not machine().gil, reason="without a GIL threads compute")
def test_what_computed_is_tiny_now(pool: SmartPool) -> None:
    """What is left comes home from the workers, and is called here."""
    pool.run_parallel(COMPUTES, range(400))
    known = learned(COMPUTES)
    if known is None or known.backend != "processes":
        pytest.skip("a busy machine: it was not taken for what computes")

    items = 300_000
    results = pool.run_parallel(TINY, range(items))

    assert results == list(range(items))
    assert sum(results.report.on.values()) == items
