"""How many items the next chunk gets.

Factoring (Flynn Hummel, Schonberg, Flynn, CACM 1992): rounds of ceil(rest / 2W), so
that big chunks come first and small ones level out the end. Floored, so that what a
chunk costs stays a small part of it; capped, so that a plan can be changed, an error
can stop the run and other runs get their turn soon.
"""

from __future__ import annotations

from math import ceil
from typing import Final

OVERHEAD_S: Final = 0.00015
"""What a chunk costs, handing over and back (benchmarks/costs.py: round trip)."""

OVERHEAD_SHARE: Final = 0.05
"""The part of a chunk's time that this may be: a choice."""

TARGET_S: Final = 0.2
"""No chunk is meant to take longer (joblib's, by its benchmark of batch sizes)."""

WORK_TARGET_S: Final = 0.02
"""The same on threads whose calls compute. The engine's thread competes with them for a
CPU at each chunk: 2 ms instead make SHA-256 take 1.2 times as long, and 50 ms gain
nothing (benchmarks/costs.py says what a chunk costs; sha256 of benchmarks.regret)."""

THREAD_TARGET_S: Final = 0.002
"""The same on threads whose calls may wait, where handing over costs some 50 us (benchmarks/costs.py)
and where a chunk of items that wait would make them wait one after the other."""

FIRST: Final = 1
"""Size while nothing has been measured: a choice, the least there is."""

GROWTH: Final = 8
"""A chunk has at most this many times the items that were measured so far: a guess
that one cheap item does not send thousands of dear ones along."""


def next_chunk_size(
    rest: int | None,
    workers: int,
    item_s: float | None,
    measured: int,
    target_s: float = TARGET_S,
) -> int:
    """Return how many items the next chunk gets, at least 1.

    Args:
        rest: Items that are not called yet; `None` if the input does not say.
        workers: Places that call items at once.
        item_s: Seconds an item takes, as measured; `None` if it has not been.
        measured: Items that were measured.
        target_s: Seconds that the chunk should take, at most.
    """
    if item_s is None or measured < 1:
        return FIRST
    item_s = max(item_s, 1e-9)
    cap = max(1, int(target_s / item_s))
    floor = ceil(OVERHEAD_S / OVERHEAD_SHARE / item_s)
    share = cap if rest is None else ceil(rest / (2 * max(1, workers)))
    even = cap if rest is None else max(1, ceil(rest / max(1, workers)))
    return max(1, min(max(share, floor), cap, even, GROWTH * measured))
