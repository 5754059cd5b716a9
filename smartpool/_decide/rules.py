"""The rules: which facts lead to which plan.

Rule 1: everything that chooses a backend is in this file.
Rule 2: this file does not know the time, and touches nothing.
Rule 3: the rules are tried in order, and the first that fits makes the plan.

Each rule is data: a name, its condition and its plan in words (the documentation is
made from them), and the two functions that the words describe. The plan's reason is a
sentence with the measured numbers in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from . import costs
from .facts import Machine, Profile, Workload
from .making import (
    MIXED_MOST,
    event_loop,
    mixed_processes,
    mixed_workers,
    planned,
    serial,
    waiting_threads,
)
from .plan import Plan, Reason, duration
from .probing import ENOUGH_S
from .sentences import (
    cannot_say,
    count_cpus,
    count_items,
    in_doubt,
    item_text,
    measured_numbers,
    taking_turns,
    what_showed,
    what_showed_holding,
)
from .situation import Facts

WORTH_IT: Final = 0.9
"""A parallel plan has to promise at most this share of the plain loop's time: a
guess that leaves room for what a profile of the first items does not know."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: What reasons and reports call it.
        when: The condition, in words.
        plan: What it makes, in words.
        fits: The condition.
        make: The plan.
    """

    name: str
    when: str
    plan: str
    fits: Callable[[Facts], bool]
    make: Callable[[Facts], Plan]


def make_plan(machine: Machine, workload: Workload, profile: Profile | None) -> Plan:
    """Return the plan of the first rule that fits.

    Args:
        machine: The host and the interpreter.
        workload: The run, as far as it is left.
        profile: What the first items showed; `None` if none was called.
    """
    facts = Facts(machine, workload, profile)
    return next(rule for rule in RULES if rule.fits(facts)).make(facts)


# -- rules, in order -----------------------------------------------------------------


def _pinned(facts: Facts) -> Plan:
    name = facts.workload.backend
    assert name is not None
    reason = Reason("pinned", f"backend={name!r} was asked for", {"backend": name})
    if name == "serial":
        return planned(facts, "serial", 1, reason)
    if name == "event_loop":
        return event_loop(facts, reason)
    if name == "threads" and facts.kind in ("io", "mixed", "unknown"):
        return waiting_threads(facts, reason)
    if facts.kind == "mixed" and name == "processes":
        return mixed_processes(facts, reason)
    return planned(
        facts, name, facts.workload.max_workers or facts.machine.cpus, reason
    )


def _coroutines(facts: Facts) -> Plan:
    text = "fn is an async def: its calls share one event loop, and wait side by side"
    return event_loop(facts, Reason("coroutines", text))


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


def _at_once(facts: Facts) -> int:
    """Return how many calls could go on at once, at the very best."""
    if facts.kind in ("cpu", "nogil"):
        return facts.cpus
    bound = facts.workload.max_workers
    return min(facts.waiting_calls, bound) if bound else facts.waiting_calls


def _goes_one_by_one(facts: Facts) -> bool:
    known = facts.profile is not None and facts.workload.items is not None
    return known and _at_once(facts) <= 1


def _one_by_one(facts: Facts) -> Plan:
    if facts.workload.max_workers == 1:
        text = "max_workers=1 allows one call at a time"
    else:
        text = (
            f"the function works ({what_showed(facts)}) and there is"
            f" {count_cpus(facts.cpus)}: more calls at once would take turns"
        )
    return serial(facts, "one-by-one", text, cpus=facts.cpus)


def _best_s(facts: Facts) -> float:
    """Return what threads would take if they never stood in each other's way."""
    assert facts.profile is not None
    return costs.threads_s(facts.workload, facts.profile, _at_once(facts))


def _is_too_little(facts: Facts) -> bool:
    work, profile = facts.workload, facts.profile
    if profile is None or work.items is None:
        return False
    return _best_s(facts) > WORTH_IT * costs.rest_s(work, profile)


def _too_little(facts: Facts) -> Plan:
    work, profile = facts.workload, facts.profile
    assert profile is not None
    loop_s, best_s = costs.rest_s(work, profile), _best_s(facts)
    text = (
        f"{count_items(work.items)} of {duration(profile.wall_s)} are {duration(loop_s)} of"
        f" work, and threads would take {duration(best_s)} at best"
    )
    return serial(
        facts, "too-little", text, items=work.items, rest_s=loop_s, best_s=best_s
    )


