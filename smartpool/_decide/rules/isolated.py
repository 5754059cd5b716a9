"""The rule for what only worker processes can keep: calls that end, and crashes."""

from __future__ import annotations

from typing import Final

from ..making import (
    MIXED_MOST,
    computing_threads,
    mixed_workers,
    planned,
    waiting_threads,
)
from ..plan import Plan, Reason
from ..sentences import count_cpus, measured_numbers, not_kept, what_showed
from ..situation import Facts
from .rule import Rule


def _is_isolated(facts: Facts) -> bool:
    return facts.workload.isolated is not None and facts.workload.items != 0


def _isolated(facts: Facts) -> Plan:
    why = _why_threads(facts)
    if why is not None:
        text = f"threads, since {why}"
        if lost := not_kept(facts):
            text = f"{text}; {lost}"
        reason = Reason("isolated", text, measured_numbers(facts))
        if facts.kind in ("cpu", "nogil"):
            return computing_threads(facts, reason, facts.cpus)
        return waiting_threads(facts, reason)
    workers, how_many = _workers(facts)
    isolated = facts.workload.isolated
    if facts.workload.ends_calls:
        text = f"{isolated} is kept by worker processes alone, which can be ended"
    else:
        text = f"{isolated} is called in worker processes, and so are the items"
    text = f"{text} ({what_showed(facts)}): {how_many}"
    reason = Reason("isolated", text, measured_numbers(facts))
    return planned(facts, "processes", workers, reason)


def _why_threads(facts: Facts) -> str | None:
    """Return why it has to be threads, or is asked to be; `None`: processes."""
    if facts.workload.hint == "io":
        return "hint='io' asks for many calls that wait side by side"
    if facts.stays is not None:
        return f"the calls cannot leave this process: {facts.stays}"
    return None


def _workers(facts: Facts) -> tuple[int, str]:
    if facts.kind in ("io", "mixed"):
        # Many more would wait side by side on threads. But each is a process here.
        return mixed_workers(facts), f"more than CPUs, but at most {MIXED_MOST} a CPU"
    if facts.profile is None and facts.kind == "unknown":
        return facts.cpus, "the first one measures, and the rest is planned again"
    return facts.cpus, f"one a CPU, of {count_cpus(facts.cpus)}"


ISOLATED: Final = Rule(
    "isolated",
    "`item_timeout` or `crash_retries` was asked for, or the pool has an initializer:"
    " no item is called on the caller's thread, and there is an item",
    "processes, one a CPU; the first chunk is measured there, and if the function waits"
    f" there are more, at most {MIXED_MOST} a CPU. Threads with `hint='io'`, or if the"
    " calls cannot leave this process, and the reason says what does not hold there",
    _is_isolated,
    _isolated,
)
