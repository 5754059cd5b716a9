"""What going parallel costs, as numbers to decide with. Each names its benchmark.

Medians of a 2-core machine; a factor of two either way changes few plans, since
plans are made where parallel and serial differ by more.
"""

from __future__ import annotations

from math import inf
from typing import Final

from .facts import Profile, Workload
from .kinds import held_s

WORTH_IT: Final = 0.9
"""A parallel plan has to promise at most this share of the plain loop's time: a
guess that leaves room for what a profile of the first items does not know."""

TINY_S: Final = 3e-6
"""Items shorter than this cost less than handing them over, however many they are
(benchmarks/costs.py: an item of a chunk, threads)."""

THREADS_START_S: Final = 0.0005
"""Until threads call items (benchmarks/costs.py: threads, first result)."""

THREADS_ITEM_S: Final = 3e-6
"""Handing one item of a chunk to a thread (benchmarks/costs.py)."""

RELEASED_ITEM_S: Final = 20e-6
"""The same where threads hand the GIL to one another, which the item lets go of
(benchmarks/costs.py: an item that lets go of the GIL)."""

PROCESS_START_S: Final = 0.05
"""Until a first worker process calls items (benchmarks/costs.py: cold start)."""

HELD_WAITING: Final = 2.0
"""GIL held for so many times the CPU time is held while the item waits, and not a
measurement that is a little too high: a guess (benchmarks/held.py)."""

WORKER_CPU_S: Final = 0.045
"""What a worker computes until it calls items (benchmarks/costs.py: CPU of a start)."""

MODULE_S: Final = 0.002
"""What a worker takes longer to start for each module that the function needs
(benchmarks/costs.py: a function that needs NumPy)."""

PROCESS_WARM_S: Final = 0.001
"""The same where workers are up (benchmarks/costs.py: round trip)."""

PROCESS_ITEM_S: Final = 5e-6
"""One item of a chunk through a worker, on this program's side: encode, frame,
deliver (benchmarks/costs.py)."""

MOVE_FROM_S: Final = 0.5
"""Calls that overlap are moved to workers for so much computing at least, ten times the
start of one: what is in flight ends first, and the last calls look dearer than they
are (the demo's `fetch` fell from a gain of 29 to 9 without it): a guess."""

STEPS_S: Final = 0.0005
"""CPU of a coroutine's steps from which on they compute: some thirty times what the
loop itself takes for a call (benchmarks/costs.py: a coroutine)."""

BYTES_PER_S: Final = 0.6e9
"""Bytes through a worker's socket, one way (benchmarks/costs.py: 4 MB)."""


def rest_s(workload: Workload, profile: Profile) -> float:
    """Return seconds that a plain loop would take for the items that are left."""
    return inf if workload.items is None else workload.items * profile.own_s


def threads_s(
    workload: Workload, profile: Profile, at_once: int, item_s: float = THREADS_ITEM_S
) -> float:
    """Return seconds that threads would take for the items that are left.

    Args:
        workload: What is left.
        profile: What the first items showed.
        at_once: Threads.
        item_s: Seconds that handing over an item takes.
    """
    if workload.items is None:
        return inf
    each_s = profile.own_s / at_once + item_s
    return THREADS_START_S + workload.items * each_s


def turns_s(workload: Workload, profile: Profile) -> float:
    """Return seconds that threads would take for items that wait and hold the GIL.

    Their waits overlap, but for those in which they hold it, as the start of a program
    does; their work does not.
    """
    if workload.items is None:
        return inf
    each_s = turn_s(profile) + THREADS_ITEM_S
    return THREADS_START_S + profile.own_s - turn_s(profile) + workload.items * each_s


def turn_s(profile: Profile) -> float:
    """Return for how long an item keeps other threads from going on.

    What it computes, as a rule; and what it waits where it holds the GIL meanwhile.
    """
    cpu_s, gil_s = profile.cpu_s or 0.0, held_s(profile) or 0.0
    return min(profile.own_s, gil_s if gil_s > HELD_WAITING * cpu_s else cpu_s)


def travel_s(profile: Profile) -> float:
    """Return seconds of this program's time that an item's way there and back takes.

    What was not measured counts as nothing: in favour of processes.
    """
    size = (profile.arg_bytes or 0) + (profile.result_bytes or 0)
    return PROCESS_ITEM_S + (profile.pickle_s or 0.0) + size / BYTES_PER_S


def processes_s(workload: Workload, profile: Profile, workers: int, cpus: int) -> float:
    """Return seconds that worker processes would take for the items that are left.

    The way there and back is this program's work, one item after the other; the
    items are the workers', and what they compute the CPUs'. The slowest of the three
    sets the pace.
    """
    items = 1000 if workload.items is None else workload.items
    start_s = starts_s(workload, min(workers, items), cpus) / (
        1 + workload.earlier_runs
    )
    there_s = travel_s(profile)
    pace_s = max(
        there_s,
        (profile.own_s + there_s) / min(workers, max(1, items)),
        (profile.cpu_s or 0.0) / min(cpus, workers),
    )
    return start_s + items * pace_s


def starts_s(workload: Workload, workers: int, cpus: int) -> float:
    """Return seconds until so many workers call items, besides those that are up.

    Each of them computes while it starts, and those beyond the CPUs take turns.
    """
    missing = workers - workload.warm_workers
    if missing <= 0:
        return PROCESS_WARM_S
    each_s = WORKER_CPU_S + workload.modules * MODULE_S
    if workload.warm_workers:
        return PROCESS_WARM_S + each_s * missing / cpus
    more_s = each_s * max(0, missing - cpus) / cpus
    return PROCESS_START_S + workload.modules * MODULE_S + more_s


def nothing_gains(workload: Workload, item_s: float, cpus: int, *, gil: bool) -> bool:
    """Return whether items are called here whatever they do, as short as they are.

    On threads each would cost more than it takes, and workers would not be up in time.
    """
    if workload.items is None or item_s > RELEASED_ITEM_S * WORTH_IT:
        return False
    profile = Profile(1, item_s)
    best_s = processes_s(workload, profile, cpus, cpus)
    if not gil:
        best_s = min(best_s, threads_s(workload, profile, cpus))
    return best_s > WORTH_IT * rest_s(workload, profile)


def process_item_gains(profile: Profile, workers: int, pace_s: float) -> bool:
    """Return whether items through workers come faster than every `pace_s` seconds."""
    there_s = travel_s(profile)
    return max(there_s, (profile.own_s + there_s) / workers) < pace_s


def worth_moving(workload: Workload, profile: Profile) -> bool:
    """Return whether calls that do not go as planned should be planned again."""
    return profile.contended or rest_s(workload, profile) >= MOVE_FROM_S


def computes_on_loop(profile: Profile | None) -> bool:
    """Return whether the steps of a coroutine compute."""
    return profile is not None and (profile.cpu_s or 0.0) >= STEPS_S
