"""The rules: which facts lead to which plan.

Rule 1: everything that chooses a backend is in this package.
Rule 2: it does not know the time, and touches nothing.
Rule 3: the rules are tried in order, and the first that fits makes the plan.

Each rule is data: a name, its condition and its plan in words (the documentation is
made from them), and the two functions that the words describe. The plan's reason is a
sentence with the measured numbers in it.
"""

from __future__ import annotations

from typing import Final

from ..facts import Machine, Profile, Workload
from ..plan import Plan
from ..situation import Facts
from .asked import PINNED
from .awaiting import COROUTINES, COROUTINES_WORK
from .isolated import ISOLATED
from .rule import Rule
from .serially import NOTHING_LEFT, ONE_BY_ONE, TINY, TOO_LITTLE
from .spreading import (
    ASK_A_WORKER,
    CANNOT_TELL,
    CONTENDED,
    GIL_HELD,
    GIL_OFF,
    GIL_RELEASED,
    MIXED,
    WAITS,
)
from .staying import DEAR_TRAVEL, STAYS_HERE

RULES: Final[tuple[Rule, ...]] = (
    PINNED,
    COROUTINES_WORK,
    COROUTINES,
    ISOLATED,
    NOTHING_LEFT,
    TINY,
    ONE_BY_ONE,
    TOO_LITTLE,
    WAITS,
    STAYS_HERE,
    DEAR_TRAVEL,
    MIXED,
    CONTENDED,
    GIL_RELEASED,
    GIL_OFF,
    GIL_HELD,
    ASK_A_WORKER,
    CANNOT_TELL,
)
"""All of them, in the order in which they are tried."""


def make_plan(machine: Machine, workload: Workload, profile: Profile | None) -> Plan:
    """Return the plan of the first rule that fits.

    Args:
        machine: The host and the interpreter.
        workload: The run, as far as it is left.
        profile: What the first items showed; `None` if none was called.
    """
    facts = Facts(machine, workload, profile)
    return next(rule for rule in RULES if rule.fits(facts)).make(facts)
