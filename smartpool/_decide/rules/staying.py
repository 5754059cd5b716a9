"""Rules that keep calls in this process which might be better off in another one."""

from __future__ import annotations

from typing import Final

from .. import costs
from ..making import mixed_workers, serial, waiting_threads
from ..plan import Plan, Reason, duration
from ..sentences import in_doubt, measured_numbers, taking_turns
from ..situation import Facts
from .rule import Rule


def _cannot_leave(facts: Facts) -> bool:
    return facts.machine.gil and facts.kind != "nogil" and facts.stays is not None


def _stays_here(facts: Facts) -> Plan:
    why = f"the calls cannot leave this process: {facts.stays}"
    if facts.kind == "cpu":
        text = f"{taking_turns(facts)}, and {why}"
        return serial(facts, "stays-here", text, **measured_numbers(facts))
    text = f"threads, since {in_doubt(facts)}, and {why}"
    return waiting_threads(facts, Reason("stays-here", text, measured_numbers(facts)))


STAYS_HERE: Final = Rule(
    "stays-here",
    "the GIL is on, and the calls cannot leave this process: not picklable, a"
    " global is rebound, or there are no processes",
    "serial if the function holds the GIL all the time, else threads",
    _cannot_leave,
    _stays_here,
)


def _may_hold_gil(facts: Facts) -> bool:
    return facts.machine.gil and facts.kind in ("cpu", "mixed", "unknown")


def _costs_too_much(facts: Facts) -> bool:
    """Return whether processes gain too little over what this process can do."""
    work, profile = facts.workload, facts.profile
    if not _may_hold_gil(facts) or profile is None:
        return False
    here_s, pace_s, workers = costs.rest_s(work, profile), profile.own_s, facts.cpus
    if facts.kind == "mixed":
        here_s, pace_s = costs.turns_s(work, profile), costs.turn_s(profile)
        workers = mixed_workers(facts)
    if not costs.process_item_gains(profile, workers, pace_s):
        return True
    if not profile.finished:
        here_s += profile.own_s  # what goes on may take as long again as it has
    there_s = costs.processes_s(work, profile, workers, facts.cpus)
    return there_s > costs.WORTH_IT * here_s


def _dear_travel(facts: Facts) -> Plan:
    work, profile = facts.workload, facts.profile
    assert profile is not None
    travel_s = costs.travel_s(profile)
    workers = mixed_workers(facts) if facts.kind == "mixed" else facts.cpus
    there_s = costs.processes_s(work, profile, workers, facts.cpus)
    if work.items is None or travel_s >= profile.wall_s:
        cost = (
            "an item's way to a worker process and back would take"
            f" {duration(travel_s)}"
        )
    elif facts.kind == "mixed":
        cost = (
            f"worker processes would take {duration(there_s)} for what takes threads"
            f" {duration(costs.turns_s(work, profile))}"
        )
    else:
        cost = (
            f"worker processes would take {duration(there_s)} for what is"
            f" {duration(costs.rest_s(work, profile))} of work here"
        )
    numbers = measured_numbers(facts) | {"travel_s": travel_s, "processes_s": there_s}
    if facts.kind == "cpu" or not profile.finished:
        # While an item goes on, this is asked again: no crowd of threads meanwhile.
        text = f"{taking_turns(facts)}, and {cost}"
        return serial(facts, "dear-travel", text, **numbers)
    text = f"threads, since {in_doubt(facts)}, and {cost}"
    return waiting_threads(facts, Reason("dear-travel", text, numbers))


DEAR_TRAVEL: Final = Rule(
    "dear-travel",
    "the function holds the GIL, or may; and starting workers or an item's way to"
    f" them and back would leave more than {costs.WORTH_IT:.0%} of the time that it takes"
    " here",
    "serial if the function holds the GIL all the time, else threads",
    _costs_too_much,
    _dear_travel,
)
