"""The figures that smartpool sets out to reach, beside what was measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import Final

from smartpool import machine

from ..measuring import once_s, print_table
from .contenders import CONTENDERS
from .runner import Measured

Found = dict[str, dict[str, Measured]]

WORKLOADS: Final = (
    *("tiny", "too small", "1 ms", "mixed", "async sleep"),
    *("waits, then works", "works, then waits", "arrays in", "arrays out", "table"),
)
"""What these figures are made of."""

OURS: Final = "smartpool"
PINNED: Final = "smartpool, processes"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: What it is.
        value: What was measured.
        goal: What it should be, at most; or at least.
        unit: What both are in, or nothing for ratios.
        at_least: Whether it should be as much or more.
    """

    name: str
    value: float
    goal: float
    unit: str = ""
    at_least: bool = False

    @property
    def cells(self) -> list[str]:
        """The row of a table."""
        reached = self.value >= self.goal if self.at_least else self.value <= self.goal
        sign = ">=" if self.at_least else "<="
        return [
            self.name,
            f"{self.value:.2f}{self.unit}",
            f"{sign} {self.goal:g}{self.unit}",
            "" if reached else "falls short",
        ]


def print_goals(found: Found, *, extras: bool) -> None:
    """Print all figures that follow from what was measured, and those beside."""
    figures = [*_little_work(found), *_mixed(found), *_data(found), *_others(found)]
    if extras:
        figures += [*_imports(), *_memory()]
    if figures:
        print()
        print_table(["figure", "measured", "goal", ""], [one.cells for one in figures])


def _s(found: Found, workload: str, name: str, which: str = "warm") -> float | None:
    one = found.get(workload, {}).get(name)
    readings: list[float] = getattr(one, which, [])
    return median(readings) if readings else None


def _ratio(
    found: Found, workload: str, ours: str, other: str, which: str = "warm"
) -> float | None:
    """Return our time by another's; `None` if one of them was not measured."""
    ours_s, other_s = (_s(found, workload, name, which) for name in (ours, other))
    return ours_s / other_s if ours_s and other_s else None


def _either(found: Found, workload: str, other: str) -> float | None:
    """Return that of later calls, or of first ones where a rival was out after those."""
    pinned = (_ratio(found, workload, PINNED, other, at) for at in ("warm", "cold"))
    return next((value for value in pinned if value is not None), None)


def _little_work(found: Found) -> Iterator[Figure]:
    for workload in ("tiny", "too small"):
        for which in ("warm", "cold"):
            ours_s, loop_s = (
                _s(found, workload, name, which) for name in (OURS, "loop")
            )
            if not ours_s or not loop_s:
                continue
            name = f"{workload}, {which}, by the plain loop"
            over_ms = 1e3 * (ours_s - loop_s)
            if over_ms <= 0.1:
                yield Figure(f"{name}: more", over_ms, 0.1, " ms")
            else:
                yield Figure(name, ours_s / loop_s, 1.05)


def _mixed(found: Found) -> Iterator[Figure]:
    peers = [name for name, one in CONTENDERS.items() if one.is_rival]
    ratios = [_ratio(found, "mixed", OURS, name) for name in peers]
    known = [one for one in ratios if one is not None]
    if known:
        yield Figure("mixed, warm, by the best peer as documented", max(known), 0.6)
    tuned = [f"processes, {n}" for n in (3, 4, 6, 8, 12)]
    ratios = [_ratio(found, "mixed", OURS, name) for name in tuned]
    known = [one for one in ratios if one is not None]
    if known:
        yield Figure("mixed, warm, by processes tuned by hand", max(known), 1.0)


def _data(found: Found) -> Iterator[Figure]:
    for workload, other, goal in (
        ("arrays in", "joblib", 0.6),
        ("arrays out", "joblib", 0.6),
        ("arrays in", "Pool", 0.3),
        ("arrays out", "Pool", 0.3),
        ("table", "mpire, shared", 1.1),
    ):
        ratio = _either(found, workload, other)
        if ratio is not None:
            yield Figure(f"{workload}, pinned to processes, by {other}", ratio, goal)


def _others(found: Found) -> Iterator[Figure]:
    loop_s, ours_s = _s(found, "1 ms", "loop"), _s(found, "1 ms", OURS)
    if loop_s and ours_s:
        efficiency = loop_s / machine().cpus / ours_s
        yield Figure("1 ms: CPU efficiency, warm", efficiency, 0.95, at_least=True)
    ratio = _ratio(found, "async sleep", OURS, "gather")
    if ratio is not None:
        yield Figure("async sleep, warm, by asyncio.gather", ratio, 1.5)
    for workload in ("waits, then works", "works, then waits"):
        pinned = [
            seconds
            for name in (PINNED, "smartpool, threads")
            if (seconds := _s(found, workload, name, "cold"))
        ]
        ours_s = _s(found, workload, OURS, "cold")
        if pinned and ours_s:
            name = f"{workload}: by the best pinned plan"
            yield Figure(name, ours_s / min(pinned), 1.3)


def _imports() -> Iterator[Figure]:
    """How much longer a program takes that imports, and does nothing else."""
    codes = ("pass", "import smartpool", "from smartpool import run_parallel")
    seconds: dict[str, list[float]] = {code: [] for code in codes}
    for _ in range(25):
        for code in codes:
            command = [sys.executable, "-c", code]
            seconds[code].append(once_s(lambda: subprocess.run(command, check=True)))  # noqa: B023
    bare_s, *rest = (median(seconds[code]) for code in codes)
    for code, goal, took_s in zip(codes[1:], (10.0, 30.0), rest, strict=True):
        yield Figure(code, 1e3 * (took_s - bare_s), goal, " ms")


STREAM: Final = """
from smartpool import stream_parallel

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

before = most = resident()
for number, value in enumerate(stream_parallel(abs, range(10_000_000))):
    if number % 100_000 == 0:
        most = max(most, resident())
print((most - before) / 1e6)
"""

BOUND: Final = """
import os
from functools import partial
import numpy as np
from smartpool import SmartPool

def memory(pid="self"):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))

def look(table, _):
    table[::512].sum()
    return os.getpid()

if __name__ == "__main__":
    warm = np.zeros(1 << 21)
    table = np.arange(1 << 25, dtype=np.float64)
    with SmartPool(2, backend="processes") as pool:
        workers = set(pool.run_parallel(partial(look, warm), range(500)))
        everyone = [os.getpid(), *workers]
        before = sum(map(memory, everyone))
        with pool.stream_parallel(partial(look, table), range(5000)) as stream:
            for number, pid in enumerate(stream):
                if number == 2500:
                    more = sum(map(memory, everyone)) - before
        print(more * 1024 / table.nbytes)
"""


def _memory() -> Iterator[Figure]:
    """How much memory a long stream, and a large bound table, take."""
    yield Figure("stream of 10 million integers", _printed(STREAM), 50.0, " MB")
    if find_spec("numpy"):
        yield Figure(
            "256 MB bound, 2 warm workers: more, by that", _printed(BOUND), 1.1
        )


def _printed(code: str) -> float:
    command = [sys.executable, "-c", code]
    return float(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
