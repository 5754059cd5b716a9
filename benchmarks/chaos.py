"""Chaos: workers are killed, stopped and delayed while many items go through them.

Several threads use several pools, by all ways in. Each call of an item adds a line to a
file, so that the fate of each is known. At the end nothing may be lost (without an
outcome), doubled (called twice), wrong or left behind.

    python -m benchmarks.chaos --seconds 600 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from benchmarks.chaos_items import HERE, Order, Parcel, content, work
from benchmarks.measuring import print_machine
from smartpool import (
    ItemTimeoutError,
    SmartPool,
    WorkerCrashError,
    run_parallel,
    stream_parallel,
)
from smartpool._pool import default_pool
from smartpool.testing import close_default_pool

USERS = 4
ITEM_TIMEOUT_S = 2.0
LEFT_S = 10.0
"""Five times the two seconds after which nothing may be left."""

PHASES = ("starting", "idle", "loading", "calling")
ALLOWED = (WorkerCrashError, ItemTimeoutError, CancelledError)
"""What a fault may make of the item that it meets."""


class Books:
    """What was ordered, what came of it, and which faults there were."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.keys = 0
        self.outcomes: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        self.problems: list[str] = []

    def order(self, rng: random.Random) -> Order:
        """Make up an item."""
        with self.lock:
            self.keys += 1
            key = self.keys
        size = (
            rng.choice((0, 10, 1000, 100_000, 2_000_000)) if rng.random() < 0.3 else 8
        )
        wait_s = rng.uniform(0, 0.05) if rng.random() < 0.1 else 0.0
        dies = rng.choice(HERE) if rng.random() < 0.03 else ""
        if dies == "sending":
            size = 4_000_000
        return Order(key, size, wait_s, rng.random() < 0.05, dies, self.path)

    def settle(self, order: Order, outcome: Any) -> None:
        """Take in what became of an item."""
        kind = type(outcome).__name__
        if isinstance(outcome, bytes):
            right = not order.fails and outcome == content(order.key, order.size)
        else:
            right = isinstance(outcome, ALLOWED) or (
                isinstance(outcome, ValueError) and order.fails
            )
        with self.lock:
            self.outcomes[kind] += 1
            if order.dies and isinstance(outcome, WorkerCrashError):
                self.faults[order.dies, "its own"] += 1
            if not right:
                self.problems.append(f"wrong: item {order.key} became {outcome!r:.200}")

    def close(self) -> tuple[int, int]:
        """Return how many items have no outcome, and how many were called twice."""
        with open(self.path, encoding="ascii") as file:
            calls = Counter(line.split()[0] for line in file)
        doubled = [key for key, count in calls.items() if count > 1]
        self.problems += [f"doubled: item {key}" for key in doubled[:10]]
        return self.keys - sum(self.outcomes.values()), len(doubled)


# -- those who use it ----------------------------------------------------------------------


def use(books: Books, pools: list[SmartPool | None], seed: int, until: float) -> None:
    """Have batches of items called, by one way in after the other."""
    rng = random.Random(seed)
    ways: list[Callable[..., Any]] = [by_run, by_stream, by_submit, by_map]
    while time.monotonic() < until:
        orders = [books.order(rng) for _ in range(rng.choice((1, 8, 40, 120)))]
        try:
            rng.choice(ways)(books, rng.choice(pools), orders, rng)
        except BaseException as exc:  # noqa: BLE001 - told at the end
            with books.lock:
                books.problems.append(f"a whole batch failed: {exc!r:.300}")


def parcels(orders: list[Order]) -> Iterator[Parcel]:
    """Yield orders with their ballast."""
    for order in orders:
        yield Parcel(order, bytes(order.size))


def options(rng: random.Random) -> dict[str, Any]:
    """Return options of a run."""
    return {
        "backend": "processes",
        "return_exceptions": True,
        "chunksize": rng.choice((None, 1, 7)),
        "item_timeout": ITEM_TIMEOUT_S,
    }


def by_run(books: Books, pool: Any, orders: list[Order], rng: random.Random) -> None:
    """`run_parallel`."""
    run = pool.run_parallel if pool else run_parallel
    results = run(work, list(parcels(orders)), **options(rng))
    for order, outcome in zip(orders, results, strict=True):
        books.settle(order, outcome)


def by_stream(books: Books, pool: Any, orders: list[Order], rng: random.Random) -> None:
    """`stream_parallel`."""
    stream = pool.stream_parallel if pool else stream_parallel
    with stream(work, parcels(orders), **options(rng)) as results:
        for order, outcome in zip(orders, results, strict=True):
            books.settle(order, outcome)


def by_submit(books: Books, pool: Any, orders: list[Order], rng: random.Random) -> None:
    """`submit`, and `cancel` now and then."""
    pool = pool or _default_executor()
    futures = [pool.submit(work, parcel) for parcel in parcels(orders)]
    if rng.random() < 0.2:
        rng.choice(futures).cancel()
    for order, future in zip(orders, futures, strict=True):
        books.settle(order, outcome_of(future))


def by_map(books: Books, pool: Any, orders: list[Order], rng: random.Random) -> None:
    """As `map` submits: chunks of calls, each with a future."""
    pool = pool or _default_executor()
    calls = [((parcel,), None) for parcel in parcels(orders)]
    size = rng.choice((1, 5))
    futures = [
        future
        for start in range(0, len(calls), size)
        for future in pool._pool.submitting.submit(work, calls[start : start + size])
    ]
    for order, future in zip(orders, futures, strict=True):
        books.settle(order, outcome_of(future))


