"""Rules for what the user has said: a backend, or an `async def`."""

from __future__ import annotations

from typing import Final

from ..making import event_loop, mixed_processes, planned, waiting_threads
from ..plan import Plan, Reason
from ..sentences import not_kept
from ..situation import Facts
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
        return event_loop(facts, _with_hint(facts, reason))
    if name == "threads" and facts.kind in ("io", "mixed", "unknown"):
        return waiting_threads(facts, reason)
    if facts.kind == "mixed" and name == "processes":
        return mixed_processes(facts, reason)
    return planned(
        facts, name, facts.workload.max_workers or facts.machine.cpus, reason
    )


PINNED: Final = Rule(
    "pinned",
    "a backend was asked for",
    "that one, and no other",
    lambda facts: facts.workload.backend is not None,
    _pinned,
)


def _coroutines(facts: Facts) -> Plan:
    text = "fn is an async def: its calls share one event loop, and wait side by side"
    if lost := not_kept(facts):
        text = f"{text}; {lost}"
    return event_loop(facts, _with_hint(facts, Reason("coroutines", text)))


def _with_hint(facts: Facts, reason: Reason) -> Reason:
    """Return the reason, and that a hint is of no use here, if there is one."""
    hint = facts.workload.hint
    if hint is None:
        return reason
    text = f"{reason.text} (hint={hint!r} changes nothing for an async def yet)"
    return Reason(reason.rule, text, {**reason.facts, "hint": hint})


COROUTINES: Final = Rule(
    "coroutines",
    "`fn` is an `async def`",
    "the event loop; the number of calls at once grows while that helps",
    lambda facts: facts.workload.is_async,
    _coroutines,
)
