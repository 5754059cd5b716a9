"""Single calls: the way to a warm worker process and back, beside other libraries.

Everyone calls `abs(-1)`, one call after the other, as its own documentation says. They
take turns, in batches, in an order that changes: so a machine that gets slower is met
by all.

`CALL_FROM_S` is at least ten times what this prints for `submit`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from statistics import median

import anyio
import anyio.to_process

from benchmarks.measuring import is_quick, print_machine, print_table, short
from smartpool import SmartPool

RUNS = 5
BATCHES = 20
CALLS = 50

Batch = Callable[[], list[float] | Awaitable[list[float]]]


def timed(work: Callable[[], object]) -> list[float]:
    """Return the seconds that each of some calls takes."""
    seconds: list[float] = []
    for _ in range(CALLS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds


@contextmanager
def submitted() -> Iterator[Batch]:
    """`SmartPool.submit`."""
    with SmartPool(2) as pool:
        yield lambda: timed(lambda: pool.submit(abs, -1).result())


@contextmanager
def executed() -> Iterator[Batch]:
    """`ProcessPoolExecutor.submit`."""
    with ProcessPoolExecutor(2) as pool:
        yield lambda: timed(lambda: pool.submit(abs, -1).result())


@contextmanager
def awaited() -> Iterator[Batch]:
    """`anyio.to_process.run_sync`."""

    async def batch() -> list[float]:
        seconds: list[float] = []
        for _ in range(CALLS):
            began = time.perf_counter()
            await anyio.to_process.run_sync(abs, -1)
            seconds.append(time.perf_counter() - began)
        return seconds

    yield batch


CONTENDERS = {
    "SmartPool.submit": submitted,
    "anyio.to_process": awaited,
    "ProcessPoolExecutor": executed,
}


async def taken_by(batch: Batch) -> list[float]:
    """Return the seconds of the calls of one batch."""
    seconds = batch()
    return seconds if isinstance(seconds, list) else await seconds


async def one_run(batches: int, order: random.Random) -> dict[str, float]:
    """Return the median seconds of a call, by contender.

    All in one task: anyio's workers end with the task that they were started in. The
    others block its loop, which has nothing else to do.
    """
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with ExitStack() as stack:
        ready = {name: stack.enter_context(make()) for name, make in CONTENDERS.items()}
        for batch in ready.values():
            await taken_by(batch)  # workers start
        for _ in range(batches):
            names = list(ready)
            order.shuffle(names)
            for name in names:
                seconds[name] += await taken_by(ready[name])
    return {name: median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Print a table of medians, one column a run, and the ratios that matter."""
    quick = is_quick(__doc__)
    print_machine()
    order = random.Random(0)  # the same one each time
    batches, count = (4, 2) if quick else (BATCHES, RUNS)
    runs = [anyio.run(one_run, batches, order) for _ in range(count)]
    head = ["round trip, p50", *(f"run {n + 1}" for n in range(len(runs))), "median"]
    rows = []
    for name in CONTENDERS:
        taken = [run[name] for run in runs]
        rows.append([name, *map(short, taken), short(median(taken))])
    print_table(head, rows)
    for other, goal in (("anyio.to_process", 1.2), ("ProcessPoolExecutor", 0.6)):
        ratio = median(run["SmartPool.submit"] / run[other] for run in runs)
        print(f"submit / {other}: {ratio:.2f} (goal: at most {goal})")


if __name__ == "__main__":
    main()
