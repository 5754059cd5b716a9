"""Cuts what calls that wait show into windows, for the number of them to follow."""

from __future__ import annotations

from typing import NamedTuple

from .._decide.limits import Growth, Window
from .stats import Stats


class _Mark(NamedTuple):
    """The clocks at one moment."""

    at_s: float
    called: int
    busy_s: float
    cpu_s: float


class Windows:
    """The windows of one run.

    What began beside more calls, or fewer, says nothing of so many: of those that go on
    when the number changes, none is in a window.

    Args:
        stats: What is counted.
        now_s: The time, as all times here: of one clock that only goes forward.
    """

    def __init__(self, stats: Stats, now_s: float) -> None:
        self._stats = stats
        self.open(now_s)

    def open(self, now_s: float, beside: int = 0) -> None:
        """Begin the next window, after the ends of `beside` calls that go on now."""
        self._changed = self._mark(now_s)
        self._begun: _Mark | None = None if beside else self._changed
        self._from = self._stats.called + beside

    def next(self, growth: Growth, usable: int, now_s: float) -> Window | None:
        """Return the window, once it is over; else `None`.

        It is a whole round of calls, and takes a call's time at least: those that began
        at once also end at once. If they are as quick as one alone, half of them show it.

        Args:
            growth: Of which number it is.
            usable: CPUs that these calls can use together.
            now_s: The time.
        """
        now = self._mark(now_s)
        if now.called < self._from:
            return None
        begun = self._begun = self._begun or now
        results, seconds = now.called - begun.called, now.at_s - begun.at_s
        if 2 * results < growth.limit:
            return None
        call_s = (now.busy_s - begun.busy_s) / results
        if results < growth.limit or seconds < call_s:
            if not growth.is_quick(call_s):
                return None
            seconds = results * call_s / growth.limit
        since = self._changed
        elapsed_s = max(now.at_s - since.at_s, 1e-9)
        return Window(
            results,
            seconds,
            call_s,
            busy=(now.cpu_s - since.cpu_s) / elapsed_s / usable,
            going=(now.busy_s - since.busy_s) / elapsed_s,
        )

    def _mark(self, now_s: float) -> _Mark:
        stats = self._stats
        return _Mark(now_s, stats.called, stats.busy_s, stats.cpu_s)
