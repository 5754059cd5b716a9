"""Unit: how many calls that wait may go on at once, to begin with and later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._decide.limits import FEW, GAIN, Growth, Window, ceiling, waits_at_once

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


windows = st.builds(
    Window,
    results=st.integers(0, 10**6),
    seconds=st.floats(0, 1e3),
    call_s=st.floats(0, 100),
    busy=st.floats(0, 4),
)


@given(counts, counts, st.lists(windows, max_size=30))
def test_growth_stays_within_its_bounds(
    limit: int, more: int, following: list[Window]
) -> None:
    """Whatever the windows bring: from one to its bound, and by doublings at most, few by twice that."""
    growth = Growth(limit, limit + more)
    for window in following:
        before, growth = growth, growth.after(window)
        assert 1 <= growth.limit <= growth.most == before.most
        assert growth.limit <= max(2 * before.limit + 1, min(4 * before.limit, 4 * FEW))


CALL_S = 0.02


class Server:
    """Takes 20 ms for a call; more than `full` at once take each other's time.

    It is asked for a round of calls at a time.

    Args:
        full: Calls at once that it serves side by side.
        power: 1 where more of them share what there is, 2 where they lose by it.
        cpu_s: Seconds of CPU that a call takes here.
    """

    def __init__(self, full: float, power: float = 1.0, cpu_s: float = 0.0) -> None:
        self.full, self.power, self.cpu_s = full, power, cpu_s

    def window(self, limit: int) -> Window:
        call_s = CALL_S * max(1.0, limit / self.full) ** self.power
        seconds = max(call_s, limit * self.cpu_s)
        busy = limit * self.cpu_s / seconds
        return Window(limit, seconds, max(call_s, seconds), busy)


def grown(
    server: Server,
    limit: int = 2,
    most: int = 1024,
    alone_s: float = CALL_S,
    rounds: int = 40,
) -> list[int]:
    """Return the limits of so many windows."""
    growth, limits = Growth(limit, most, alone_s), list[int]()
    for _ in range(rounds):
        growth = growth.after(server.window(growth.limit))
        limits.append(growth.limit)
    return limits


def test_growth_goes_on_while_it_brings_results() -> None:
    """Calls that only wait get all that they may have."""
    assert grown(Server(full=10**6))[-1] == 1024


@pytest.mark.parametrize("full", [1, 2, 7, 64, 500])
def test_growth_ends_where_throughput_does(full: int) -> None:
    """A server that serves `full` calls at once is not sent many times as many."""
    assert full / 2 <= grown(Server(full))[-1] <= max(2, 2 * full)


@pytest.mark.parametrize("alone_s", [0.0, CALL_S])
@pytest.mark.parametrize("limit", [2, 17, 64, 100, 128, 256, 800])
def test_a_server_that_degrades_gets_about_what_it_can_take(
    limit: int, alone_s: float
) -> None:
    """Beyond 64 at once it loses: wherever it begins, it settles near that."""
    limits = grown(Server(full=64, power=2.0), limit, alone_s=alone_s)

    assert 32 <= limits[-1] <= 100, limits
    assert len(set(limits[10:])) == 1, limits
    assert max(limits) <= max(140, 2 * limit), limits


def test_growth_ends_where_the_cpu_is_full() -> None:
    """More calls at once would bring nothing, and are not tried."""
    limits = grown(Server(full=10**6, cpu_s=0.001), 10)

    assert limits[-1] in (20, 40)
    assert max(limits) == limits[-1]


def test_a_server_that_gets_slow_later() -> None:
    """Where the rate collapses and calls take longer, fewer at once are tried."""
    growth, strong, weak = Growth(32, 1024, CALL_S), Server(500), Server(20, 2.0)
    for _ in range(20):
        growth = growth.after(strong.window(growth.limit))
    assert growth.limit >= 256

    for _ in range(20):
        growth = growth.after(weak.window(growth.limit))

    assert 10 <= growth.limit <= 40


@given(st.integers(1, 64), st.floats(1.0, 1e4))
def test_growth_that_brings_nothing_goes_back(limit: int, rate: float) -> None:
    """The first window has nothing to be compared with; the second one has."""
    growth = Growth(limit, 10**6)
    for limits in (2 * limit, limit, limit):
        growth = growth.after(Window(round(1000 * rate), 1000.0))
        assert growth.limit == limits
    assert growth.settled


def test_a_doubling_has_to_bring_its_gain() -> None:
    """A little less than the gain settles it; the gain itself goes on."""
    first = Growth(10, 100).after(Window(100, 1.0))

    assert first.limit == 20
    assert first.after(Window(round(100 * GAIN) - 1, 1.0)).settled
    assert first.after(Window(round(100 * GAIN) + 1, 1.0)).limit == 40


def test_a_window_without_time_proves_nothing() -> None:
    """A clock that stood still does not settle it."""
    assert not Growth(10, 100).after(Window(10, 0.0)).after(Window(10, 1.0)).settled


def test_a_refusal_halves_for_good() -> None:
    """Where descriptors have run out, as many again are not tried."""
    growth = Growth(100, 1000).refused()

    assert (growth.limit, growth.most) == (50, 50)
    assert growth.after(Window(1000, 0.1)).limit == 50
    assert Growth(1, 10).refused().limit == 1


def test_who_waits_for_clocks_alone_is_in_nobodys_way() -> None:
    """All that may go on at once do."""
    assert Growth(100, 5000).freed().limit == 5000


def test_so_many_may_as_long_as_it_is_not_known_whether_they_compute() -> None:
    """Never fewer than before, and never more than may be."""
    assert Growth(100, 5000).freed(256).limit == 256
    assert Growth(400, 5000).freed(256).limit == 400
    assert Growth(100, 200).freed(256).limit == 200


def test_what_gets_slow_is_looked_at_once_more() -> None:
    """A window of calls that began beside fewer is not followed by twice as many."""
    slow = Window(100, 0.02, call_s=CALL_S * 1.5)
    growth = Growth(100, 1000, CALL_S).after(slow)
    assert growth.limit == 100

    assert growth.after(Window(100, 0.02, call_s=CALL_S)).limit == 200
    assert growth.after(slow).settled


def test_too_many_are_followed_by_those_that_are_served() -> None:
    """Of calls that wait in a queue, Little's law says how many are being served."""
    growth = Growth(200, 1000, CALL_S).after(Window(200, 0.2, call_s=0.2))

    assert growth.limit == 25  # 1000 a second of 20 ms each, and a quarter more
    assert growth.crowded == 200


def test_between_the_best_and_too_many() -> None:
    """A step is tried if there is room for it; else the best stays."""
    far = Growth(160, 1000, CALL_S, best=(40, 1000.0))
    near = Growth(160, 1000, CALL_S, best=(80, 2000.0))
    too_many = Window(160, 0.1, call_s=0.1)

    assert far.after(too_many).limit == 60
    assert near.after(too_many).limit == 80
    assert near.after(too_many).settled
