"""Value the risk of many portfolios against one large table of prices.

The table is bound to the function with `functools.partial`. Worker processes do not get
a copy each: its contents are put into an anonymous memory file once, and all of them
map it. There is no `multiprocessing.shared_memory` to create, name, attach and unlink.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smartpool import machine, run_parallel

DAYS = 1500
INSTRUMENTS = 4000
PORTFOLIOS = 240
HELD = 12


class Risk(NamedTuple):
    """What was found of one portfolio, and by which process."""

    portfolio: int
    loss: float
    process: int


def value_at_risk(portfolio: int, *, prices: NDArray[np.float64]) -> Risk:
    """Return the loss that was exceeded on one day in a hundred."""
    held = np.random.default_rng(portfolio).choice(INSTRUMENTS, HELD, replace=False)
    losses: list[float] = []
    before = float(prices[0, held].sum())
    for day in range(1, DAYS):
        now = float(prices[day, held].sum())
        losses.append(1 - now / before)
        before = now
    losses.sort()
    return Risk(portfolio, losses[-DAYS // 100], os.getpid())


def measured(text: str, seconds: float, gain: float | None = None) -> None:
    """Print how long something took."""
    more = "" if gain is None else f", a gain of {gain:.1f} times"
    print(f"{text}: {seconds:.2f} s{more}")


walk = np.random.default_rng(1).normal(0, 0.01, (DAYS, INSTRUMENTS))
prices = 100 * np.exp(np.cumsum(walk, axis=0))
work = partial(value_at_risk, prices=prices)
print(f"a table of {prices.nbytes / 1e6:.0f} MB, {machine().cpus} CPUs")

began = time.perf_counter()
loop = [work(portfolio) for portfolio in range(PORTFOLIOS)]
loop_s = time.perf_counter() - began
measured("one portfolio after the other", loop_s)

began = time.perf_counter()
risks = run_parallel(work, range(PORTFOLIOS))
took_s = time.perf_counter() - began
measured("run_parallel", took_s, loop_s / took_s)

assert [risk.loss for risk in risks] == [risk.loss for risk in loop]
worst = max(risks, key=lambda risk: risk.loss)
print(
    f"the worst is portfolio {worst.portfolio}: {worst.loss:.2%} on one day in a hundred"
)
print(risks.report)
