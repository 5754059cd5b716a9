"""The part of a run that the engine carries out, seen from the thread that drives it.

It feeds what is wanted, takes in what is told, and plans again when told to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty
from typing import Final

from .._aside import SIGNAL_S
from .._decide.doubts import Doubt
from .._decide.facts import Profile
from .._decide.plan import Plan, Reason
from .._errors import NotPicklableError
from .._outcome import Value
from .._run import messages
from .._run.engine import GRACE_S
from .._run.run import Run
from .deciding import Sample
from .delivery import Batch
from .feeding import Feeding
from .parts import Parts
from .unawaited import refusal

HELP_BELOW_S: Final = 0.05
"""The caller helps while workers start, with items shorter than this: a guess."""

END_S: Final = 5.0
"""How long the end of a stopped run is waited for: ten times its grace."""


class Elsewhere:
    """One run of the engine's, not begun yet.

    Attributes:
        run: The run, once it has begun.
        results_came: Whether workers have returned anything.
        comes_home: Whether what is left is to be called by the caller, once nothing of
            it goes on elsewhere any more.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._feeding: Feeding | None = None
        self.run: Run | None = None
        self.results_came: bool = False
        self.comes_home: bool = False
        self._cold = self._over = False

    @property
    def goes_on(self) -> bool:
        """Whether it has begun, and is not over."""
        return self.run is not None and not (self._over or self._parts.over)

    def begin(self, plan: Plan) -> None:
        """Hand the run to the engine."""
        parts = self._parts
        backend = parts.engine.backend(plan.backend)
        job = parts.deciding.job(plan.workers)
        try:
            parts.deciding.prepare(backend, job)
        except NotPicklableError as exc:
            parts.delivery.fail(exc)
            parts.over = True
            return
        run = Run(
            job,
            plan,
            backend,
            parts.source.left,
            parts.engine.cpus,
            profile=parts.deciding.profile,
            lazy=parts.options.lazy,
            stats=None if self.run is None else self.run.stats,
        )
        self.comes_home = self._over = False
        run.tenant.nested = parts.deciding.nested
        run.until_s = parts.until_s
        expected_s = parts.expected_s
        if expected_s is not None:
            run.expect(expected_s, max(1, parts.here.calls))
        self._cold = plan.backend == "processes" and not parts.engine.warm_workers()
        self._feeding = Feeding(parts, run)
        # Known before it starts: an interrupt in between must find it to end it.
        self.run = run
        parts.engine.start(run)

    def batches(self, *, helps: bool) -> Iterator[Batch]:
        """Drive it to its end, and yield what is finished.

        Args:
            helps: Whether items may be called here while workers start.
        """
        run = self.run
        assert run is not None
        while self.goes_on:
            yield from self._parts.delivery.drain()
            helps = helps and self._help(run)
            if not helps:
                self.step()

    def step(self) -> None:
        """Feed what is wanted, and take in what has come, or wait for it."""
        run = self.run
        assert run is not None
        self._feed(run)
        try:
            message = run.inbox.get(timeout=SIGNAL_S)
        except Empty:
            return
        self._take_in(run, message)
        # All of it: the next round of input may take long, and what is at the end may
        # be an error.
        with suppress(Empty):
            while self.goes_on:
                self._take_in(run, run.inbox.get_nowait())

    def nudge(self) -> None:
        """Wake the thread that waits for a message, from another one."""
        if self.run is not None:
            self.run.inbox.put(messages.Nudge())

    def cancel(self) -> None:
        """Have nothing new started, and what is called stopped after its grace."""
        if self.run is not None:
            self._parts.engine.cancel(self.run)

    def close(self, *, at_once: bool) -> None:
        """End it, if it goes on, and wait until nothing of it is called any more."""
        run = self.run
        if run is None or not self.goes_on:
            return
        self._parts.engine.cancel(run, 0.0 if at_once else GRACE_S)
        self._wait_for_the_end(run)

    def abandon(self) -> None:
        """End it without a wait or a lock: for finalizers, on any thread."""
        if self.run is not None and self.goes_on:
            self._parts.engine.abandon_run(self.run)

    def _feed(self, run: Run) -> None:
        failed = self._parts.failed
        assert self._feeding is not None
        if not self.comes_home:
            self._feeding.top_up()
        if self._parts.failed and not failed:
            self._parts.engine.cancel(run)

    def _take_in(self, run: Run, message: messages.Message) -> None:
        feeding = self._feeding
        assert feeding is not None
        match message:
            case messages.Outcomes(outcomes):
                self._take_outcomes(run, outcomes)
            case messages.Want(count):
                feeding.want(count)
            case messages.Returned(items):
                feeding.take_back(items)
            case messages.Observed(profile):
                self._plan_again(run, profile)
            case messages.Doubted(doubt):
                self._doubt(run, doubt)
            case messages.Late():
                self._parts.run_late()
            case messages.GilChanged():
                self._gil_changed(run)
            case messages.Over(error):
                self._end(error)
            case messages.Told(said):
                said.deliver()
            case _:  # a nudge
                pass

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._parts.delivery.fail(error)
        self._over = True
        if self.run is not None and self.run.together and not self._parts.failed:
            self._parts.deciding.learn_limit(self.run.growth)
            if self.run.job.is_async:
                self._parts.deciding.learn_steps(self.run.stats)
        if self._parts.failed or not self.comes_home:
            self._parts.end()

    def _take_outcomes(self, run: Run, outcomes: list[messages.Settled]) -> None:
        failed, self.results_came = self._parts.failed, True
        error = _unawaited(run, outcomes)
        if run.job.is_async and self._parts.sample is None:
            self._parts.sample = _sample(outcomes)
        if error is None:
            self._parts.delivery.take(outcomes)
        else:
            self._parts.delivery.fail(error)
        if isinstance(self._parts.delivery.error, NotPicklableError):
            self._parts.deciding.forget()  # the next run looks whether its items travel
        elif run.plan.backend == "processes":
            self._parts.deciding.note_travel()
        # An error of an item has stopped it already; one of ours has not.
        if self._parts.failed and not failed:
            self._parts.engine.cancel(run)

    def _plan_again(self, run: Run, profile: Profile) -> None:
        pending = run.waiting
        if pending or self._parts.source.left != 0:
            plan = self._parts.deciding.decide(profile, self._parts.sample, pending)
            if plan.rule != "nothing-left":  # others go on: it is not alone
                self._follow(run, plan)

    def _doubt(self, run: Run, doubt: Doubt) -> None:
        """Plan again, unless what does not fit changes nothing."""
        parts, deciding, profile = self._parts, self._parts.deciding, doubt.profile
        pending = run.waiting
        if parts.options.hint is not None or not (pending or parts.source.left):
            return
        if not deciding.worth_moving(profile, pending):
            deciding.forget()  # what was learnt: the next run looks for itself
            return
        plan = deciding.decide(profile, parts.sample, pending)
        if doubt.whatever or plan.backend != run.plan.backend:
            parts.record.add(Reason("not-as-planned", f"{doubt.text}: planned again"))
            self._follow(run, plan)
        else:
            deciding.learn(plan)
            run.profile = profile

    def _gil_changed(self, run: Run) -> None:
        if self._parts.options.backend is None and run.plan.backend == "threads":
            self._parts.deciding.note_gil()
            profile = self._parts.deciding.profile or Profile(1, run.stats.item_s)
            # How it was held while there was another one says nothing of this one.
            self._plan_again(run, profile._replace(late_s=None, where="here"))

    def _follow(self, run: Run, plan: Plan) -> None:
        """Have another plan carried out for what is left."""
        self._parts.deciding.adopt(plan)
        if self._parts.options.backend is not None:
            return
        if plan.backend == "serial":
            if self._parts.options.isolated is None:
                self.comes_home = True
                self._parts.engine.send_home(run)
            return
        backend = self._parts.engine.backend(plan.backend)
        try:
            self._parts.deciding.prepare(backend, run.job)
        except NotPicklableError as exc:
            self._parts.record.add(Reason("stays-here", str(exc)))
            return
        self._parts.engine.switch(run, plan, backend, self._parts.deciding.profile)

    def _help(self, run: Run) -> bool:
        """Call an item here while worker processes start; return whether to go on.

        Not when they are up: a busy thread here makes a worker's round trip of
        0.1 ms one of 5 ms (the switch interval).
        """
        plan, item_s = run.plan, self._parts.expected_s
        worth_it = self._cold and plan.kind in ("cpu", "mixed")
        if not worth_it or item_s is None or item_s > HELP_BELOW_S:
            return False
        if self._parts.failed or self._feeding is None:
            return False
        self._feed(run)
        with suppress(Empty):
            message = run.inbox.get_nowait()
            self._take_in(run, message)
            return isinstance(message, messages.Want)
        item = self._feeding.next_to_help()
        if item is None:
            return False
        self._parts.here.call_item(item)
        return True

    def _wait_for_the_end(self, run: Run) -> None:
        """Look for the end only: nobody reads the results any more."""
        until = time.monotonic() + END_S
        with suppress(Empty):
            while not self._parts.over:
                message = run.inbox.get(timeout=max(0.0, until - time.monotonic()))
                if isinstance(message, messages.Told):
                    message.said.deliver()
                self._parts.over = isinstance(message, messages.Over)


def _sample(outcomes: list[messages.Settled]) -> Sample | None:
    """Return an item that was called, and what it returned, if there is one."""
    values = ((item, one) for item, one in outcomes if isinstance(one, Value))
    return next(((item.args, [one.value]) for item, one in values), None)


def _unawaited(run: Run, outcomes: list[messages.Settled]) -> TypeError | None:
    """Return what to raise if a plain function returned what nobody would await."""
    if run.job.is_async:
        return None
    # Those of worker processes are still pickled: no coroutine object is.
    values = (one.value for _, one in outcomes if isinstance(one, Value))
    return refusal(run.job.fn, values)
