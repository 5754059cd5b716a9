"""Rules for an `async def`: one event loop, or a loop in each worker process."""

from __future__ import annotations

from typing import Final

from .. import costs
from ..making import coroutine_processes, event_loop
from ..plan import Plan, Reason, duration
from ..sentences import measured_numbers, not_kept
from ..situation import Facts
from .rule import Rule


def _work_elsewhere(facts: Facts) -> bool:
    work, profile = facts.workload, facts.profile
    if not work.is_async or work.isolated or facts.stays or facts.cpus == 1:
        return False
    if work.hint is not None:
        return work.hint == "cpu"
    if profile is None or not costs.computes_on_loop(profile):
        return False
    there_s = costs.processes_s(work, profile, facts.cpus, facts.cpus)
    gains = costs.process_item_gains(profile, facts.cpus, profile.own_s)
    return gains and there_s <= costs.WORTH_IT * costs.rest_s(work, profile)


def _at_work(facts: Facts) -> Plan:
    profile = facts.profile
    if facts.workload.hint == "cpu" or profile is None:
        text = "hint='cpu': the calls of this async def compute between their awaits"
    else:
        text = (
            "the calls of this async def compute between their awaits"
            f" ({duration(profile.cpu_s or 0.0)} each, one after the other on one loop)"
        )
    text = f"{text}: one process a CPU, with a loop in each"
    return coroutine_processes(
        facts, Reason("coroutines-work", text, measured_numbers(facts))
    )


COROUTINES_WORK: Final = Rule(
    "coroutines-work",
    "`fn` is an `async def`, and its calls compute for"
    f" {duration(costs.STEPS_S)} or more between their awaits (or `hint='cpu'`); they can"
    " leave this process, and that is worth its cost",
    "processes, one a CPU, with a loop in each on which many calls wait side by side",
    _work_elsewhere,
    _at_work,
)


def _coroutines(facts: Facts) -> Plan:
    text = "fn is an async def: its calls share one event loop, and wait side by side"
    if costs.computes_on_loop(facts.profile) or facts.workload.hint == "cpu":
        text = f"{text}. Between their awaits they compute, but {_why_here(facts)}"
    if lost := not_kept(facts):
        text = f"{text}; {lost}"
    reason = Reason("coroutines", text)
    told = facts.workload.hint == "cpu"
    return event_loop(facts, reason if told else with_hint(facts, reason))


def _why_here(facts: Facts) -> str:
    work = facts.workload
    if work.isolated:
        return "nothing of this run is called beside others in a worker process"
    if facts.stays:
        return f"they cannot leave this process: {facts.stays}"
    if facts.cpus == 1:
        return "there is one CPU for them"
    if work.hint is not None:
        return f"hint={work.hint!r} was given"
    return "worker processes would not be quicker"


def with_hint(facts: Facts, reason: Reason) -> Reason:
    """Return the reason, and that a hint is of no use here, if there is one."""
    hint = facts.workload.hint
    if hint is None:
        return reason
    text = f"{reason.text} (hint={hint!r} changes nothing for an async def)"
    return Reason(reason.rule, text, {**reason.facts, "hint": hint})


COROUTINES: Final = Rule(
    "coroutines",
    "`fn` is an `async def`",
    "the event loop; the number of calls at once grows while that helps",
    lambda facts: facts.workload.is_async,
    _coroutines,
)
