"""The rule for a backend that the user has asked for."""

from __future__ import annotations

from typing import Final

from ..making import (
    computing_threads,
    coroutine_processes,
    event_loop,
    mixed_processes,
    planned,
    waiting_threads,
)
from ..plan import Plan, Reason
from ..sentences import not_kept
from ..situation import Facts
from .awaiting import with_hint
from .rule import Rule


def _pinned(facts: Facts) -> Plan:
    name = facts.workload.backend
    assert name is not None
    text = f"backend={name!r} was asked for"
    if name != "processes" and (lost := not_kept(facts)):
        text = f"{text}; {lost}"
    reason = Reason("pinned", text, {"backend": name})
    if name == "serial":
        return planned(facts, "serial", 1, reason)
    if name == "event_loop":
        return event_loop(facts, with_hint(facts, reason))
    if name == "processes" and facts.kind == "async":
        return coroutine_processes(facts, reason)
    if name == "threads" and facts.kind in ("io", "mixed", "unknown"):
        return waiting_threads(facts, reason)
    if facts.kind == "mixed" and name == "processes":
        return mixed_processes(facts, reason)
    workers = facts.workload.max_workers or facts.machine.cpus
    if name == "threads":
        return computing_threads(facts, reason, workers)
    return planned(facts, name, workers, reason)


PINNED: Final = Rule(
    "pinned",
    "a backend was asked for",
    "that one, and no other",
    lambda facts: facts.workload.backend is not None,
    _pinned,
)