def _waits(facts: Facts) -> Plan:
    text = f"the function waits ({what_showed(facts)}): threads wait side by side"
    return waiting_threads(facts, Reason("waits", text, measured_numbers(facts)))


def _cannot_leave(facts: Facts) -> bool:
    return facts.machine.gil and facts.kind != "nogil" and facts.stays is not None


def _stays_here(facts: Facts) -> Plan:
    why = f"the calls cannot leave this process: {facts.stays}"
    if facts.kind == "cpu":
        text = f"{taking_turns(facts)}, and {why}"
        return serial(facts, "stays-here", text, **measured_numbers(facts))
    text = f"threads, since {in_doubt(facts)}, and {why}"
    return waiting_threads(facts, Reason("stays-here", text, measured_numbers(facts)))


def _may_hold_gil(facts: Facts) -> bool:
    return facts.machine.gil and facts.kind in ("cpu", "mixed", "unknown")


def _costs_too_much(facts: Facts) -> bool:
    """Return whether processes gain too little over what this process can do."""
    work, profile = facts.workload, facts.profile
    if not _may_hold_gil(facts) or profile is None:
        return False
    here_s, pace_s, workers = costs.rest_s(work, profile), profile.own_s, facts.cpus
    if facts.kind == "mixed":
        here_s, pace_s = costs.turns_s(work, profile), profile.cpu_s or 0.0
        workers = mixed_workers(facts)
    if not costs.process_item_gains(profile, workers, pace_s):
        return True
    if not profile.finished:
        here_s += profile.own_s  # what goes on may take as long again as it has
    there_s = costs.processes_s(work, profile, workers)
    return there_s > WORTH_IT * here_s


def _dear_travel(facts: Facts) -> Plan:
    work, profile = facts.workload, facts.profile
    assert profile is not None
    travel_s = costs.travel_s(profile)
    workers = mixed_workers(facts) if facts.kind == "mixed" else facts.cpus
    there_s = costs.processes_s(work, profile, workers)
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


def _mixed(facts: Facts) -> Plan:
    text = (
        f"the function waits and holds the GIL ({what_showed_holding(facts)}):"
        " more processes than CPUs, so that each CPU has one that works"
    )
    return mixed_processes(facts, Reason("mixed", text, measured_numbers(facts)))


def _contended(facts: Facts) -> Plan:
    numbers = measured_numbers(facts)
    if facts.stays is not None:
        text = f"threads get into each other's way, and {facts.stays}: one thread"
        return planned(facts, "threads", 1, Reason("contended", text, numbers))
    text = "threads get into each other's way: one process a CPU"
    return planned(facts, "processes", facts.cpus, Reason("contended", text, numbers))


def _released(facts: Facts) -> Plan:
    text = (
        f"the function lets go of the GIL while it works ({what_showed_holding(facts)}):"
        " one thread a CPU"
    )
    reason = Reason("gil-released", text, measured_numbers(facts))
    return planned(facts, "threads", facts.cpus, reason)


def _is_gil_off(facts: Facts) -> bool:
    return not facts.machine.gil and facts.kind in ("nogil", "unknown")


def _off(facts: Facts) -> Plan:
    if facts.kind == "unknown":
        text = (
            f"the GIL is off ({what_showed(facts)}): threads serve work and waits alike"
        )
        return waiting_threads(facts, Reason("gil-off", text, measured_numbers(facts)))
    text = f"the function works ({what_showed(facts)}) and the GIL is off: one thread a CPU"
    reason = Reason("gil-off", text, measured_numbers(facts))
    return planned(facts, "threads", facts.cpus, reason)


def _held(facts: Facts) -> Plan:
    text = f"{taking_turns(facts)}: one process a CPU"
    reason = Reason("gil-held", text, measured_numbers(facts))
    return planned(facts, "processes", facts.cpus, reason)


def _was_asked(facts: Facts) -> bool:
    return facts.profile is not None and facts.profile.where == "worker"


