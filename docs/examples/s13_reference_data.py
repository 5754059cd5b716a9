"""Try trading rules on many instruments, against one large table of prices.

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
TRIED = 300
STOPS = [0.01 * percent for percent in range(1, 61)]


class Best(NamedTuple):
    """The best rule for one instrument, and by which process it was found."""

    instrument: int
    stop: float
    gain: float
    process: int


def with_stop(prices: list[float], stop: float) -> float:
    """Return what money becomes that is out after a fall by `stop`, in after a rise."""
    money, bought = 1.0, prices[0]
    high = low = bought
    for price in prices:
        if bought:
            high = max(high, price)
            if price < high * (1 - stop):
                money, bought, low = money * price / bought, 0.0, price
        else:
            low = min(low, price)
            if price > low * (1 + stop):
                bought = high = price
    return money * prices[-1] / bought if bought else money


def best_stop(instrument: int, *, prices: NDArray[np.float64]) -> Best:
    """Try all of `STOPS` on one instrument: each depends on the whole path of it."""
    path: list[float] = prices[:, instrument].tolist()
    gain, stop = max((with_stop(path, stop), stop) for stop in STOPS)
    return Best(instrument, stop, gain, os.getpid())


walk = np.random.default_rng(1).normal(0, 0.01, (DAYS, INSTRUMENTS))
walk[1:] += 0.5 * walk[:-1]  # what fell goes on falling, a little
prices = 100 * np.exp(np.cumsum(walk, axis=0))
work = partial(best_stop, prices=prices)
print(f"a table of {prices.nbytes / 1e6:.0f} MB, {machine().cpus} CPUs")

began = time.perf_counter()
loop = [work(instrument) for instrument in range(TRIED)]
loop_s = time.perf_counter() - began
print(f"one instrument after the other: {loop_s:.2f} s")

began = time.perf_counter()
found = run_parallel(work, range(TRIED))
took_s = time.perf_counter() - began
print(f"run_parallel: {took_s:.2f} s, a gain of {loop_s / took_s:.1f} times")

assert [best[:3] for best in found] == [best[:3] for best in loop]
best = max(found, key=lambda best: best.gain)
print(
    f"instrument {best.instrument}, sold after a fall by {best.stop:.0%}:"
    f" {best.gain:.1f} times the money"
)
print(f"the table in {len({best.process for best in found})} processes")
print(found.report)
