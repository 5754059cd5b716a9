"""What does going parallel cost here? Run as ``python -m benchmarks.costs``.

The constants in `smartpool/_decide` cite its rows by name. They are kept for a plain
2-core Linux machine; a row that differs from its constant by more than a factor of
two, on a quiet machine, is a reason to look at that constant again.
"""

from __future__ import annotations

import _thread
import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any, Final, NamedTuple

from smartpool import SmartPool, run_parallel
from smartpool._observe.imports import modules_behind
from smartpool._run import switching

from .measuring import (
    is_quick,
    median_s,
    medians_in_turn,
    once_s,
    print_machine,
    print_table,
    short,
)

BIG_BYTES: Final = 4 * 1024 * 1024
BIG_ITEMS: Final = 20
SMALL_ITEMS: Final = 20_000
CHUNK: Final = 1_000


LONG_STEPS: Final = 10_000_000
"""Some 0.2 s of pure Python."""


class Row(NamedTuple):
    """One line of the table: what was measured, the value, who cites it."""

    name: str
    value: str
    cited_by: str = ""


def nothing(item: object) -> object:
    """Do nothing."""
    return item


def square(x: int) -> int:
    """Return the square of a number."""
    return x * x


def own_pid(_: object) -> int:
    """Return the process that calls, after a while: so that each worker has one."""
    time.sleep(0.05)
    return os.getpid()


# -- worker processes --------------------------------------------------------------------


def starts(repeat: int) -> Iterator[Row]:
    """Yield what the start of workers costs."""
    yield Row(
        "processes: cold start, first result",
        short(median(_cold_s("processes") for _ in range(repeat))),
        "costs.PROCESS_START_S",
    )
    yield Row(
        "threads: cold start, first result",
        short(median(_cold_s("threads") for _ in range(5 * repeat))),
        "costs.THREADS_START_S, probing.NOTHING_LEFT_S",
    )
    yield Row(
        "threading.Thread: start and join",
        short(median_s(_start_and_join, 200)),
        "limits.THREADS_MOST",
    )
    yield Row("_thread: start", short(_raw_start_s(200)), "_observe/meter.py")


def imports(repeat: int) -> Iterator[Row]:
    """Yield what modules cost that a worker has to import for a function."""
    if find_spec("numpy") is None:
        return
    import numpy as np

    fn = partial(_first_of, np.zeros(1))
    plain_s = median(_cold_s("processes") for _ in range(repeat))
    more_s = median(_cold_s("processes", fn) for _ in range(repeat)) - plain_s
    yield Row(
        "processes: cold start of a function that needs NumPy",
        f"{short(more_s)} more, {short(more_s / modules_behind(fn))} a module",
        "costs.MODULE_S",
    )


def _first_of(array: Any, _: object) -> float:
    return float(array[0])


def released(repeat: int) -> Iterator[Row]:
    """Yield what threads take for an item that lets go of the GIL, beside its work."""
    for kilobytes in (16, 64):
        fn, items = partial(_digest, bytes(kilobytes << 10)), range(2_000)
        run = partial(
            run_parallel, fn, items, hint="nogil", backend="threads", max_workers=2
        )
        loop = partial(plain_loop, fn, items)
        loop_s, threads_s = medians_in_turn(repeat, loop, run)
        each_s = (threads_s - loop_s / 2) / len(items)
        yield Row(
            f"threads: an item that lets go of the GIL for {short(loop_s / len(items))}",
            f"{short(each_s)} beside half of that",
            "costs.RELEASED_ITEM_S",
        )


def _digest(data: bytes, _: object) -> bytes:
    return hashlib.sha256(data).digest()


async def turn(_: object) -> None:
    """Wait for one turn of the loop."""
    await asyncio.sleep(0)


def coroutines(repeat: int) -> Iterator[Row]:
    """Yield what the event loop takes for a call that does nothing."""
    items = range(5_000)
    with SmartPool() as pool:
        seconds = median_s(lambda: pool.run_parallel(turn, items), repeat)
    yield Row("event loop: a coroutine", short(seconds / len(items)), "costs.STEPS_S")


