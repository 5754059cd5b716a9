"""The rows of the table of right choices: functions of every kind, and their inputs.

Each row has one named function, and makes random ones of its kind from a seed:
another duration, another payload, another share of waiting.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from smartpool import Plan

TEXT = "lorem ipsum dolor 12-34 sit amet " * 40
PATTERN = re.compile(r"(\w+)\s+(\w+)\s+(\d+)-(\d+)")


def spin(steps: int) -> int:
    """Compute in pure Python; holds the GIL."""
    total = 0
    for i in range(steps):
        total += i * i
    return total


def steps_for(seconds: float) -> int:
    """Return how many steps of `spin` take about so long on this machine, now."""
    best = min(_timed(20_000) for _ in range(5))
    return max(1, int(20_000 * seconds / best))


def _timed(steps: int) -> float:
    began = time.perf_counter()
    spin(steps)
    return time.perf_counter() - began


def pure(steps: int, _: int) -> int:
    """Compute."""
    return spin(steps)


def square(x: int) -> int:
    """Do next to nothing."""
    return x * x


def power(exponent: int, x: int) -> int:
    """Do next to nothing."""
    return int(x**exponent)


def wait(seconds: float, _: int) -> None:
    """Wait."""
    time.sleep(seconds)


def digest(data: bytes, _: int) -> bytes:
    """Hash; lets go of the GIL."""
    return hashlib.sha256(data).digest()


def returns_generator(steps: int, _: int) -> Iterator[int]:
    """Compute, and return what cannot be pickled."""
    total = spin(steps)
    return (total for _ in range(3))


def search(text: str, _: int) -> int:
    """Search by regular expression; C code that holds the GIL."""
    return len(PATTERN.findall(text))


def wait_and_work(seconds: float, steps: int, _: int) -> int:
    """Wait, then compute."""
    time.sleep(seconds)
    return spin(steps)


def look(stride: int, array: Any) -> float:
    """Look at some elements of a big array, in pure Python."""
    total = 0.0
    for value in array[::stride]:
        total += float(value)
    return total


async def await_sleep(seconds: float, x: int) -> int:
    """Wait, on an event loop."""
    await asyncio.sleep(seconds)
    return x


@dataclass(frozen=True)
class Case:
    """A function and its input."""

    name: str
    fn: Callable[..., Any]
    items: Sequence[Any]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: What the table calls it.
        named: The case that the table names.
        random: Makes another of its kind.
        right: Whether a plan is right; gets whether the GIL is on.
    """

    name: str
    named: Callable[[], Case]
    random: Callable[[Random], Case]
    right: Callable[[Plan, bool], bool]


def _on(gil: tuple[str, ...], free: tuple[str, ...]) -> Callable[[Plan, bool], bool]:
    return lambda plan, gil_on: plan.backend in (gil if gil_on else free)


def _many_threads(plan: Plan, _: bool) -> bool:
    return plan.backend == "threads" and plan.grow_to >= 100


def _one_thread_a_cpu(plan: Plan, _: bool) -> bool:
    return plan.backend == "threads" and plan.workers == 2


def _more_than_cpus(plan: Plan, gil_on: bool) -> bool:
    return plan.backend == ("processes" if gil_on else "threads") and plan.workers > 2


def _stays(plan: Plan, gil_on: bool) -> bool:
    """Return whether it stays here, and the reason says why."""
    if not gil_on:
        return plan.backend == "threads"
    return plan.backend in EITHER and "cannot be pickled" in plan.reasons[0].text


def _pure(rng: Random | None) -> Case:
    seconds = 0.001 if rng is None else rng.uniform(0.0005, 0.004)
    steps = steps_for(seconds)
    return Case(f"{seconds * 1e3:.2f} ms", partial(pure, steps), range(2000))


def _lambda(rng: Random | None) -> Case:
    steps = steps_for(0.001 if rng is None else rng.uniform(0.0005, 0.004))
    return Case("lambda", lambda _: spin(steps), range(2000))


def _tiny(rng: Random | None) -> Case:
    if rng is None:
        return Case("x * x", square, range(300_000))
    exponent = rng.randint(1, 4)
    return Case(f"x ** {exponent}", partial(power, exponent), range(100_000))


