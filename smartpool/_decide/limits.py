"""How many calls that wait may go on at once: a start, and a way to grow.

The start is Little's law for a CPU: while one call waits, others can compute, so a
core is full with 1 + wait / CPU calls. From there the number follows what is measured:
`Growth`.
"""

from __future__ import annotations

from math import ceil
from typing import Final, Literal, NamedTuple

START_MOST: Final = 256
"""More than this is reached by growing only: a guess between a trickle and a stampede.
(asyncio's own connection limits are 100, Go's HTTP client has none.)"""

START_BLIND: Final = 100
"""Coroutines to begin with while nothing has been measured (aiohttp's limit)."""

THREADS_MOST: Final = 1024
"""Threads a run may grow to (benchmarks/costs.py: 8 MB of address space each, some
50 us to start, so that 1024 take 50 ms)."""

COROUTINES_MOST: Final = 10_000
"""Coroutines a run may grow to (a few kB each): a guess."""

DESCRIPTOR_SHARE: Final = 0.5
"""A call that waits is taken to hold one descriptor; half of them stay free:
a guess."""

GAIN: Final = 1.10
"""What a doubling has to bring, in results a second, to be followed by another:
a guess."""

KEEP: Final = 0.95
"""With half as many calls at once this share of the results a second is as good:
a guess, as large as a quiet machine's noise."""

FULL: Final = 0.25
"""Of the calls that may go on at once so many have to, before there may be more:
a guess."""

FEW: Final = 64
"""So few calls at once, of which none is in another's way, grow twice as fast: a guess."""

STEP: Final = 1.5
"""By so much it grows where too many have been seen: a guess, so that the next step is
not far too many again."""

HEADROOM: Final = 1.25
"""Calls at once, of those that a queue leaves to be served, after too many: a guess, so
that there is always one to serve."""

ROOM: Final = 0.75
"""Of too many this share is tried, at most: a guess."""

INFLATED: Final = 2.0
"""Calls that take so many times as long as one takes at best wait for one another:
a guess between noise and a queue that is as long as the work."""

SLOWED: Final = 1.25
"""Calls that take so many times as long are looked at once more before there are twice
as many, since those that have begun beside fewer end first: a guess."""

COLLAPSED: Final = 0.5
"""What is left of the best rate when all is looked at anew: a guess."""

BUSY: Final = 0.85
"""Share of the CPUs that calls can use from which on more of them bring nothing:
a guess."""


def waits_at_once(wall_s: float, cpu_s: float, cpus: int) -> int:
    """Return how many calls fill the CPUs: 1 + wait / CPU for each of them."""
    cpu_s = max(cpu_s, 1e-6)
    return max(1, round(cpus * (1 + max(0.0, wall_s - cpu_s) / cpu_s)))


def ceiling(most: int, items: int | None, max_open_files: int | None) -> int:
    """Return `most`, or fewer where items or descriptors are fewer."""
    if max_open_files is not None:
        most = min(most, int(max_open_files * DESCRIPTOR_SHARE))
    if items is not None:
        most = min(most, items)
    return max(1, most)


Phase = Literal["up", "down", "settled"]


class Window(NamedTuple):
    """What a round of calls has brought: about as many results as calls at once.

    Attributes:
        results: Results that came.
        seconds: In so many seconds.
        call_s: Seconds that a call took, on average; 0 if not known.
        busy: Share of the CPUs that they could use which they did use.
        going: Calls that went on at once since there may be so many, on average; 0 if
            only the window says.
    """

    results: int
    seconds: float
    call_s: float = 0.0
    busy: float = 0.0
    going: float = 0.0

    @property
    def rate(self) -> float:
        """Results a second."""
        return self.results / self.seconds if self.seconds > 0 else 0.0

    @property
    def at_once(self) -> float:
        """Calls that went on at once, on average (by Little's law)."""
        return self.going or self.rate * self.call_s


