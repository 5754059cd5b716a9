"""What a run's report is made of, as it is gathered."""

from __future__ import annotations

import time

from .._decide.plan import Plan, Reason
from .._report.report import Report
from .._run.run import Run
from .here import Here


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

    def plan_made(self, plan: Plan) -> None:
        """Take in a plan."""
        self.plan = plan
        for reason in plan.reasons:
            self.add(reason)

    def add(self, reason: Reason) -> None:
        """Take in a reason, unless it has just been given."""
        if not self.reasons or self.reasons[-1] != reason:
            self.reasons.append(reason)

    def report(self, here: Here, run: Run | None) -> Report:
        """Return the report.

        Raises:
            RuntimeError: If nothing has been decided yet.
        """
        if self.plan is None:
            raise RuntimeError("there is no report yet: read a result first")
        on = {"serial": here.calls} if here.calls else {}
        loop_s, at_once, calls_at_once = here.busy_s, 1, 1
        if run is not None:
            stats = run.stats
            # A copy: the run may go on, and add a backend.
            for name, count in dict(stats.items).items():
                on[name] = on.get(name, 0) + count
            loop_s += _loop_s(self.plan, run)
            at_once = max(1, stats.most_at_once)
            calls_at_once = at_once + self.called_meanwhile
        planned = self.plan.backend
        backend = max(on, key=lambda name: (on[name], name == planned), default=planned)
        in_loop = backend in ("serial", "event_loop")
        return Report(
            backend=backend,
            workers=1 if in_loop else at_once,
            concurrency=calls_at_once,
            plan=self.plan,
            reasons=(*self.reasons, *_let_go(run)),
            items=sum(on.values()),
            on=on,
            wall_s=time.perf_counter() - self._began_s,
            loop_s=loop_s,
        )


def _loop_s(plan: Plan, run: Run) -> float:
    """Return what the calls would take one after the other.

    Calls that only compute are slower in a crowd, in wall time and not in CPU time.
    """
    only_computes = plan.kind in ("cpu", "nogil")
    return run.stats.cpu_s if only_computes else run.stats.busy_s


def _let_go(run: Run | None) -> tuple[Reason, ...]:
    """Return a reason for calls that could not be ended with the run, if any."""
    count = 0 if run is None else run.stats.let_go
    if not count:
        return ()
    text = f"{count} calls on threads could not be stopped, and go on by themselves"
    return (Reason("let-go", text, {"calls": count}),)
