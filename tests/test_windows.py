"""Unit: what calls that wait show, cut into windows."""

from smartpool._backends.base import Usage
from smartpool._decide.limits import Growth
from smartpool._run.stats import Stats
from smartpool._run.windows import Windows

CALL_S = 0.02


class Counted:
    """A run's counts, and the windows made of them."""

    def __init__(self, growth: Growth) -> None:
        self.growth, self.stats, self.now_s = growth, Stats(), 100.0
        self.windows = Windows(self.stats, self.now_s)

    def ended(
        self, calls: int, after_s: float, call_s: float = CALL_S, cpu_s: float = 0.0
    ) -> None:
        """Count calls that have ended after a while."""
        self.now_s += after_s
        self.stats.count("threads", Usage(calls, calls * call_s, calls * cpu_s))
        self.window = self.windows.next(self.growth, 1, self.now_s)

    def changed(self, limit: int) -> None:
        """Let so many go on at once, from now on."""
        before, self.growth = self.growth.limit, Growth(limit, 1000, CALL_S)
        self.windows.open(self.now_s, before)


def test_a_window_is_a_round_of_calls() -> None:
    """With their rate, what each took, and how busy the CPU was."""
    run = Counted(Growth(10, 1000))
    run.ended(9, 0.03, cpu_s=0.001)
    assert run.window is None

    run.ended(1, 0.01, cpu_s=0.001)

    assert run.window is not None
    assert (run.window.results, round(run.window.seconds, 6)) == (10, 0.04)
    assert round(run.window.call_s, 6) == CALL_S
    assert round(run.window.busy, 6) == 0.25
    assert round(run.window.at_once, 6) == 5


def test_what_ends_at_once_is_no_rate() -> None:
    """A window takes a call's time at least."""
    run = Counted(Growth(10, 1000))
    run.ended(20, 0.001)
    assert run.window is None

    run.ended(1, CALL_S)
    assert run.window is not None


def test_half_of_quick_calls_show_it() -> None:
    """As quick as one alone: then they come as Little's law says."""
    run = Counted(Growth(10, 1000, alone_s=CALL_S))
    run.ended(4, 0.001)
    assert run.window is None

    run.ended(1, 0.001)
    assert run.window is not None
    assert round(run.window.rate) == round(10 / CALL_S)


def test_what_began_beside_others_is_in_no_window() -> None:
    """All that went on when their number changed has to end first."""
    run = Counted(Growth(10, 1000, alone_s=CALL_S))
    run.ended(10, CALL_S)
    run.changed(20)
    run.ended(9, 0.01, call_s=9.0)
    assert run.window is None
    run.ended(1, 0.01, call_s=9.0)
    assert run.window is None

    run.ended(10, 0.01)
    assert run.window is not None
    assert round(run.window.call_s, 6) == CALL_S
