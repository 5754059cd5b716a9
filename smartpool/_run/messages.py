"""What the engine tells the thread that drives a run, through the run's inbox."""

from __future__ import annotations

from typing import NamedTuple

from .._backends.base import Item, Said
from .._decide.doubts import Doubt
from .._decide.facts import Profile
from .._outcome import Outcome

Settled = tuple[Item, Outcome]
"""An item, and what became of it."""


class Outcomes(NamedTuple):
    """Some items have been settled, in the order in which that was heard of."""

    outcomes: list[Settled]


class Want(NamedTuple):
    """The run would like so many more items."""

    items: int


class Returned(NamedTuple):
    """Items that were fed for another backend: feed them again."""

    items: list[Item]


class Observed(NamedTuple):
    """A worker has measured the first items."""

    profile: Profile


class Doubted(NamedTuple):
    """The calls do not go as planned."""

    doubt: Doubt


class GilChanged(NamedTuple):
    """The GIL was switched on, or off, since the plan was made."""


class Late(NamedTuple):
    """The run's time was up before it was over: it is being stopped."""


class Over(NamedTuple):
    """Nothing of the run goes on any more. The last message."""

    error: BaseException | None = None


class Nudge(NamedTuple):
    """Wakes who waits for the inbox, and says nothing."""


class Told(NamedTuple):
    """A worker has said something besides outcomes."""

    said: Said


Message = (
    Nudge
    | Outcomes
    | Want
    | Returned
    | Observed
    | Doubted
    | GilChanged
    | Late
    | Over
    | Told
)