def long_items(repeat: int) -> Iterator[Row]:
    """Two long items, the first of which is called here: when does the other begin?"""
    plain_s = median_s(lambda: [spin(LONG_STEPS), spin(LONG_STEPS)], repeat)
    for quick_s in (0.005, 0.001, switching.QUICK_S):
        before, switching.QUICK_S = switching.QUICK_S, quick_s  # type: ignore[misc]
        try:
            ours_s = median_s(_two_long, repeat)
        finally:
            switching.QUICK_S = before  # type: ignore[misc]
        yield Row(
            f"a long first item, switch interval {short(quick_s)}",
            f"{ours_s / plain_s:.2f} of two one after the other",
            "switching.QUICK_S",
        )


def _two_long() -> None:
    with SmartPool() as pool:
        pool.run_parallel(spin, [LONG_STEPS, LONG_STEPS])


def spin(steps: int) -> int:
    """Compute, in pure Python."""
    count = 0
    while count < steps:
        count += 1
    return count


def _cold_s(backend: str, fn: Callable[[int], object] | None = None) -> float:
    with SmartPool(backend=backend) as pool:  # type: ignore[arg-type]
        return once_s(lambda: pool.run_parallel(fn or nothing, [0]))


def _start_and_join() -> None:
    thread = threading.Thread(target=time.perf_counter)
    thread.start()
    thread.join()


def _raw_start_s(repeat: int) -> float:
    """Return what a raw thread costs the one who starts it."""
    done = _thread.allocate_lock()
    taken = list[float]()
    for _ in range(repeat):
        done.acquire()
        taken.append(once_s(partial(_thread.start_new_thread, done.release, ())))
        with done:
            pass
    return median(taken)


