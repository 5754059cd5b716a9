"""What the benchmarks share: medians, the machine in a line, a table."""

from __future__ import annotations

import argparse
import os
import platform
import random
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from smartpool import __version__, machine


def once_s(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def median_s(work: Callable[[], object], repeat: int) -> float:
    """Return the median of the seconds that `work` takes, `repeat` times over."""
    return median(once_s(work) for _ in range(repeat))


def medians_in_turn(repeat: int, *works: Callable[[], object]) -> tuple[float, ...]:
    """Return the median seconds of each, in the order given.

    Each round takes them in another order, so that noise meets all, and so does what
    one leaves behind for the next (memory given back, which has to be mapped again).
    """
    seconds: list[list[float]] = [[] for _ in works]
    turns = list(range(len(works)))
    order = random.Random(0)  # the same one each time
    for _ in range(repeat):
        order.shuffle(turns)
        for turn in turns:
            seconds[turn].append(once_s(works[turn]))
    return tuple(map(median, seconds))


def short(seconds: float) -> str:
    """Return a duration with three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def print_machine() -> None:
    """Print what is measured on, and how busy that is already."""
    host = machine()
    gil = "on" if host.gil else "off"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"smartpool {__version__}, Python {host.python} (GIL {gil}),"
        f" {host.cpus} CPUs ({host.cpus_why}),"
        f" {platform.system()} {platform.machine()}, load {load:.1f}"
    )


def print_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    align: Callable[[str, int], str] = str.rjust,
) -> None:
    """Print rows below each other; `align` is for all columns but the first."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, (first, *rest) in enumerate(lines):
        cells = [
            align(cell, width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())
        if number == 0:
            print("-" * (sum(widths) + 2 * (len(widths) - 1)))


def is_quick(description: str | None) -> bool:
    """Read the command line of a benchmark; return whether it asks for less."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    return bool(parser.parse_args().quick)
