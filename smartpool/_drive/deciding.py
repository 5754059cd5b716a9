"""Observe, then decide: the facts of a run, and the plans that follow from them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import copy_context
from typing import Any, Final

from .._backends.base import Backend, Job
from .._backends.libraries import are_loaded, can_be_capped
from .._decide.costs import STEPS_S, nothing_gains, worth_moving
from .._decide.doubts import LOOK_CALLS
from .._decide.facts import Machine, Profile, Workload
from .._decide.limits import Growth
from .._decide.plan import Plan, Reason
from .._decide.rules import make_plan
from .._errors import NotPicklableError
from .._observe.budget import current_budget, set_budget
from .._observe.functions import function_key
from .._observe.imports import modules_behind
from .._observe.learned import Learned, forget, recall, remember
from .._observe.machine import machine
from .._observe.meter import NATIVE_FROM
from .._observe.rebinding import rebinds
from .._observe.sizes import with_refusal, with_sizes
from .._run.engine import Engine
from .._run.source import Source
from .._run.stats import Stats
from .record import Record
from .request import Request

HERE: Final = ("nothing-left", "tiny", "too-little")
"""Rules of runs after which the next one is probed without another thought."""

RECENT_S: Final = 30.0
"""Workers that a run so long ago has started are up: half of the time after which idle
ones leave."""

Sample = tuple[Any, list[Any]]
"""What an item was called with; what it returned, and other results of other types."""


class Deciding:
    """Makes the plans of one run, and remembers why.

    Attributes:
        profile: What the last plan was made from; `None` if nothing was measured.
        nested: Whether the run was started inside of a call of another.
        travels: Whether an item and its result have been seen to travel.
    """

    def __init__(
        self, engine: Engine, request: Request, source: Source, record: Record
    ) -> None:
        # Of the thread that asked: another one may drive the run in its place.
        self._context = copy_context()
        self.nested: bool = current_budget() is not None
        self._engine = engine
        self._request = request
        self._source = source
        self._record = record
        self.profile: Profile | None = None
        self._unpicklable: str | None = None
        self._pickled: Any = None
        self.travels: bool = False
        self._key = function_key(request.fn)
        known = recall(self._key)
        recent = known is not None and time.monotonic() - known.at_s < RECENT_S
        self._earlier_runs = known.runs if known is not None and recent else 0

    def decide(
        self,
        profile: Profile | None,
        sample: Sample | None = None,
        pending: int = 0,
    ) -> Plan:
        """Make a plan for what is left.

        What takes long to find out (sizes, whether the function can be pickled) is
        found out only for a plan with processes, which is then made again.

        Args:
            profile: What was measured; `None` if nothing was.
            sample: An item that was called, to see what its way would cost.
            pending: Items that were pulled and are not called yet.
        """
        host, work = self._context.run(machine), self._workload(pending)
        self.profile, self._unpicklable = profile, None
        plan = make_plan(host, work, profile)
        if _uses_libraries(plan, profile) and can_be_capped():
            work = work._replace(capped=True)
            plan = make_plan(host, work, profile)
        if plan.backend == "processes" and work.backend is None:
            work = work._replace(
                rebinds=rebinds(self._request.fn),
                modules=0 if work.warm_workers else modules_behind(self._request.fn),
            )
            plan = self._unless_it_stays(host, work, sample)
        return plan

    def gains_nothing(self, item_s: float) -> bool:
        """Return whether items that take so long are called here, whatever they do."""
        host, most = self._context.run(machine), self._request.options.max_workers
        cpus = min(host.cpus, most or host.cpus)
        return nothing_gains(self._workload(0), item_s, cpus, gil=host.gil)

    def learn_limit(self, growth: Growth) -> None:
        """Keep how many calls at once a run has ended with, whose calls wait."""
        known = recall(self._key)
        if known is not None and known.kind == "io" and growth.best[1]:
            at_once = growth.limit if growth.phase == "up" else growth.best[0]
            profile = known.profile._replace(at_once=at_once)
            remember(self._key, known._replace(profile=profile))

    def note_travel(self) -> None:
        """Take in that results have come from workers: what goes there travels."""
        if not self.travels:
            self.travels = True
            known = recall(self._key)
            if known is not None:  # the plan was learnt before that
                remember(self._key, known._replace(travels=True))

    def learn_steps(self, stats: Stats) -> None:
        """Keep what the calls of a coroutine function took on a loop."""
        plan, calls = self._record.plan, stats.called
        if plan is None or calls < LOOK_CALLS or self._request.options.backend:
            return
        each_s = stats.cpu_s / calls
        # On a loop that is busy the others' steps are in a call's time.
        wall_s = each_s if each_s >= STEPS_S else max(each_s, stats.item_s)
        self.profile = Profile(calls, wall_s, each_s)
        self.learn(plan)

    def decide_as_learnt(self) -> Plan | None:
        """Make the plan that earlier runs of the function lead to; `None`: none does.

        What they have shown of its calls is taken for granted, until these show
        something else. Not where the items are called here, one after the other: then a
        probe costs nothing, and sees to it that a long one holds nobody back.
        """
        known = recall(self._key)
        if known is None or not known.profile.finished:
            return None
        if known.plan.rule in HERE:
            return None
        if known.gil != self._context.run(machine).gil:
            return None
        profile, self.travels = known.profile, known.travels
        plan = self.decide(profile)
        # Whether items can travel, and what that costs, is looked at where it matters.
        unseen = plan.backend == "processes" and not known.travels
        stays = plan.rule == "stays-here" and profile.unpicklable is not None
        here = plan.backend == "serial"
        return None if here or unseen or stays or plan.kind == "unknown" else plan

    def note_learnt(self) -> None:
        """Note that the plan is made from what is learnt."""
        text = "an earlier run has measured this function: no item was probed"
        self._record.add(Reason("learnt", text))

    def forget(self) -> None:
        """Drop what earlier runs have shown: it does not fit."""
        forget(self._key)

    def worth_moving(self, profile: Profile, pending: int) -> bool:
        """Return whether what is left should be planned again.

        Args:
            profile: What the calls have shown, which do not go as planned.
            pending: Items that were pulled and are not called yet.
        """
        return worth_moving(self._workload(pending), profile)

    def adopt(self, plan: Plan) -> Plan:
        """Take in that the last plan made is carried out, and return it."""
        self._record.plan_made(plan, self.profile)
        self.learn(plan)
        return plan

    def learn(self, plan: Plan) -> None:
        """Keep the last plan made, and what it was made from, for the runs to come."""
        if self.profile is not None and plan.kind != "unknown":
            unpicklable = self._unpicklable or self.profile.unpicklable
            gil = self._context.run(machine).gil
            known = Learned(
                plan,
                self.profile,
                unpicklable,
                gil,
                self.travels,
                runs=1 + self._earlier_runs,
                at_s=time.monotonic(),
            )
            remember(self._key, known)

    def note_gil(self) -> None:
        """Note that the GIL was switched on or off during the run."""
        host = self._context.run(machine)
        text = f"the GIL is {'on' if host.gil else 'off'} now: {host.gil_why}"
        self._record.add(Reason("gil-changed", text, {"gil": host.gil}))

    def prepare(self, backend: Backend, job: Job) -> None:
        """Make `job` ready for `backend`; what travels is pickled once a run.

        Raises:
            NotPicklableError: If its function cannot travel.
        """
        if not backend.travels:
            backend.prepare(job)
            return
        if self._pickled is None:
            backend.prepare(job)
            self._pickled = job.function
            self._note_variables(job.function.stay)
        job.function = self._pickled

    def _note_variables(self, stay: Sequence[str]) -> None:
        if stay:
            number = (
                f"{len(stay)} context variables"
                if len(stay) > 1
                else "1 context variable"
            )
            text = (
                f"{number} cannot go along to worker processes (the first: {stay[0]}):"
                " not an attribute of a module, or not picklable"
            )
            self._record.add(Reason("context", text, {"variables": len(stay)}))

    def job(self, workers: int) -> Job:
        """Return the job of this run, for a plan with so many workers."""
        context, cpus = self._context.copy(), max(1, self._engine.cpus // workers)
        set_budget(context, cpus)
        request = self._request
        return Job(
            request.fn,
            is_async=request.is_async,
            stop_on_error=not request.options.return_exceptions,
            context=context,
            cpus=cpus,
            item_timeout_s=request.options.item_timeout,
            crash_retries=request.options.crash_retries,
        )

    def _workload(self, pending: int) -> Workload:
        options, left = self._request.options, self._source.left
        return Workload(
            items=None if left is None else left + pending,
            is_async=self._request.is_async,
            hint=options.hint,
            backend=options.backend,
            max_workers=options.max_workers,
            chunksize=options.chunksize,
            warm_workers=self._engine.warm_workers(),
            earlier_runs=self._earlier_runs,
            isolated=options.isolated,
            ends_calls=options.ends_calls,
        )

    def _unless_it_stays(
        self, host: Machine, work: Workload, sample: Sample | None
    ) -> Plan:
        """Make the plan again, as long as it is one with processes, with more facts."""
        # While an item goes on here, what it takes to pickle another says little.
        if sample is not None and self.profile is not None and self.profile.finished:
            self.profile = with_sizes(self.profile, sample[0], sample[1][0])
        plan = make_plan(host, work, self.profile)
        if plan.backend != "processes":
            return plan
        try:
            self.prepare(self._engine.backend("processes"), self.job(1))
        except NotPicklableError as exc:
            self._unpicklable = str(exc)
        if sample is not None and self.profile is not None:
            self.profile = with_refusal(self.profile, *sample)
            self.travels = self.profile.unpicklable is None
        work = work._replace(unpicklable=self._unpicklable)
        return make_plan(host, work, self.profile)


def _uses_libraries(plan: Plan, profile: Profile | None) -> bool:
    """Return whether calls compute with threads of a library's, or may do so."""
    if profile is not None:
        return profile.native_share > NATIVE_FROM
    blind = plan.backend == "threads" and plan.kind in ("cpu", "nogil")
    return blind and are_loaded()
