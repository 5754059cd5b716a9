"""Unit: how many calls that wait may go on at once, to begin with and later."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._decide.limits import GAIN, Growth, ceiling, waits_at_once

counts = st.integers(1, 10_000)


@pytest.mark.parametrize(
    ("wall_s", "cpu_s", "cpus", "calls"),
    [
        (0.010, 0.004, 2, 5),  # 6 ms of waiting and 4 ms of work
        (0.010, 0.010, 2, 2),  # work alone
        (0.010, 0.005, 1, 2),
        (0.020, 0.0002, 4, 400),
        (0.020, 0.0, 1, 20_000),
        (0.001, 0.002, 2, 2),  # clocks that disagree
        (0.0, 0.0, 3, 3),
    ],
)
def test_littles_law(wall_s: float, cpu_s: float, cpus: int, calls: int) -> None:
    """A core is full with 1 + wait / CPU calls."""
    assert waits_at_once(wall_s, cpu_s, cpus) == calls


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 1024))
def test_there_is_a_call_for_each_cpu(wall_s: float, cpu_s: float, cpus: int) -> None:
    """Whatever was measured, no CPU is left without a call."""
    assert waits_at_once(wall_s, cpu_s, cpus) >= cpus


@given(st.floats(1e-6, 100), st.floats(1e-6, 100), st.integers(1, 64), counts)
def test_more_cpus_take_more_calls(
    wall_s: float, cpu_s: float, cpus: int, more: int
) -> None:
    """The number of calls grows with the number of CPUs."""
    few, many = (waits_at_once(wall_s, cpu_s, n) for n in (cpus, cpus + more))

    assert few <= many


@given(counts, st.none() | st.integers(0, 10_000), st.none() | st.integers(0, 10_000))
def test_the_ceiling_leaves_room(
    most: int, items: int | None, files: int | None
) -> None:
    """At least one call; no more than items; and half of the descriptors stay free."""
    found = ceiling(most, items, files)

    assert 1 <= found <= most
    assert items is None or found <= max(1, items)
    assert files is None or found <= max(1, files // 2)


@given(
    counts,
    counts,
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e3)), max_size=30),
)
def test_growth_only_goes_up_to_its_bound(
    limit: int, more: int, windows: list[tuple[int, float]]
) -> None:
    """Whatever the windows bring, the limit never falls, nor passes its bound."""
    growth = Growth(limit, limit + more)
    for results, seconds in windows:
        following = growth.after(results, seconds)
        assert growth.limit <= following.limit <= following.most == growth.most
        assert following.limit <= 2 * growth.limit
        assert not growth.settled or following.limit == growth.limit
        growth = following


def grown(rate_at: Callable[[int], float], limit: int = 2, most: int = 1024) -> int:
    """Return the limit that growth settles at; windows are a round of calls each."""
    growth = Growth(limit, most)
    for _ in range(40):
        following = growth.after(growth.limit, growth.limit / rate_at(growth.limit))
        if growth.settled or growth.limit == most:
            assert following.limit == growth.limit
        growth = following
    return growth.limit


def test_growth_goes_on_while_it_brings_results() -> None:
    """Calls that only wait get all that they may have."""
    assert grown(lambda limit: limit * 50.0) == 1024


@pytest.mark.parametrize("full", [1, 2, 7, 64, 500])
def test_growth_ends_where_throughput_does(full: int) -> None:
    """A server that serves `full` calls at once is not sent many times as many."""
    assert grown(lambda limit: min(limit, full) * 50.0) <= max(4, 4 * full)


@given(st.integers(1, 64), st.floats(1.0, 1e4))
def test_growth_that_brings_nothing_ends_after_one_doubling(
    limit: int, rate: float
) -> None:
    """The first window has nothing to be compared with; the second one has."""
    assert grown(lambda _: rate, limit, 10**6) == 2 * limit


def test_a_doubling_has_to_bring_its_gain() -> None:
    """A little less than the gain settles it; the gain itself goes on."""
    first = Growth(10, 100).after(100, 1.0)

    assert first.limit == 20
    assert first.after(round(100 * GAIN) - 1, 1.0).settled
    assert first.after(round(100 * GAIN) + 1, 1.0).limit == 40


def test_a_window_without_time_proves_nothing() -> None:
    """A clock that stood still does not settle it."""
    assert not Growth(10, 100).after(10, 0.0).after(10, 1.0).settled
