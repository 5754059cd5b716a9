"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..plan import Plan
from ..situation import Facts


class Rule(NamedTuple):
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