def trips(pool: SmartPool, name: str, repeat: int) -> Iterator[Row]:
    """Yield what handing items over costs, with workers that are up."""
    one = pool.run_parallel
    one(nothing, [0])
    run_s = median_s(lambda: one(nothing, [0]), 20 * repeat)
    yield Row(f"{name}: a run of one item, warm", short(run_s), _CITES_RUN[name])
    for chunksize, label in ((1, "a chunk of one item"), (CHUNK, "an item of a chunk")):
        items = range(SMALL_ITEMS if chunksize > 1 else SMALL_ITEMS // 10)
        work = partial(one, nothing, items, chunksize=chunksize)
        wall_s, cpu_s = _wall_and_cpu_s(work, repeat)
        each_s, each_cpu_s = (wall_s - run_s) / len(items), cpu_s / len(items)
        yield Row(
            f"{name}: {label}",
            f"{short(each_s)} ({short(each_cpu_s)} of this program's CPU)",
            _CITES_ITEM[name, chunksize > 1],
        )


_CITES_RUN: Final = {"processes": "costs.PROCESS_WARM_S", "threads": ""}
_CITES_ITEM: Final = {
    ("processes", False): "chunks.OVERHEAD_S",
    ("processes", True): "costs.PROCESS_ITEM_S",
    ("threads", False): "chunks.THREAD_TARGET_S",
    ("threads", True): "costs.THREADS_ITEM_S, costs.TINY_S",
}


def _wall_and_cpu_s(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Return the medians of wall time and of this process's CPU time."""
    readings = list[tuple[float, float]]()
    for _ in range(repeat):
        cpu_s = time.process_time()
        wall_s = once_s(work)
        readings.append((wall_s, time.process_time() - cpu_s))
    return median(wall for wall, _ in readings), median(cpu for _, cpu in readings)


def round_trips(pool: SmartPool, repeat: int) -> Iterator[Row]:
    """Yield what one item after the other takes, there and back."""
    count = 50 * repeat

    def one_by_one() -> None:
        with closing(
            pool.stream_parallel(nothing, range(count), chunksize=1, buffersize=1)
        ) as stream:
            for _ in stream:
                pass

    one_by_one()
    yield Row(
        "processes: round trip of one item, warm",
        short(once_s(one_by_one) / count),
        "chunks.OVERHEAD_S",
    )


def bulk(pool: SmartPool, repeat: int) -> Iterator[Row]:
    """Yield how fast large arguments and results travel."""
    blocks = [bytes(BIG_BYTES)] * BIG_ITEMS
    sizes = [BIG_BYTES] * BIG_ITEMS
    pool.run_parallel(len, blocks[:1])
    there_s = median_s(lambda: pool.run_parallel(len, blocks, chunksize=1), repeat)
    back_s = median_s(lambda: pool.run_parallel(bytes, sizes, chunksize=1), repeat)
    # Making the bytes is not travelling.
    back_s -= median_s(lambda: [bytes(size) for size in sizes], repeat)
    total = BIG_BYTES * BIG_ITEMS / 1e9
    cites = "costs.BYTES_PER_S"
    yield Row("processes: 4 MB arguments", f"{total / there_s:.2f} GB/s", cites)
    yield Row("processes: 4 MB results", f"{total / back_s:.2f} GB/s", cites)


def memory(pool: SmartPool) -> Iterator[Row]:
    """Yield how much memory a worker has that has done next to nothing."""
    pids = set(pool.run_parallel(own_pid, range(8), chunksize=1))
    for field, meaning in (("Rss", "all"), ("Private", "of its own")):
        sizes = [_kilobytes(pid, field) for pid in pids]
        if None not in sizes:
            size = median(each for each in sizes if each is not None)
            yield Row(
                f"processes: memory of a worker, {meaning}",
                f"{size / 1024:.1f} MB",
                "rules.MIXED_MOST" if field == "Private" else "",
            )


def _kilobytes(pid: int, field: str) -> int | None:
    """Return the sum of the fields that begin so; `None` where there is no such file."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith(field)]
    except OSError:
        return None
    return sum(int(words[1]) for words in lines)


# -- the plain loop ----------------------------------------------------------------------


def loops(repeat: int) -> Iterator[Row]:
    """Yield what our serial loop costs beside those that a person would write."""
    items = range(300_000)
    with SmartPool(backend="serial") as pool:
        plain_s, ours_s, comprehension_s, map_s = medians_in_turn(
            3 * repeat,
            lambda: plain_loop(nothing, items),
            lambda: pool.run_parallel(nothing, items),
            lambda: [nothing(item) for item in items],
            lambda: list(map(nothing, items)),
        )
    yield Row("for loop, an empty call", short(plain_s / len(items)))
    yield Row("the same as a comprehension", f"{comprehension_s / plain_s:.2f} of that")
    yield Row("the same with map", f"{map_s / plain_s:.2f} of that")
    yield Row("backend='serial'", f"{ours_s / plain_s:.2f} of that", "serial.py")


def plain_loop(fn: Callable[[int], object], items: Iterable[int]) -> list[object]:
    """Call `fn` on each item: what promise 7 is measured by."""
    results: list[object] = []
    for item in items:
        results.append(fn(item))  # noqa: PERF401 - it is the loop that is measured
    return results


def overheads(repeat: int) -> Iterator[Row]:
    """Yield what `run_parallel` costs, unaided, where there is nothing to gain."""
    for count in (1, 10, 100, 1_000, 10_000, 100_000, 300_000):
        items = range(count)
        with SmartPool() as pool:
            first_s = once_s(lambda: pool.run_parallel(square, items))  # noqa: B023
            plain_s, ours_s = medians_in_turn(
                5 * repeat,
                lambda: plain_loop(square, items),  # noqa: B023
                lambda: pool.run_parallel(square, items),  # noqa: B023
            )
            rule = pool.run_parallel(square, items).report.plan.rule
        yield Row(
            f"run_parallel(square, range({count}))",
            f"{short(ours_s - plain_s)} more, {ours_s / plain_s:.2f} of the loop's"
            f" {short(plain_s)}; at first {short(first_s)}",
            f"promise 7; rule {rule}",
        )


def main() -> None:
    """Measure all, and print the table."""
    repeat = 2 if is_quick(__doc__) else 7
    print_machine()
    rows = [*starts(repeat)]
    with SmartPool(max_workers=1, backend="threads") as pool:
        rows += trips(pool, "threads", repeat)
    with SmartPool(max_workers=1, backend="processes") as pool:
        rows += trips(pool, "processes", repeat)
        rows += round_trips(pool, repeat)
        rows += bulk(pool, repeat)
    with SmartPool(backend="processes") as pool:
        rows += memory(pool)
    rows += imports(repeat)
    rows += released(repeat)
    rows += coroutines(repeat)
    rows += long_items(repeat)
    rows += loops(repeat)
    rows += overheads(repeat)
    print_table(Row._fields, rows, align=str.ljust)


if __name__ == "__main__":
    main()
