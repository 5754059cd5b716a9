"""The demo from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import smartpool

from . import corpus, table, workloads
from .measure import Measured, measure
from .server import serving

Say = Callable[[str], None]


def run(say: Say, *, quick: bool = False) -> int:
    """Run the demo.

    Args:
        say: Called with each line of what it has to say, as soon as that is known.
        quick: Do a quarter of the work: enough for a look, little for gains.

    Returns:
        0, or 1 if smartpool's results were not those of the plain loop.
    """
    begin = time.perf_counter()
    sizes = workloads.QUICK if quick else workloads.FULL
    sources = corpus.standard_library(sizes.files)
    _say_all(say, table.opening(smartpool.__version__, smartpool.machine(), sources))
    measured = [
        _measure(say, number, workload)
        for number, workload in enumerate(workloads.computing(sources, sizes), 1)
    ]
    plain, mixed = workloads.to_fetch(sources, sizes)
    with serving([*plain, *mixed]) as urls:
        split = urls[: len(plain)], urls[len(plain) :]
        for workload in workloads.fetching(*split):
            measured.append(_measure(say, len(measured) + 1, workload))
    _say_all(say, table.summary(measured))
    _say_all(say, table.closing(measured, time.perf_counter() - begin))
    return 0 if all(each.equal for each in measured) else 1


def _measure(say: Say, number: int, workload: workloads.Workload) -> Measured:
    measured = measure(workload)
    _say_all(say, table.announced(number, measured))
    return measured


def _say_all(say: Say, lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