def outcome_of(future: Any) -> Any:
    """Return what came of a call; one that stands still is ended."""
    try:
        return future.exception(10 * ITEM_TIMEOUT_S) or future.result()
    except CancelledError as exc:
        return exc
    except TimeoutError:
        future.cancel()
        return CancelledError("it stood still")


def _default_executor() -> SmartPool:
    pool = SmartPool.__new__(SmartPool)
    pool._pool = default_pool()
    return pool


# -- the one who breaks it -----------------------------------------------------------------


def wreck(books: Books, pools: list[SmartPool | None], seed: int, until: float) -> None:
    """Kill, stop and delay workers until it is time."""
    rng = random.Random(seed)
    while time.monotonic() < until:
        time.sleep(rng.expovariate(6))
        workers = [one for pool in pools for one in workers_of(pool)]
        if rng.random() < 0.5:  # those are rare to meet, and have to be met as well
            rare = [one for one in workers if stage_of(one) != "calling"]
            workers = rare or workers
        if workers:
            strike(books, rng.choice(workers), rng)


def workers_of(pool: SmartPool | None) -> list[Any]:
    """Return the worker processes of a pool; `None` is the default one."""
    inner: Any = default_pool() if pool is None else pool._pool
    made = inner._engine._backends._made if inner._engine else {}
    return list(made["processes"]._placing.workers) if "processes" in made else []


def stage_of(worker: Any) -> str:
    """Return what a worker is at, as its board says."""
    try:
        words = worker._board.words
        phase, position = words[2], words[1]
    except ValueError:  # it has gone meanwhile
        return "gone"
    if phase == len(PHASES) - 1 and not position:
        return "between"
    return PHASES[phase]


def strike(books: Books, worker: Any, rng: random.Random) -> None:
    """Do something to one worker, and note at which stage it was."""
    fault = rng.choices(
        ("SIGKILL", "SIGSEGV", "stop, go on", "stop, kill"), (6, 2, 2, 1)
    )[0]
    stage = stage_of(worker)
    with contextlib.suppress(OSError):
        if fault.startswith("SIG"):
            send(worker, getattr(signal, fault))
        else:
            send(worker, signal.SIGSTOP)
            time.sleep(rng.uniform(0.001, 0.2))
            send(worker, signal.SIGCONT if fault == "stop, go on" else signal.SIGKILL)
        with books.lock:
            books.faults[stage, fault] += 1


def send(worker: Any, number: int) -> None:
    """By its pidfd: the number of a process may soon be another's."""
    if worker._pidfd < 0:
        raise ProcessLookupError
    signal.pidfd_send_signal(worker._pidfd, number)


# -- the whole of it -----------------------------------------------------------------------


def children() -> set[int]:
    """Return the processes that this one has started and that are still there."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        found = {int(pid) for pid in file.read().split()}
    for task in os.listdir("/proc/self/task"):
        with (
            contextlib.suppress(OSError),
            open(f"/proc/self/task/{task}/children", encoding="ascii") as file,
        ):
            found |= {int(pid) for pid in file.read().split()}
    return found


def state() -> tuple[int, int, int]:
    """Return how many processes, descriptors and threads there are."""
    return len(children()), len(os.listdir("/proc/self/fd")), threading.active_count()


def left_over(before: tuple[int, int, int]) -> int:
    """Return how much is left when there was time for it to go."""
    until = time.monotonic() + LEFT_S
    while True:
        more = [max(0, now - then) for now, then in zip(state(), before, strict=True)]
        if not any(more) or time.monotonic() > until:
            return sum(more)
        time.sleep(0.05)


def chaos(seconds: float, seed: int) -> int:
    """Let it all go on for so long; print what came of it, and return 1 if it was bad."""
    before = state()
    with tempfile.NamedTemporaryFile(suffix=".calls") as file:
        books, until = Books(file.name), time.monotonic() + seconds
        pools: list[SmartPool | None] = [
            None,
            SmartPool(2),
            SmartPool(3, max_tasks_per_child=25),
        ]
        threads = [
            threading.Thread(target=use, args=(books, pools, seed * 100 + n, until))
            for n in range(USERS)
        ]
        threads.append(
            threading.Thread(target=wreck, args=(books, pools, seed * 100 + 99, until))
        )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 120)
        hung = sum(thread.is_alive() for thread in threads)
        for pool in pools:
            if pool is not None:
                pool.close()
        close_default_pool()
        lost, doubled = books.close()
    return report(books, lost, doubled, left_over(before), hung)


def report(books: Books, lost: int, doubled: int, leaked: int, hung: int) -> int:
    """Print the books; return 1 if something in them is bad."""
    faults = sum(books.faults.values())
    print(f"{'stage':<10} {'fault':<12} times")
    for (stage, fault), count in sorted(books.faults.items()):
        print(f"{stage:<10} {fault:<12} {count:5}")
    print("outcomes:", ", ".join(f"{n} {k}" for k, n in books.outcomes.most_common()))
    wrong = len(books.problems) - min(doubled, 10)
    for problem in books.problems[:20]:
        print(problem)
    print(
        f"items {books.keys}, faults {faults}, lost {lost}, doubled {doubled},"
        f" wrong {wrong}, leaked {leaked}, hung {hung}"
    )
    return int(any((lost, doubled, wrong, leaked, hung)))


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print_machine()
    return chaos(chosen.seconds, chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
