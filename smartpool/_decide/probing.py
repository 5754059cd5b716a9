"""When a probe has seen enough, and how it goes about it. Pure.

The probe calls the first items, really and once, here, like a plain loop. Items of
microseconds are called in batches that double, so that a trivial workload pays a few
clock readings and no more. It ends when enough is known, or when there is nothing
left that could be gained.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .costs import TINY_S
from .facts import Profile, together

ENOUGH_S: Final = 0.02
"""After so long enough is known: 20 beats of the heart, or four switch intervals
(benchmarks/held.py)."""

PATIENCE: Final = 4.0
"""On a busy machine the probe goes on until it has seen `ENOUGH_S`, but for this many
times as long at most: a guess."""

LONG_S: Final = 0.025
"""An item that goes on for so long holds the others back, and they are decided about: a
little more than is enough, which a guess made."""

ASK_AGAIN: Final = 1.25
"""If nothing was to be done for the others, it is asked again when the item has gone on
for so many times as long: a guess."""

TINY_ENOUGH_S: Final = 0.001
"""After so long items are known to be tiny: a guess."""

NOTHING_LEFT_S: Final = 0.0005
"""When less than this is left to do, it is done here: threads cost more to start
(benchmarks/costs.py: threads, first result)."""

BATCH_S: Final = 0.001
"""A batch takes no longer than this, if one item does not: a guess."""

BATCH_MOST: Final = 4096
"""Items of a batch, at most: a guess."""


FEW: Final = 2
"""Of so few items none is taken for a cold start: a guess."""

COLD: Final = 2.0
"""A first item that makes the mean so many times what the others took was a cold start
(imports, caches), and says nothing of those that follow: a guess."""


def is_enough(spent_s: float, item_s: float, best_s: float, left: int | None) -> bool:
    """Return whether the probe should end.

    Args:
        spent_s: Seconds it has taken so far.
        item_s: Seconds an item took, on average.
        best_s: Seconds an item took in the fastest batch.
        left: Items that are left; `None` if not known.
    """
    if spent_s >= ENOUGH_S:
        return True
    if left is not None and left * item_s < NOTHING_LEFT_S:
        return True
    return spent_s >= TINY_ENOUGH_S and best_s < TINY_S


def is_clear(spent_s: float, seen_s: float) -> bool:
    """Return whether a probe has seen enough of what went on in the time it took.

    Args:
        spent_s: Seconds it has taken.
        seen_s: Seconds of them in which its instrument had a CPU.
    """
    return seen_s >= ENOUGH_S * 0.75 or spent_s >= PATIENCE * ENOUGH_S


def is_cold_start(calls: int, mean_s: float, rest_s: float) -> bool:
    """Return whether the first of some items was a cold start.

    Args:
        calls: Items, that one included.
        mean_s: Seconds they took, on average.
        rest_s: Seconds the others took, on average.
    """
    return calls > FEW and mean_s >= COLD * rest_s


def next_batch(size: int, item_s: float) -> int:
    """Return how many items the next batch has, after one of `size`."""
    most = BATCH_MOST if item_s * BATCH_MOST <= BATCH_S else int(BATCH_S / item_s)
    return max(1, min(2 * size, most))


class Seen(NamedTuple):
    """What the probes of one run have shown, where each had to be broken off.

    Attributes:
        first: What the first one showed.
        rest: What those after it showed together; `None` if there were none.
    """

    first: Profile
    rest: Profile | None = None

    def and_then(self, profile: Profile) -> Seen:
        """Return this with one more."""
        rest = profile if self.rest is None else together(self.rest, profile)
        return Seen(self.first, rest)

    @property
    def spent_s(self) -> float:
        """Seconds that the items have taken."""
        return sum(one.wall_s * one.calls for one in (self.first, self.rest) if one)

    @property
    def warm(self) -> Profile:
        """What they showed together; without the first, if that was a cold start.

        Items that are tiny after the first are: it was not, if only because it came
        first, and to call another one here costs nothing.
        """
        if self.rest is None:
            return self.first
        both, rest_s = together(self.first, self.rest), self.rest.wall_s
        cold = is_cold_start(both.calls, both.wall_s, rest_s)
        return self.rest if cold or rest_s < TINY_S else both
