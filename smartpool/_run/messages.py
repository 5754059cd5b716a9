"""What the engine tells the thread that drives a run, through the run's inbox."""

from __future__ import annotations

from dataclasses import dataclass

from .._backends.base import Item, Said
from .._decide.facts import Profile
from .._outcome import Outcome

Settled = tuple[Item, Outcome]
"""An item, and what became of it."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Some items have been settled, in the order in which that was heard of."""

    outcomes: list[Settled]


@dataclass(frozen=True, slots=True)
class Want:
    """The run would like `count` more items."""

    count: int


@dataclass(frozen=True, slots=True)
class Returned:
    """Items that were fed for another backend: feed them again."""

    items: list[Item]


@dataclass(frozen=True, slots=True)
class Observed:
    """A worker has measured the first items."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class Doubt:
    """The calls do not go as planned.

    Attributes:
        profile: What they showed.
        text: What is wrong, in words.
    """

    profile: Profile
    text: str


@dataclass(frozen=True, slots=True)
class GilChanged:
    """The GIL was switched on, or off, since the plan was made."""


@dataclass(frozen=True, slots=True)
class Late:
    """The run's time was up before it was over: it is being stopped."""


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing of the run goes on any more. The last message."""

    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Nudge:
    """Wakes who waits for the inbox, and says nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """A worker has said something besides outcomes."""

    said: Said


Message = (
    Nudge
    | Outcomes
    | Want
    | Returned
    | Observed
    | Doubt
    | GilChanged
    | Late
    | Over
    | Told
)
