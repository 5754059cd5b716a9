"""`Report`: what was decided, why, and what it cost. `Results`: a list with one."""

from __future__ import annotations

from typing import Final, Generic, NamedTuple, TypeVar

from .._decide.plan import Plan, Reason, duration

R = TypeVar("R")

LINES_MOST: Final = 8
"""Lines that `explain` returns, at most."""

REASON_MOST: Final = 400
"""Characters of a reason that `explain` shows: some quote errors of any length."""

_WHERE: Final = {
    "serial": "serial (one call after the other, right here)",
    "threads": "threads (of this process)",
    "processes": "processes (workers, each with a GIL of its own)",
    "event_loop": "event_loop (coroutines that take turns on one thread)",
}
_WORKER: Final = {"threads": "thread", "processes": "process"}
_GIL: Final = "  GIL: the lock without which no thread of a process runs Python code"


class Report(NamedTuple):
    """What a run did.

    Attributes:
        backend: The backend that most items were called on.
        workers: Threads or processes of that backend that were used, at most.
        concurrency: Calls at once, at most.
        plan: The last plan.
        reasons: Why, in the order in which it was decided; each step from one plan
            to another, and each item that could not follow it, is one.
        items: Items that were called.
        on: Items by backend.
        wall_s: Seconds from the call to the last result.
        loop_s: Seconds that a plain loop would have taken: an estimate, the sum of
            what the calls took (of their CPU time, where they only computed) and what
            the input took.
    """

    backend: str
    workers: int
    concurrency: int
    plan: Plan
    reasons: tuple[Reason, ...]
    items: int
    on: dict[str, int]
    wall_s: float
    loop_s: float

    @property
    def speedup(self) -> float:
        """Estimated time of the plain loop over the time taken."""
        return self.loop_s / self.wall_s if self.wall_s > 0 < self.loop_s else 1.0

    def explain(self) -> str:
        """Return the run in words: at most 8 lines, with the measured numbers."""
        took, loop = duration(self.wall_s), duration(self.loop_s)
        head = [
            f"{_count(self.items, 'item')} on {_WHERE.get(self.backend, self.backend)}",
            f"  took {took}; a plain loop: about {loop} (speedup {self.speedup:.1f})",
            f"  {self._at_once()}",
        ]
        if len(self.on) > 1:
            shares = ", ".join(f"{count} on {name}" for name, count in self.on.items())
            head.append(f"  by backend: {shares}")
        why = [
            f"  why: {_line(one.text)} (rule {_line(one.rule)})" for one in self.reasons
        ]
        terms = [_GIL] if any("GIL" in line for line in [*head, *why]) else []
        room = LINES_MOST - len(head) - len(terms)
        if len(why) > room:
            left_out = len(why) - room + 1
            why = [*why[: room - 1], f"  and {left_out} more reasons in .reasons"]
        return "\n".join(head + why + terms)

    def _at_once(self) -> str:
        calls = _count(self.concurrency, "call")
        if self.backend == "serial":
            return f"{calls} at a time"
        if self.backend == "event_loop":
            return f"at most {calls} at once"
        workers = _count(self.workers, _WORKER.get(self.backend, "worker"))
        return f"{workers}, at most {calls} at once"

    def __str__(self) -> str:
        """Return `explain()`."""
        return self.explain()


class Results(list[R], Generic[R]):
    """The results of a run, in input order: a list with a `report`.

    Attributes:
        report: What was decided, why, and what it cost.
    """

    report: Report


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= REASON_MOST else f"{text[: REASON_MOST - 3]}..."


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"{number} {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