def _ask_a_worker(facts: Facts) -> Plan:
    text = f"{cannot_say(facts)}: a worker process is asked"
    reason = Reason("ask-a-worker", text, measured_numbers(facts))
    # One alone sees most. But items that take long must not wait for its answer.
    profile = facts.profile
    long = profile is None or not profile.finished or profile.wall_s > ENOUGH_S
    return planned(facts, "processes", facts.cpus if long else 1, reason)


def _cannot_tell(facts: Facts) -> Plan:
    text = f"{cannot_say(facts)}: one process a CPU, which is never wrong by much"
    reason = Reason("cannot-tell", text, measured_numbers(facts))
    return planned(facts, "processes", facts.cpus, reason)


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "pinned",
        "a backend was asked for",
        "that one, and no other",
        lambda facts: facts.workload.backend is not None,
        _pinned,
    ),
    Rule(
        "coroutines",
        "`fn` is an `async def`",
        "the event loop; the number of calls at once grows while that helps",
        lambda facts: facts.workload.is_async,
        _coroutines,
    ),
    Rule(
        "nothing-left",
        "no item is left, or one and no other is being called",
        "serial, here",
        _is_alone,
        _alone,
    ),
    Rule(
        "tiny",
        f"an item takes less than {duration(costs.TINY_S)}",
        "serial, here",
        _is_tiny,
        _tiny,
    ),
    Rule(
        "one-by-one",
        "no two calls could go on at once: the function works and there is one CPU,"
        " or `max_workers=1`",
        "serial, here",
        _goes_one_by_one,
        _one_by_one,
    ),
    Rule(
        "too-little",
        "even threads at their best would take more than"
        f" {WORTH_IT:.0%} of the plain loop's time",
        "serial, here",
        _is_too_little,
        _too_little,
    ),
    Rule(
        "waits",
        "the function waits (or `hint='io'`)",
        "threads: 1 + wait / CPU a core to begin with, more while that helps",
        lambda facts: facts.kind == "io",
        _waits,
    ),
    Rule(
        "stays-here",
        "the GIL is on, and the calls cannot leave this process: not picklable, a"
        " global is rebound, or there are no processes",
        "serial if the function holds the GIL all the time, else threads",
        _cannot_leave,
        _stays_here,
    ),
    Rule(
        "dear-travel",
        "the function holds the GIL, or may; and starting workers or an item's way to"
        f" them and back would leave more than {WORTH_IT:.0%} of the time that it takes"
        " here",
        "serial if the function holds the GIL all the time, else threads",
        _costs_too_much,
        _dear_travel,
    ),
    Rule(
        "mixed",
        "the function waits, and holds the GIL while it works",
        "processes, more of them than CPUs: 1 + wait / CPU a core, at most"
        f" {MIXED_MOST} a core",
        lambda facts: facts.kind == "mixed",
        _mixed,
    ),
    Rule(
        "contended",
        "threads were tried, and each item took longer than on one thread alone, by more"
        " than a busy machine would explain",
        "processes, one a CPU; one thread if the calls cannot leave this process",
        lambda facts: facts.profile is not None and facts.profile.contended,
        _contended,
    ),
    Rule(
        "gil-released",
        "the function works, and lets go of the GIL meanwhile (or `hint='nogil'`)",
        "threads, one a CPU",
        lambda facts: facts.kind == "nogil" and facts.machine.gil,
        _released,
    ),
    Rule(
        "gil-off",
        "the function works, or nobody knows, and there is no GIL to hold",
        "threads, one a CPU; where nobody knows, more while that helps",
        _is_gil_off,
        _off,
    ),
    Rule(
        "gil-held",
        "the function holds the GIL while it works (or `hint='cpu'`)",
        "processes, one a CPU",
        lambda facts: facts.kind == "cpu",
        _held,
    ),
    Rule(
        "ask-a-worker",
        "the first items did not show whether the GIL is held, for example because"
        " other threads of this program compute",
        "one worker process, or one a CPU if items take long; the first chunk is measured"
        " there, and the rest is planned again",
        lambda facts: not _was_asked(facts),
        _ask_a_worker,
    ),
    Rule(
        "cannot-tell",
        "a worker did not find out either",
        "processes, one a CPU",
        _was_asked,
        _cannot_tell,
    ),
)
