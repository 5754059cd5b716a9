"""How many calls that wait may go on at once: a start, and a way to grow.

The start is Little's law for a CPU: while one call waits, others can compute, so a
core is full with 1 + wait / CPU calls. From there the number doubles while that
brings more results a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Growth:
    """One run's way up. Pure: each step returns the next.

    Attributes:
        limit: Calls at once, now.
        most: Calls at once, at most.
        rate: Results a second in the last window; 0 before the first.
        settled: Whether a doubling has been seen to bring nothing.
    """

    limit: int
    most: int
    rate: float = 0.0
    settled: bool = False

    def after(self, results: int, seconds: float) -> Growth:
        """Return what follows a window in which `results` came in `seconds`."""
        rate = results / seconds if seconds > 0 else 0.0
        if self.settled or self.limit >= self.most:
            return Growth(self.limit, self.most, rate, self.settled)
        if self.rate and rate < self.rate * GAIN:
            return Growth(self.limit, self.most, rate, settled=True)
        return Growth(min(self.most, self.limit * 2), self.most, rate)