class Growth(NamedTuple):
    """How many calls of one run go on at once, from window to window. Pure.

    It doubles while calls take no longer than one alone, or while that brings more
    results a second, and goes back to the best that was seen when it does not. Where calls take much longer together than alone, they
    wait in a queue somewhere: then there are as many as are being served there, by
    Little's law, and it grows from that in smaller steps. Once it has settled it stays,
    until the rate collapses.

    Attributes:
        limit: Calls at once, now.
        most: Calls at once, at most.
        alone_s: Seconds that a call took when no other went on; 0 if that is not known.
        base_s: Seconds that calls took at best, in a window.
        best: The limit with the best rate so far, and that rate; a rate of 0 is none.
        crowded: The fewest calls at once that were seen to wait for one another; 0 if
            none were.
        phase: Where it is going.
    """

    limit: int
    most: int
    alone_s: float = 0.0
    base_s: float = 0.0
    best: tuple[int, float] = (0, 0.0)
    crowded: int = 0
    phase: Phase = "up"

    @property
    def settled(self) -> bool:
        """Whether it stays as long as nothing changes."""
        return self.phase == "settled"

    def is_quick(self, call_s: float) -> bool:
        """Return whether calls that take so long are in nobody's way, as far as known."""
        base_s = min(self.alone_s, self.base_s or self.alone_s)
        return self.phase == "up" and 0 < call_s <= SLOWED * base_s

    def after(self, window: Window) -> Growth:
        """Return what follows `window`, which went by with this limit."""
        if window.rate <= 0:
            return self
        known = [one for one in (self.alone_s, self.base_s, window.call_s) if one]
        base_s = min(known, default=0.0)
        return _FOLLOWS[self.phase](self._replace(base_s=base_s), window)

    def refused(self) -> Growth:
        """Return what follows when a call could not get what it needs: fewer."""
        most = max(1, self.limit // 2)
        return self._replace(limit=most, most=most, phase="settled")

    def freed(self, most: int | None = None) -> Growth:
        """Return what follows when it is known that no call is in another's way.

        Args:
            most: So many at once for now, if it is not known yet whether they compute.
        """
        if most is None or most >= self.most:
            return self._replace(limit=self.most, phase="settled")
        return self._replace(limit=max(self.limit, most))


def _go_up(growth: Growth, window: Window) -> Growth:
    best_at, best_rate = growth.best
    again = best_at == growth.limit
    if _is_crowded(growth, window):
        return _back_off(growth, window)
    slowed = growth.base_s > 0 and window.call_s > SLOWED * growth.base_s
    # Calls that are as quick as one alone are in nobody's way. If they are fewer than
    # may be, their threads are still being started, or there is no more input.
    surely = growth.alone_s > 0 and not slowed
    if surely and window.at_once < FULL * growth.limit:
        return growth
    if best_rate and not (again or surely) and window.rate < best_rate * GAIN:
        if window.rate < best_rate * KEEP:
            return _halved(growth, best_at)  # too many already, perhaps
        return growth._replace(limit=best_at, phase="settled")
    growth = growth._replace(best=(growth.limit, window.rate))
    more = _more(growth, 4 if surely and growth.limit < FEW else 2)
    if more <= growth.limit:
        return growth._replace(phase="settled")
    if slowed or window.busy >= BUSY:
        return growth._replace(phase="settled") if again else growth  # a second look
    return growth._replace(limit=more)


def _more(growth: Growth, times: int = 2) -> int:
    if not growth.crowded:
        return min(growth.most, times * growth.limit)
    more = ceil(STEP * growth.limit)
    return min(growth.most, more) if more < ROOM * growth.crowded else growth.limit


def _back_off(growth: Growth, window: Window) -> Growth:
    """Return what follows too many: something between the best and that."""
    best_at, best_rate = growth.best
    if not best_rate or best_at >= growth.limit:
        return _served(growth, window)
    growth = growth._replace(limit=best_at, crowded=growth.limit)
    if not growth.alone_s:  # the best may be far too many as well
        return _halved(growth, best_at)
    more = _more(growth)
    return growth._replace(limit=more, phase="up" if more > best_at else "settled")


def _go_down(growth: Growth, window: Window) -> Growth:
    best_at, best_rate = growth.best
    if window.rate < best_rate * KEEP:
        return growth._replace(limit=best_at, phase="settled")
    growth = growth._replace(best=(growth.limit, window.rate))
    if window.rate >= best_rate * GAIN or _is_crowded(growth, window):
        return _halved(growth, growth.limit)
    return growth._replace(phase="settled")


def _halved(growth: Growth, limit: int) -> Growth:
    if limit <= 1:
        return growth._replace(limit=1, phase="settled")
    return growth._replace(limit=limit // 2, phase="down")


def _stay(growth: Growth, window: Window) -> Growth:
    collapsed = window.rate < growth.best[1] * COLLAPSED
    if not (collapsed and _is_crowded(growth, window)):
        return growth
    return _served(growth, window)


def _served(growth: Growth, window: Window) -> Growth:
    """Return what follows where calls wait in a queue: as many as are being served."""
    served = min(HEADROOM * window.rate * growth.base_s, growth.limit - 1)
    return growth._replace(
        limit=max(1, ceil(served)),
        best=(0, 0.0),
        crowded=growth.limit,
        phase="up",
    )


def _is_crowded(growth: Growth, window: Window) -> bool:
    return growth.base_s > 0 and window.call_s > INFLATED * growth.base_s


_FOLLOWS: Final = {"up": _go_up, "down": _go_down, "settled": _stay}
