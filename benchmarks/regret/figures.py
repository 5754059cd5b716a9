"""From seconds to regret. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median

Readings = Mapping[str, Sequence[float]]
"""Seconds by contender, in the order in which they were measured."""


@dataclass(frozen=True)
class Regret:
    """How much longer ours took than the best rival.

    Attributes:
        ours_s: Seconds, the median.
        best_s: The best rival's, the median of readings that did not choose it.
        best: Its name.
        value: The ratio of both.
    """

    ours_s: float
    best_s: float
    best: str
    value: float


def regret(ours: Sequence[float], rivals: Readings) -> Regret | None:
    """Return the regret; `None` without two readings of anybody.

    The best rival is chosen by every second reading and timed by the others, and the
    other way round; the value is the geometric mean of both. So luck does not pick it,
    which is the more likely the more rivals there are.
    """
    known = {name: many for name, many in rivals.items() if len(many) >= 2}
    if not known or not ours:
        return None
    chosen = [_chosen(known, first) for first in (0, 1)]
    ours_s = median(ours)
    best_s = geometric_mean([seconds for _, seconds in chosen])
    return Regret(ours_s, best_s, chosen[0][0], ours_s / best_s)


def _chosen(rivals: Readings, first: int) -> tuple[str, float]:
    """Choose the best by the readings from `first` on, every second; time it by the rest."""
    best = min(rivals, key=lambda name: median(rivals[name][first::2]))
    return best, median(rivals[best][1 - first :: 2])


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean, of at least one value."""
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))
