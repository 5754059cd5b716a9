"""Unit: what a profile says of a function, and when it says nothing."""

from typing import get_args

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from smartpool._decide.facts import Profile
from smartpool._decide.kinds import (
    HELD_ABOVE,
    HELD_SURELY,
    OTHERS_BUSY,
    held,
    holds_gil,
    kind_of,
    working,
)
from smartpool._decide.plan import Kind
from tests.strategies import profiles, realistic_profiles

WORKS = Profile(calls=10, wall_s=2e-3, cpu_s=1.98e-3, delay_s=0.0, late_s=1.6e-3)
RELEASES = WORKS._replace(late_s=5e-5, heart_slept_s=1.8e-3)
WAITS = WORKS._replace(cpu_s=2e-5, late_s=0.0, heart_slept_s=1.9e-3)
BOTH = WORKS._replace(cpu_s=8e-4, late_s=7e-4, heart_slept_s=1.2e-3)


@pytest.mark.parametrize(
    ("profile", "with_gil", "without"),
    [
        pytest.param(WORKS, "cpu", "nogil", id="works"),
        pytest.param(RELEASES, "nogil", "nogil", id="releases"),
        pytest.param(WAITS, "io", "io", id="waits"),
        pytest.param(BOTH, "mixed", "io", id="both"),
        pytest.param(BOTH._replace(late_s=2e-5), "io", "io", id="waits-and-releases"),
        pytest.param(Profile(9, 2e-3), "unknown", "unknown", id="no-clock"),
        pytest.param(WORKS._replace(wall_s=0.0), "unknown", "unknown", id="no-time"),
        pytest.param(WORKS._replace(late_s=None), "unknown", "nogil", id="no-heart"),
        pytest.param(
            WORKS._replace(others_share=0.5), "unknown", "nogil", id="busy-program"
        ),
        pytest.param(
            WAITS._replace(others_share=1.0, late_s=1.5e-3),
            "io",
            "io",
            id="waits-in-a-busy-program",
        ),
        pytest.param(
            BOTH._replace(delay_s=6e-4), "unknown", "unknown", id="busy-machine"
        ),
        pytest.param(
            WAITS._replace(delay_s=6e-4), "io", "io", id="waits-on-a-busy-machine"
        ),
    ],
)
def test_what_a_function_is_taken_for(
    profile: Profile, with_gil: str, without: str
) -> None:
    """Working or waiting, holding the GIL or not: four answers, and unknown."""
    assert kind_of(profile, gil=True) == with_gil
    assert kind_of(profile, gil=False) == without


def test_a_busy_machine_makes_nothing_wait() -> None:
    """Time without a CPU is neither work nor waiting."""
    profile = WORKS._replace(wall_s=4e-3, delay_s=2e-3)

    least, most = working(profile) or (0.0, 0.0)

    assert least == most == pytest.approx(0.99)


def test_what_the_heart_slept_through_is_like_what_it_saw() -> None:
    """The GIL was held then for the share of its beats that were late."""
    awake = Profile(1, 10e-3, 10e-3, late_s=8e-3)
    half = awake._replace(late_s=4e-3, heart_slept_s=5e-3, late_beats=0.8)

    assert held(awake) == pytest.approx(0.8)
    assert held(half) == pytest.approx(0.8)


def test_one_stall_of_the_machine_holds_no_gil() -> None:
    """One late beat among many in time counts for no more than it took."""
    stalled = Profile(1, 20e-3, 20e-3, late_s=6e-3, heart_slept_s=14e-3)
    once = stalled._replace(late_beats=1 / 15)
    often = stalled._replace(late_beats=14 / 15)

    assert holds_gil(once) is False
    assert holds_gil(often) is True


def test_what_is_no_wait_for_the_gil_holds_none() -> None:
    """A thread that was late and had not waited was kept off its CPU."""
    stalled = Profile(1, 20e-3, 20e-3, late_s=15e-3, late_beats=0.5)

    assert holds_gil(stalled) is True
    assert holds_gil(stalled._replace(waited_s=1e-3)) is False
    assert holds_gil(stalled._replace(waited_s=15e-3)) is True


def test_a_heart_without_a_cpu_may_have_missed_it() -> None:
    """It is not known whether the GIL was held, unless it was seen to be."""
    blind = WORKS._replace(late_s=1.7e-3, heart_delay_s=1.6e-3)

    assert holds_gil(blind) is None
    assert holds_gil(blind._replace(late_s=3.4e-3)) is True


def test_what_is_held_partly_is_looked_at_again() -> None:
    """The machine may have stood still: a worker has the second look, and the last."""
    partly = WORKS._replace(late_s=1.2e-3)
    share = held(partly)
    assert share is not None
    assert HELD_ABOVE < share < HELD_SURELY

    assert holds_gil(partly) is None
    assert kind_of(partly, gil=True) == "unknown"
    assert kind_of(partly._replace(where="worker"), gil=True) == "cpu"


@given(profiles(), st.booleans())
@example(WORKS._replace(heart_slept_s=5e-324, late_beats=0.5), True)  # half is nothing
def test_every_profile_is_of_some_kind(profile: Profile, gil: bool) -> None:
    """No profile is too odd to be asked; shares are shares."""
    assert kind_of(profile, gil=gil) in get_args(Kind)
    least, most = working(profile) or (0.0, 1.0)
    assert 0.0 <= least <= most <= 1.0
    assert 0.0 <= (held(profile) or 0.0) <= 1.0


@given(profiles())
def test_without_a_gil_nobody_holds_it(profile: Profile) -> None:
    """Where the GIL is off, no function is taken for one that holds it."""
    assert kind_of(profile, gil=False) in ("io", "nogil", "unknown")


@given(realistic_profiles(), st.floats(1e-3, 1e3))
def test_how_long_items_take_says_nothing_of_the_kind(
    profile: Profile, factor: float
) -> None:
    """Shares count, not seconds."""
    times = {
        name: seconds * factor
        for name, seconds in profile._asdict().items()
        if name.endswith("_s") and seconds
    }
    slower = profile._replace(**times)
    assume(slower.cpu_s or not profile.cpu_s)  # it may vanish between floats

    assert working(slower) == pytest.approx(working(profile), abs=1e-6)
    assert held(slower) == pytest.approx(held(profile), abs=1e-6)


@given(realistic_profiles(), st.floats(OTHERS_BUSY + 0.01, 8.0))
def test_a_busy_program_never_makes_a_function_hold_the_gil(
    profile: Profile, share: float
) -> None:
    """While others compute, the answer is waiting or unknown."""
    busy = profile._replace(others_share=share)

    assert kind_of(busy, gil=True) in ("io", "unknown")