def _sleep(rng: Random | None) -> Case:
    seconds = 0.02 if rng is None else rng.uniform(0.005, 0.05)
    return Case(f"{seconds * 1e3:.0f} ms", partial(wait, seconds), range(600))


def _digest(rng: Random | None) -> Case:
    size = 2 << 20 if rng is None else rng.randint(1 << 20, 6 << 20)
    data = bytes(size)
    return Case(f"{size >> 10} kB", partial(digest, data), range(200))


def _search(rng: Random | None) -> Case:
    seconds = 0.002 if rng is None else rng.uniform(0.001, 0.004)
    began = time.perf_counter()
    search(TEXT, 0)
    search(TEXT, 0)
    repeats = max(1, int(2 * seconds / (time.perf_counter() - began)))
    name = f"{repeats} texts"
    return Case(name, partial(search, TEXT * repeats), range(1000))


def _mixed(rng: Random | None) -> Case:
    seconds = 0.01 if rng is None else rng.uniform(0.006, 0.02)
    share = 0.6 if rng is None else rng.uniform(0.45, 0.7)
    steps = steps_for(seconds * (1 - share))
    name = f"{seconds * 1e3:.1f} ms, {share:.0%} wait"
    return Case(name, partial(wait_and_work, seconds * share, steps), range(300))


def _arrays(rng: Random | None) -> Case:
    import numpy as np

    stride = 300 if rng is None else rng.randint(150, 600)
    arrays = [np.zeros(500_000) for _ in range(60)]
    return Case(f"stride {stride}", partial(look, stride), arrays)


def _coroutines(rng: Random | None) -> Case:
    seconds = 0.02 if rng is None else rng.uniform(0.005, 0.05)
    return Case(f"{seconds * 1e3:.0f} ms", partial(await_sleep, seconds), range(5000))


def _long(rng: Random | None) -> Case:
    seconds = 0.25 if rng is None else rng.uniform(0.1, 0.3)
    return Case(f"{seconds:.2f} s", partial(pure, steps_for(seconds)), range(8))


def _refused(rng: Random | None) -> Case:
    lock = threading.Lock()
    steps = steps_for(0.001 if rng is None else rng.uniform(0.0005, 0.003))

    def locked(_: int) -> int:
        with lock:
            return spin(1) + spin(steps)

    return Case("a lock in a closure", locked, range(500))


def _refused_results(rng: Random | None) -> Case:
    seconds = 0.001 if rng is None else rng.uniform(0.0005, 0.003)
    steps = steps_for(seconds)
    return Case(
        f"{seconds * 1e3:.2f} ms", partial(returns_generator, steps), range(500)
    )


def _refused_items(rng: Random | None) -> Case:
    seconds = 0.001 if rng is None else rng.uniform(0.0005, 0.003)
    locks = [threading.Lock() for _ in range(500)]
    return Case(f"{seconds * 1e3:.2f} ms", partial(pure, steps_for(seconds)), locks)


PROCESSES, THREADS, SERIAL = ("processes",), ("threads",), ("serial",)
EITHER = ("serial", "threads")

ROWS = {
    row.name: row
    for row in (
        Row("pure", lambda: _pure(None), _pure, _on(PROCESSES, THREADS)),
        Row("lambda", lambda: _lambda(None), _lambda, _on(PROCESSES, THREADS)),
        Row("tiny", lambda: _tiny(None), _tiny, _on(SERIAL, SERIAL)),
        Row("sleep", lambda: _sleep(None), _sleep, _many_threads),
        Row("sha256", lambda: _digest(None), _digest, _one_thread_a_cpu),
        Row("regex", lambda: _search(None), _search, _on(PROCESSES, THREADS)),
        Row("mixed", lambda: _mixed(None), _mixed, _more_than_cpus),
        Row("arrays", lambda: _arrays(None), _arrays, _on(EITHER, EITHER)),
        Row(
            "async",
            lambda: _coroutines(None),
            _coroutines,
            _on(("event_loop",), ("event_loop",)),
        ),
        Row("long", lambda: _long(None), _long, _on(PROCESSES, THREADS)),
        Row("refused", lambda: _refused(None), _refused, _stays),
        Row(
            "refused results",
            lambda: _refused_results(None),
            _refused_results,
            _stays,
        ),
        Row("refused items", lambda: _refused_items(None), _refused_items, _stays),
    )
}
