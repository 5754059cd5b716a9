"""What a run's report is made of, as it is gathered."""

from __future__ import annotations

import time
from typing import Final

from .._decide.facts import Profile
from .._decide.kinds import WORKS_ABOVE_FREE, working
from .._decide.plan import Fact, Plan, Reason
from .._errors import NotPicklableError
from .._report.report import Report
from .._run.run import Run
from .._run.stats import Stats
from .here import Here

NAMED_MOST: Final = 5
"""Items that a reason names, at most: a choice."""


class Record:
    """Gathers what the report of one run says.

    Attributes:
        reasons: Why, so far.
        plan: The last plan.
        called_meanwhile: Whether an item was called here while others were elsewhere.
    """

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self.reasons: list[Reason] = []
        self.plan: Plan | None = None
        self.called_meanwhile = False
        self._profile: Profile | None = None
        self._kept_here = 0
        self._first_kept = 0, ""

    def plan_made(self, plan: Plan, profile: Profile | None) -> None:
        """Take in a plan, and what it was made from."""
        self.plan, self._profile = plan, profile
        for reason in plan.reasons:
            self.add(reason)

    def add(self, reason: Reason) -> None:
        """Take in a reason, unless it has just been given."""
        if not self.reasons or self.reasons[-1] != reason:
            self.reasons.append(reason)

    def kept_here(self, exc: NotPicklableError) -> None:
        """Take in that one more item is called here, since it cannot travel.

        There is one reason for all of them, with the first one's cause.
        """
        self._kept_here += 1
        count = self._kept_here
        if count == 1:
            self._first_kept = len(self.reasons), str(exc)
        place, first = self._first_kept
        how_many = "1 item was called here"
        if count > 1:
            how_many = f"{count} items were called here, the first"
        text = f"{how_many} because {first}"
        self.reasons[place : place + 1] = [Reason("stays-here", text, {"items": count})]

    def report(self, here: Here, run: Run | None) -> Report:
        """Return the report; before the first plan, with one that says so."""
        plan = self.plan or _provisional(here)
        on = {"serial": here.calls} if here.calls else {}
        loop_s, workers, calls_at_once = here.loop_s, 1, 1
        if run is not None:
            stats = run.stats
            # A copy: the run may go on, and add a backend.
            for name, count in dict(stats.items).items():
                on[name] = on.get(name, 0) + count
            loop_s += _loop_s(plan, self._profile, stats)
            workers = at_once = max(1, stats.most_at_once, run.job.most_at_once)
            at_once = max(at_once, stats.most_side_by_side)
            calls_at_once = at_once + self.called_meanwhile
        planned = plan.backend
        backend = max(on, key=lambda name: (on[name], name == planned), default=planned)
        if backend in ("serial", "event_loop"):
            workers = 1
        elif backend == "processes" and run is not None:
            workers = max(1, run.stats.most_at_once)
        return Report(
            backend=backend,
            workers=workers,
            concurrency=calls_at_once,
            plan=plan,
            reasons=(
                *(self.reasons or plan.reasons),
                *_called_again(run),
                *_let_go(run),
                *_refused(run),
            ),
            items=sum(on.values()),
            on=on,
            wall_s=time.perf_counter() - self._began_s,
            loop_s=loop_s,
        )


def _loop_s(plan: Plan, profile: Profile | None, stats: Stats) -> float:
    """Return what the calls would take one after the other.

    Calls that only compute are slower in a crowd, in wall time and not in CPU time.
    A hint may say that of calls that wait: measurements have the last word.
    """
    said = plan.kind in ("cpu", "nogil")
    only_compute = said and _share_alone(profile, stats) > WORKS_ABOVE_FREE
    return stats.cpu_s if only_compute else stats.busy_s


def _share_alone(profile: Profile | None, stats: Stats) -> float:
    """Return the share of CPU in a call's time, were it alone."""
    measured = None if profile is None else working(profile)
    if measured is not None:
        return measured[0]
    # No call was alone. But so many that compute at once share one CPU, at worst.
    return stats.cpu_s * stats.most_at_once / max(stats.busy_s, stats.cpu_s, 1e-9)


def _provisional(here: Here) -> Plan:
    """Return what happens until there is a plan: first items are called here."""
    text = "no item was called yet: there is nothing to decide from"
    if here.calls:
        text = "too few items were called yet to decide: they are measured, right here"
    reason = Reason("measuring", text, {"calls": here.calls})
    return Plan("serial", 1, 1, 1, "unknown", None, (reason,))


def _let_go(run: Run | None) -> tuple[Reason, ...]:
    """Return a reason for calls that could not be ended, if there were any."""
    items = [] if run is None else run.stats.let_go
    count = len(items)
    if not count:
        return ()
    facts: dict[str, Fact] = {"calls": count}
    text = f"{count} calls could not be stopped, and go on by themselves"
    if count == 1:
        text = "1 call could not be stopped, and goes on by itself"
    facts["first"] = items[0]
    listed = ", ".join(map(str, items[:NAMED_MOST]))
    text += f": item {listed}" if count == 1 else f": items {listed}"
    text += " and others" if count > NAMED_MOST else ""
    return (Reason("let-go", text, facts),)


def _refused(run: Run | None) -> tuple[Reason, ...]:
    """Return a reason for fewer calls at once, if there were no descriptors left."""
    count = 0 if run is None else run.stats.refused
    if run is None or not count:
        return ()
    limit = run.growth.limit
    calls = "1 call" if count == 1 else f"{count} calls"
    text = (
        f"{calls} found no descriptor left (EMFILE): from then on at most {limit} calls"
        " at once"
    )
    return (Reason("descriptors", text, {"calls": count, "limit": limit}),)


def _called_again(run: Run | None) -> tuple[Reason, ...]:
    """Return a reason for items whose workers died, if they were called again."""
    crashed = [] if run is None else run.stats.crashed
    if not crashed:
        return ()
    count = len(set(crashed))
    who = f"{count} items were called again, the first of them item {crashed[0]}"
    if count == 1:
        who = f"item {crashed[0]} was called again"
    text = f"{who}: a worker process had died while it was calling it"
    if len(crashed) > count:
        text += f", and that {len(crashed)} times in all"
    facts: dict[str, Fact] = {
        "items": count,
        "first": crashed[0],
        "deaths": len(crashed),
    }
    return (Reason("called-again", text, facts),)
