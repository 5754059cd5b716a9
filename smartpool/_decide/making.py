"""Plans as rules make them: so many workers, within all bounds."""

from __future__ import annotations

from typing import Final

from . import costs, limits
from .facts import BackendName
from .plan import Fact, Plan, Reason
from .situation import Facts

MIXED_MOST: Final = 8
"""Worker processes a CPU, at most, for work that waits and holds the GIL: each has
some 10 MB of memory of its own (benchmarks/costs.py: memory of a worker)."""


def planned(
    facts: Facts,
    backend: BackendName,
    workers: int,
    reason: Reason,
    *,
    concurrency: int | None = None,
    grow_to: int | None = None,
) -> Plan:
    items = facts.workload.items
    if items is not None:
        workers = min(workers, max(1, items))
    now = workers if concurrency is None else concurrency
    return Plan(
        backend=backend,
        workers=workers,
        concurrency=now,
        grow_to=max(now, grow_to or now),
        kind=facts.kind,
        chunksize=facts.workload.chunksize,
        reasons=(reason,),
    )


def serial(facts: Facts, rule: str, text: str, **numbers: Fact) -> Plan:
    return planned(facts, "serial", 1, Reason(rule, text, numbers))


def computing_threads(facts: Facts, reason: Reason, workers: int | None = None) -> Plan:
    """Threads for calls that compute: one a CPU, and those of their libraries within."""
    plan = planned(facts, "threads", workers or facts.free_cpus, reason)
    if not facts.workload.capped or plan.workers == 1:
        return plan
    each = max(1, facts.machine.cpus // plan.workers)
    threads = "1 thread" if each == 1 else f"{each} threads"
    text = f"numerical libraries compute on {threads} in each call meanwhile"
    capped = Reason("library-threads", text, {"threads": each})
    return plan._replace(library_threads=each, reasons=(reason, capped))


def waiting_threads(facts: Facts, reason: Reason) -> Plan:
    """Threads for calls that wait: Little's law to begin with, and growing."""
    work = facts.workload
    bound = work.max_workers
    most = limits.ceiling(
        bound or limits.THREADS_MOST, work.items, facts.machine.max_open_files
    )
    known = facts.profile is not None and facts.profile.at_once is not None
    first = limits.THREADS_MOST if known else limits.START_MOST
    start = min(bound or first, facts.waiting_calls, most)
    return planned(facts, "threads", max(1, start), reason, grow_to=most)


def event_loop(facts: Facts, reason: Reason) -> Plan:
    work = facts.workload
    bound = work.max_workers
    most = limits.ceiling(
        bound or limits.COROUTINES_MOST, work.items, facts.machine.max_open_files
    )
    start = min(bound or limits.START_BLIND, most)
    return planned(facts, "event_loop", 1, reason, concurrency=start, grow_to=most)


def mixed_workers(facts: Facts) -> int:
    """Return how many processes keep the CPUs busy with calls that wait.

    Fewer where the start of so many would take longer than what they gain.
    """
    work, profile = facts.workload, facts.profile
    most = work.max_workers or facts.machine.cpus * MIXED_MOST
    most = min(facts.waiting_calls, most)
    if profile is None or work.items is None:
        return most
    numbers = range(min(facts.cpus, most), most + 1)

    def takes_s(workers: int) -> float:
        return costs.processes_s(work, profile, workers, facts.cpus)

    return min(numbers, key=takes_s)


def mixed_processes(facts: Facts, reason: Reason) -> Plan:
    return planned(facts, "processes", mixed_workers(facts), reason)


def coroutine_processes(facts: Facts, reason: Reason) -> Plan:
    """Processes with a loop in each: one a CPU, and many calls at once in each.

    One after the other where each call has a limit of its own, which is kept by ending
    its process.
    """
    work = facts.workload
    plan = planned(facts, "processes", facts.cpus, reason)
    if work.ends_calls:
        return plan
    bound = work.max_workers
    most = limits.COROUTINES_MOST if bound is None else bound // plan.workers
    at_once = limits.ceiling(most, work.items, facts.machine.max_open_files)
    return plan._replace(side_by_side=at_once)
