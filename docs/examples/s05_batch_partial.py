"""Analyse a long series of readings with one configuration, and merge the results.

`functools.partial` binds the configuration, readings included. It is sent once to
each worker that is used, not once an item; and there are no slices to make by hand:
an item is a day, and smartpool decides how many days travel together.
"""

from __future__ import annotations

import os
import time
from array import array
from collections import Counter
from functools import partial
from random import Random
from typing import Any
from uuid import UUID, uuid4

from smartpool import run_parallel

DAYS = 800
MINUTES = 1440


class Config:
    """Readings of all days, and how to look at them. Each copy has its own number."""

    def __init__(self, readings: array[float], span: int) -> None:
        self.readings = readings
        self.span = span
        self.copy = uuid4()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.copy = uuid4()


class Day:
    """How often each mean was seen, and which copy of the configuration said so."""

    def __init__(self, seen: Counter[int], copy: UUID) -> None:
        self.seen = seen
        self.copy = copy
        self.process = os.getpid()


def analyse(day: int, *, config: Config) -> Day:
    """Count the means over all spans of a day, in whole numbers."""
    span = config.span
    readings = config.readings[day * MINUTES : (day + 1) * MINUTES]
    seen = Counter[int]()
    for start in range(MINUTES - span):
        total = 0.0
        for reading in readings[start : start + span]:
            total += reading
        seen[int(total / span)] += 1
    return Day(seen, config.copy)


def measure(seed: int) -> array[float]:
    random = Random(seed)
    return array("d", (random.gauss(20, 5) for _ in range(DAYS * MINUTES)))


config = Config(measure(seed=1), span=60)

begin = time.perf_counter()
plain = [analyse(day, config=config).seen for day in range(DAYS)]
plain_s = time.perf_counter() - begin

begin = time.perf_counter()
days = run_parallel(partial(analyse, config=config), range(DAYS))
smart_s = time.perf_counter() - begin

merged = sum((day.seen for day in days), Counter[int]())
assert merged == sum(plain, Counter[int]())
assert merged.total() == DAYS * (MINUTES - config.span)

copies = {(day.process, day.copy) for day in days}
processes = {day.process for day in days}
assert len(copies) == len(processes)

print(f"{merged.total()} spans in {DAYS} days, most often {merged.most_common(2)}")
print(f"one day after the other: {plain_s:.2f} s")
print(f"run_parallel: {smart_s:.2f} s, a gain of {plain_s / smart_s:.1f} times")
print(f"copies of the configuration: {len(copies)}, in {len(processes)} processes")
print(days.report)
