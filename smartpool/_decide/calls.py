"""Where one call of a function belongs: here, on the caller's thread, or elsewhere.

A run has items to spread. Who makes single calls (a view of a web server) has threads
already, each of which makes one: what waits, or lets go of the GIL, is as well off on
the thread that asks. What holds the GIL keeps all those threads from going on, and is
better off in a worker process, if it takes long enough to be worth the way.
"""

from __future__ import annotations

from typing import Final

from .facts import Machine, Profile, Workload
from .kinds import WAITS_BELOW
from .plan import Plan
from .rules import make_plan

CALL_FROM_S: Final = 0.002
"""A call that is shorter stays here: ten times what the way to a worker and back takes
on a busy machine, twenty times and more on a quiet one (benchmarks/calls.py): a guess.
"""

WORKS_NOW: Final = 0.5
"""Share of CPU in a call's time above which what was learnt to wait is looked at anew:
a guess."""


def plan_of_calls(
    machine: Machine, workload: Workload, profile: Profile | None
) -> Plan:
    """Return the plan for calls to come, as many as there may be."""
    return make_plan(machine, workload._replace(items=None), profile)


def belongs_here(plan: Plan, profile: Profile | None) -> bool:
    """Return whether a call is to be made on the thread that asks for it."""
    if plan.backend != "processes":
        return True
    return profile is not None and profile.own_s < CALL_FROM_S


def has_changed(plan: Plan, *, here: bool, wall_s: float, cpu_s: float) -> bool:
    """Return whether a call did something else than was learnt of its function.

    Args:
        plan: What was learnt.
        here: Whether it was called on the thread that asked.
        wall_s: Seconds that it took.
        cpu_s: Seconds of CPU that it used.
    """
    if not here:
        # Too short for its way after all: what was measured was a cold start, say. Or
        # it waits: beyond doubt, since a busy machine makes work look like waiting.
        waits = cpu_s < WAITS_BELOW * wall_s
        return wall_s < CALL_FROM_S / 2 or (plan.kind == "cpu" and waits)
    works = cpu_s > WORKS_NOW * wall_s
    if wall_s < CALL_FROM_S:
        return False
    # What works and stays here lets go of the GIL, or cannot leave; what is new is
    # work where there was none, or where it was too short to matter.
    return works and plan.kind in ("io", "cpu", "mixed") and plan.rule != "stays-here"
