"""Rules that keep a run here, one call after the other: there is nothing to gain."""

from __future__ import annotations

from typing import Final

from .. import costs
from ..making import serial
from ..plan import Plan, duration
from ..sentences import count_cpus, count_items, item_text, what_showed
from ..situation import Facts
from .rule import Rule


def _is_alone(facts: Facts) -> bool:
    items = facts.workload.items
    return items == 0 or (items == 1 and not _goes_on(facts))


def _goes_on(facts: Facts) -> bool:
    return facts.profile is not None and not facts.profile.finished


def _alone(facts: Facts) -> Plan:
    items = facts.workload.items
    profile = facts.profile
    if items != 0:
        text = "one item is left: there is nothing to call beside it"
    elif profile is None:
        text = "there is no item to call"
    elif not profile.finished:
        text = f"the last item is being called already ({item_text(profile)})"
    else:
        calls = "one" if profile.calls == 1 else str(profile.calls)
        verb = "was" if profile.calls == 1 else "were"
        text = f"no item is left after the {calls} that {verb} measured"
        text = f"{text} ({item_text(profile)})"
    return serial(facts, "nothing-left", text, items=items)


NOTHING_LEFT: Final = Rule(
    "nothing-left",
    "no item is left, or one and no other is being called",
    "serial, here",
    _is_alone,
    _alone,
)


def _is_tiny(facts: Facts) -> bool:
    profile = facts.profile
    return profile is not None and profile.finished and profile.wall_s < costs.TINY_S


def _tiny(facts: Facts) -> Plan:
    profile = facts.profile
    assert profile is not None
    text = (
        f"an item takes {duration(profile.wall_s)}: handing it over would take longer"
        f" ({duration(costs.TINY_S)})"
    )
    return serial(facts, "tiny", text, wall_s=profile.wall_s, tiny_s=costs.TINY_S)


TINY: Final = Rule(
    "tiny",
    f"an item takes less than {duration(costs.TINY_S)}",
    "serial, here",
    _is_tiny,
    _tiny,
)


def _at_once(facts: Facts) -> int:
    """Return how many calls could go on at once, at the very best."""
    if facts.kind in ("cpu", "nogil"):
        return facts.free_cpus
    bound = facts.workload.max_workers
    return min(facts.waiting_calls, bound) if bound else facts.waiting_calls


def _goes_one_by_one(facts: Facts) -> bool:
    known = facts.profile is not None and facts.workload.items is not None
    return known and _at_once(facts) <= 1


def _one_by_one(facts: Facts) -> Plan:
    profile = facts.profile
    if facts.workload.max_workers == 1:
        text = "max_workers=1 allows one call at a time"
    elif profile is not None and facts.free_cpus < facts.cpus:
        text = (
            f"a call keeps {1 + profile.native_share:.1f} CPUs busy by itself, of"
            f" {facts.cpus}, with threads of its library ({what_showed(facts)}): more"
            " calls at once would take turns"
        )
    else:
        text = (
            f"the function works ({what_showed(facts)}) and there is"
            f" {count_cpus(facts.cpus)}: more calls at once would take turns"
        )
    return serial(facts, "one-by-one", text, cpus=facts.cpus)


ONE_BY_ONE: Final = Rule(
    "one-by-one",
    "no two calls could go on at once: the function works and there is one CPU, or it"
    " computes on several by itself; or `max_workers=1`",
    "serial, here",
    _goes_one_by_one,
    _one_by_one,
)


def _best_s(facts: Facts) -> float:
    """Return what threads would take if they never stood in each other's way."""
    assert facts.profile is not None
    handed = facts.kind == "nogil" and facts.machine.gil
    item_s = costs.RELEASED_ITEM_S if handed else costs.THREADS_ITEM_S
    return costs.threads_s(facts.workload, facts.profile, _at_once(facts), item_s)


def _is_too_little(facts: Facts) -> bool:
    work, profile = facts.workload, facts.profile
    if profile is None or work.items is None:
        return False
    if _gains_nothing(facts):
        return True
    return _best_s(facts) > costs.WORTH_IT * costs.rest_s(work, profile)


def _gains_nothing(facts: Facts) -> bool:
    profile = facts.profile
    if profile is None or not profile.finished:
        return False
    gil = facts.machine.gil
    return costs.nothing_gains(facts.workload, profile.wall_s, facts.cpus, gil=gil)


def _too_little(facts: Facts) -> Plan:
    work, profile = facts.workload, facts.profile
    assert profile is not None
    loop_s, best_s = costs.rest_s(work, profile), _best_s(facts)
    best = f"threads would take {duration(best_s)} at best"
    if _gains_nothing(facts):
        best = "handing them over would take longer"
    text = (
        f"{count_items(work.items)} of {duration(profile.wall_s)} are {duration(loop_s)} of"
        f" work, and {best}"
    )
    return serial(
        facts, "too-little", text, items=work.items, rest_s=loop_s, best_s=best_s
    )


TOO_LITTLE: Final = Rule(
    "too-little",
    "even threads at their best would take more than"
    f" {costs.WORTH_IT:.0%} of the plain loop's time",
    "serial, here",
    _is_too_little,
    _too_little,
)
