"""Measure one workload: the plain loop and smartpool, on the same items."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from smartpool import Report, Results, run_parallel

from .workloads import Workload

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a workload.

    Attributes:
        workload: The workload.
        plain_s: Seconds of the plain loop, over all items.
        smartpool_s: Seconds of `run_parallel`, over the same items.
        report: Its report.
        equal: Whether both gave the same results.
    """

    workload: Workload
    plain_s: float
    smartpool_s: float
    report: Report
    equal: bool

    @property
    def gain(self) -> float:
        """How many times faster than the plain loop it was."""
        return self.plain_s / self.smartpool_s


def measure(workload: Workload) -> Measured:
    """Run a workload both ways, and compare the results."""
    rounds = [_both_ways(workload) for _ in range(workload.repeat)]
    return Measured(
        workload,
        median(each.plain_s for each in rounds),
        median(each.smartpool_s for each in rounds),
        rounds[0].report,
        all(each.equal for each in rounds),
    )


def _both_ways(workload: Workload) -> Measured:
    plain, plain_s = _timed(lambda: plain_loop(workload))
    # Were the results kept, the second way alone would have to ask for new memory.
    expected = _fingerprint(plain)
    del plain
    results, smartpool_s = _timed(lambda: in_parallel(workload))
    equal = _fingerprint(results) == expected
    return Measured(workload, plain_s, smartpool_s, results.report, equal)


def _fingerprint(results: list[Any]) -> tuple[int, int]:
    return len(results), hash(tuple(results))


def plain_loop(workload: Workload) -> list[Any]:
    """Return the results as one would get them without smartpool."""
    fn, items = workload.fn, workload.items
    if not workload.is_async:
        return [fn(item) for item in items]

    async def one_by_one() -> list[Any]:
        return [await fn(item) for item in items]

    return asyncio.run(one_by_one())


def in_parallel(workload: Workload) -> Results[Any]:
    """Return the results as smartpool gives them, unaided."""
    return run_parallel(workload.fn, workload.items)


def _timed(work: Callable[[], R]) -> tuple[R, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin
