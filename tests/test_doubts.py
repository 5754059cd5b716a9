"""Unit: whether calls go as their plan took them to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._decide.doubts import Shown, doubt
from smartpool._decide.facts import Profile, Workload, at_pace
from smartpool._decide.kinds import kind_of
from smartpool._decide.plan import Plan
from smartpool._decide.rules import make_plan
from tests.recorded import TWO_CPUS

COMPUTES = Profile(20, 0.001, 0.001, late_s=0.001)
WAITS = Profile(1, 0.02, 0.0002, late_s=0.0)
MIXED = Profile(4, 0.01, 0.004, late_s=0.004)
RELEASES = Profile(9, 0.003, 0.003, late_s=0.0)


def plan_of(profile: Profile, items: int = 5000) -> Plan:
    return make_plan(TWO_CPUS, Workload(items=items), profile)


def shown(
    calls: int, item_s: float, working: float, at_once: float, delay_s: float = 0.0
) -> Shown:
    """Return what so many calls have shown, of which `at_once` went on side by side."""
    wall_s = calls * item_s
    return Shown(
        calls, wall_s + delay_s, working * wall_s, delay_s, wall_s / at_once, item_s
    )


def looked_at(profile: Profile, seen: Shown) -> Profile | None:
    """Return what a run is planned from again, if it does not go as planned."""
    found = doubt(plan_of(profile), profile, seen)
    return None if found is None else found.profile


@pytest.mark.parametrize(
    ("profile", "seen"),
    [
        (COMPUTES, shown(200, 0.001, 0.97, 2)),
        (COMPUTES, shown(200, 0.001, 0.97, 2, delay_s=2.0)),  # a busy machine
        (WAITS, shown(2000, 0.02, 0.01, 200)),
        (WAITS, shown(2000, 0.02, 0.03, 30)),  # many use a whole CPU
        (WAITS, shown(10, 0.02, 0.01, 1)),  # a server that lets them take turns
        (MIXED, shown(60, 0.01, 0.4, 5)),
        (RELEASES, shown(60, 0.003, 0.99, 1.8)),
    ],
)
def test_what_goes_as_planned(profile: Profile, seen: Shown) -> None:
    """There is no doubt."""
    assert looked_at(profile, seen) is None


@pytest.mark.parametrize(
    ("profile", "seen", "backend"),
    [
        (COMPUTES, shown(20, 0.02, 0.01, 2), "threads"),  # it waits now
        (COMPUTES, shown(50, 0.01, 0.4, 2), "processes"),  # in part
        (MIXED, shown(50, 0.01, 0.02, 5), "threads"),
        (MIXED, shown(50, 0.01, 0.99, 5), "processes"),
        (RELEASES, shown(50, 0.003, 0.99, 1.0), "processes"),  # threads take turns
        (COMPUTES, shown(50_000, 1e-6, 0.9, 2), "serial"),  # tiny now
    ],
)
def test_what_does_not(profile: Profile, seen: Shown, backend: str) -> None:
    """The rest is planned from what was seen."""
    found = looked_at(profile, seen)

    assert found is not None
    assert plan_of(found).backend == backend


def test_work_that_seemed_to_wait() -> None:
    """Where calls use a whole CPU together, a worker is asked."""
    found = looked_at(WAITS, shown(100, 0.001, 0.9, 1))

    assert found is not None
    assert plan_of(found).rule == "ask-a-worker"


def test_mixed_work_gets_more_workers_than_cpus() -> None:
    """From what workers have shown, with the GIL held as before."""
    found = looked_at(COMPUTES, shown(50, 0.01, 0.4, 2))

    assert found is not None
    assert kind_of(found, gil=True) == "mixed"
    assert plan_of(found).workers > TWO_CPUS.cpus


def test_another_pace_alone_is_not_worth_a_word() -> None:
    """It is told only if it leads to another place."""
    found = doubt(plan_of(COMPUTES), COMPUTES, shown(50, 0.05, 0.97, 2))

    assert found is not None
    assert not found.whatever


@given(st.floats(1e-7, 100.0))
def test_at_pace_keeps_what_parts_of_the_time_went_where(item_s: float) -> None:
    """All times are longer or shorter by the same."""
    profile = MIXED._replace(delay_s=0.001, waited_s=0.003, heart_delay_s=0.0005)

    found = at_pace(profile, item_s)

    assert found.own_s == pytest.approx(item_s)
    assert (found.cpu_s or 0) / found.own_s == pytest.approx(0.004 / 0.009)
    assert kind_of(found, gil=True) == kind_of(profile, gil=True)


def on_loops(calls: int, cpu_s: float, elapsed_s: float) -> Shown:
    """Return what so many coroutines have shown, each with so much CPU of its own."""
    return Shown(calls, calls * 0.05, calls * cpu_s, 0.0, elapsed_s)


def of_coroutines(profile: Profile | None) -> Plan:
    return make_plan(TWO_CPUS, Workload(items=5000, is_async=True), profile)


STEPS = Profile(50, 0.002, 0.002)


@pytest.mark.parametrize(
    ("profile", "seen", "rule"),
    [
        (None, on_loops(50, 0.002, 0.1), "coroutines-work"),
        (None, on_loops(50, 0.002, 0.5), None),  # there is CPU for more
        (None, on_loops(4000, 0.00003, 0.1), None),  # it is the loop that is busy
        (STEPS, on_loops(100, 0.002, 0.1), None),
        (STEPS, on_loops(100, 0.0001, 0.1), "coroutines"),  # they wait now
    ],
)
def test_coroutines_go_where_their_steps_belong(
    profile: Profile | None, seen: Shown, rule: str | None
) -> None:
    """To loops of their own if they keep one busy, and back if they do not."""
    found = doubt(of_coroutines(profile), profile, seen)

    assert (found and of_coroutines(found.profile).rule) == rule


def test_coroutines_that_stay_are_not_doubted_again() -> None:
    """What they compute is known, and that they cannot leave."""
    stuck = Workload(items=5000, is_async=True, unpicklable="a lambda")
    plan = make_plan(TWO_CPUS, stuck, STEPS)

    assert doubt(plan, STEPS, on_loops(50, 0.002, 0.1)) is None
