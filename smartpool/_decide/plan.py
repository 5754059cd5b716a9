"""What deciding ends in: a plan, with the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from .facts import BackendName

Fact = int | float | str | bool | None
Kind = Literal["cpu", "io", "nogil", "mixed", "async", "unknown"]


class Reason(NamedTuple):
    """Why something was decided.

    Attributes:
        rule: Name of the rule that spoke.
        text: One sentence with the measured numbers in it.
        facts: Those numbers, by name.
    """

    rule: str
    text: str
    facts: Mapping[str, Fact] = MappingProxyType({})


class Plan(NamedTuple):
    """Where the rest of a run's items are to be called, and how many at once.

    Attributes:
        backend: ``"serial"``, ``"threads"``, ``"processes"`` or ``"event_loop"``.
        workers: Threads or processes to be used; 1 for serial and the event loop.
        concurrency: Calls at once to begin with; the same as `workers` but for the
            event loop.
        grow_to: Calls at once that it may grow to while that helps; the same as
            `concurrency` where it must not grow.
        kind: What the function was taken for.
        chunksize: Items a chunk, fixed; `None` lets measurements choose.
        reasons: Why, the rule that decided first.
        side_by_side: Coroutines that go on at once in each worker process, at most;
            `None` where calls there go one after the other.
        library_threads: Threads that a numerical library may use in each call, where
            calls on threads share the CPUs; `None`: as many as it likes.
    """

    backend: BackendName
    workers: int
    concurrency: int
    grow_to: int
    kind: Kind
    chunksize: int | None
    reasons: tuple[Reason, ...]
    side_by_side: int | None = None
    library_threads: int | None = None

    @property
    def rule(self) -> str:
        """Name of the rule that decided."""
        return self.reasons[0].rule


def duration(seconds: float) -> str:
    """Return a time as people say it, such as ``"1.2 s"``, ``"25 ms"``, ``"68 ns"``."""
    number, unit = seconds * 1e9, "ns"
    for larger in ("us", "ms", "s"):
        if number < _TURNS_AT:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if number >= _TURNS_AT else f"{number:.3g} {unit}"


_TURNS_AT: Final = 999.5
"""Three digits are shown, and this would be rounded to four: a choice."""
