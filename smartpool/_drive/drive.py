"""One run from the caller's side: observe, decide, carry out, deliver.

::

    probe (here) --> plan --> serial: blocks, here, until items get dear --> probe
                          --> engine: feed, wait for the inbox, plan again when told

All of it happens on the caller's thread, but for what `probing` says.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from math import inf
from queue import Empty
from typing import Any, Final, Self

from .._decide.facts import Profile
from .._decide.plan import Plan, Reason
from .._errors import NotPicklableError, PoolClosedError, SmartPoolError
from .._observe.budget import current_budget
from .._report.report import Report
from .._run import run as messages
from .._run.engine import GRACE_S, Engine
from .._run.run import Run
from .._run.source import Source
from .._run.switching import quick_switches
from .deciding import Deciding
from .delivery import Batch, Delivery
from .feeding import Feeding
from .here import Here
from .probing import Probing
from .record import Record
from .request import Request

BLOCK_S: Final = 0.01
"""A block of serial work takes about so long: then the plan is looked at again."""

BLOCK_MOST: Final = 10_000
"""Items of a block, at most: what a stream holds in memory. A guess."""

SURPRISE: Final = 4.0
"""Items that take so many times longer than expected are probed again: a guess."""

HELP_BELOW_S: Final = 0.05
"""The caller helps while workers start, with items shorter than this: a guess."""

SIGNAL_S: Final = 0.2
"""How late a Ctrl-C may be noticed, at worst (promise 5 leaves a second)."""

END_S: Final = 5.0
"""How long the end of a stopped run is waited for: ten times its grace."""


class Drive:
    """Carries out one request. Use it in a `with`, so that nothing goes on after it.

    Args:
        engine: Whose workers to use.
        request: What to do.
        results: Where the caller collects all results in input order, if it does:
            serial work then adds to it directly while that is the place.
    """

    def __init__(
        self, engine: Engine, request: Request, results: list[Any] | None = None
    ) -> None:
        options = request.options
        self._results = results
        self._engine = engine
        self._options = options
        self._source = Source(request.iterables)
        self._record = Record()
        self.delivery: Delivery = Delivery(return_exceptions=options.return_exceptions)
        self._here = Here(request.fn, self._source, self.delivery)
        self._deciding = Deciding(engine, request, self._source, self._record)
        self._probes = options.backend is None and not request.is_async
        self._probing: Probing | None = None
        self._sample: tuple[Any, Any] | None = None
        self._seen: Profile | None = None
        self._plan: Plan | None = None
        self._run: Run | None = None
        self._feeding: Feeding | None = None
        self._results_came = False
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        self.close(exc_type)

    @property
    def report(self) -> Report:
        """What was done so far."""
        return self._record.report(self._here, self._run)

    def batches(self) -> Generator[Batch, None, None]:
        """Yield what is finished, in the order in which that was heard of.

        Ends when all is done, or after a failure (`delivery.error`), then with all
        that was finished in spite of it.
        """
        while not self._over:
            if self._run is not None:
                yield from self._drive_run(self._run)
            elif self._plan is None and self._probes:
                yield from self._probe()
            else:
                plan = self._plan or self._deciding.adopt(self._deciding.decide(None))
                yield from self._carry_out(plan)
        # All others may have ended while a long first item went on.
        yield from self.delivery.drain()

    def close(self, exc_type: type[BaseException] | None = None) -> None:
        """End the run, if it goes on, and wait until nothing of it is called any more.

        Args:
            exc_type: Why. After a KeyboardInterrupt it ends at once.
        """
        self._take_run_back()
        if self._run is not None and not self._over:
            at_once = exc_type is not None and not issubclass(exc_type, Exception)
            self._engine.cancel(self._run, 0.0 if at_once else GRACE_S)
            self._wait_for_the_end(self._run)
        self._over = True

    def abandon(self) -> None:
        """End the run without a wait or a lock: for finalizers, on any thread."""
        if self._run is not None and not self._over:
            self._engine.abandon_run(self._run)

    def check_complete(self, results: int) -> None:
        """Raise unless there is a result for each item: a bug of ours, never silent."""
        if results != self._source.taken:
            raise SmartPoolError(
                f"{self._source.taken} items have {results} results: this is a bug of"
                " smartpool, please report it"
            )

    # -- here: the probe, and serial plans ---------------------------------------------

    @property
    def _ahead(self) -> int | None:
        """Items that may be pulled before the last ones are delivered; `None`: any."""
        if self._options.lazy and not self._source.container:
            return 1
        return self._options.window

    def _probe(self) -> Iterator[Batch]:
        first = self._source.taken
        probing = self._probing = Probing(
            self._source,
            self._here,
            self.delivery,
            self._take_over,
            most=self._ahead,
            before=self._seen,
        )
        probing.call_first()
        self._take_run_back()
        self._sample = probing.sample or self._sample
        if self._run is None and not probing.enough:
            self._seen = probing.profile()
        elif self._run is None:
            plan = self._deciding.decide(probing.profile(), self._sample)
            self._plan = self._deciding.adopt(plan)
            self._seen = None
            self._over = self.delivery.error is not None
        if probing.values:
            yield range(first, first + len(probing.values)), probing.values

    def _take_over(self, profile: Profile) -> bool:
        """On the meter's thread: see to the others while an item goes on for long.

        Returns:
            Whether there was anything to do for them.
        """
        probing = self._probing
        assert probing is not None
        with quick_switches():
            plan = self._deciding.decide(profile)
            if plan.backend == "serial":
                return False
            self._record.called_meanwhile = True
            self._begin(self._deciding.adopt(plan))
            # Until the workers have something to do.
            while self._is_driven_by(probing) and not self._results_came:
                self._step()
        while self._is_driven_by(probing):
            self._step()
        return True

    def _is_driven_by(self, probing: Probing) -> bool:
        return self._run is not None and not (probing.caller_back or self._over)

    def _take_run_back(self) -> None:
        if self._probing is None:
            return
        self._probing.give_back(self._nudge)
        self._probing = None
        if self._run is not None and self.delivery.error is not None:
            self._engine.cancel(self._run)

    def _nudge(self) -> None:
        if self._run is not None:
            self._run.inbox.put(messages.Nudge())

    def _carry_out(self, plan: Plan) -> Iterator[Batch]:
        if plan.backend == "serial":
            yield from self._serial(plan)
        else:
            self._begin(plan)

    def _serial(self, plan: Plan) -> Iterator[Batch]:
        """Call blocks of items here, until the end or until they get dear."""
        expected_s = self._here.item_s
        size = 1 if expected_s is None else self._block_size(expected_s)
        while True:
            if self._engine.closed:
                self.delivery.fail(PoolClosedError("the pool was closed"))
                self._end()
                return
            first, (elements, count) = self._source.taken, self._source.block(size)
            values = self._values_from(first)
            took_s = self._here.call(elements, count, values)
            if values and values is not self._results:
                yield range(first, first + len(values)), values
            if self.delivery.error is not None or count < size:
                self._end()
                return
            item_s = took_s / size
            if plan.rule != "pinned" and self._got_dear(expected_s, item_s, took_s):
                self._plan = None
                return
            size = min(2 * size, self._block_size(item_s))

    def _values_from(self, first: int) -> list[Any]:
        """Return where results from index `first` on go: to the caller's, if it can."""
        if self._results is not None and len(self._results) == first:
            return self._results
        return []

    def _block_size(self, item_s: float) -> int:
        fitting = int(BLOCK_S / item_s) if item_s > 0 else BLOCK_MOST
        return max(1, min(fitting, BLOCK_MOST, self._ahead or BLOCK_MOST))

    def _got_dear(self, expected_s: float | None, item_s: float, took_s: float) -> bool:
        """Return whether a block was so slow that another plan could be worth it."""
        left = self._source.left
        rest_s = inf if left is None else left * item_s
        dear = expected_s is not None and item_s > SURPRISE * expected_s
        return dear and took_s >= BLOCK_S / 2 and rest_s > BLOCK_S

    def _end(self) -> None:
        if self._source.error is not None:
            self.delivery.fail(self._source.error)
        self._over = True

    # -- in the engine -----------------------------------------------------------------

    def _begin(self, plan: Plan) -> None:
        """Hand the run to the engine."""
        backend = self._engine.backend(plan.backend)
        job = self._deciding.job(plan.workers)
        try:
            self._deciding.prepare(backend, job)
        except NotPicklableError as exc:
            self.delivery.fail(exc)
            self._over = True
            return
        run = Run(job, plan, backend, self._source.left, self._engine.cpus)
        run.tenant.nested = current_budget() is not None
        if self._here.item_s is not None:
            run.expect(self._here.item_s, self._here.calls)
        self._feeding = Feeding(
            self._engine,
            run,
            self._source,
            self.delivery,
            self._here,
            self._record,
            self._options,
        )
        # Known before it starts: an interrupt in between must find it to end it.
        self._run = run
        self._engine.start(run)

    def _drive_run(self, run: Run) -> Iterator[Batch]:
        helps = self._probes
        while not self._over:
            yield from self.delivery.drain()
            helps = helps and self._help(run)
            if not helps:
                self._step()

    def _step(self) -> None:
        """Feed what is wanted, and take in one message."""
        run = self._run
        assert run is not None
        self._feed(run)
        # Not without a limit: a signal that comes just before the wait begins is
        # seen only when it ends.
        try:
            message = run.inbox.get(timeout=SIGNAL_S)
        except Empty:
            return
        self._take_in(run, message)

    def _feed(self, run: Run) -> None:
        failed = self.delivery.error is not None
        assert self._feeding is not None
        self._feeding.top_up()
        if self.delivery.error is not None and not failed:
            self._engine.cancel(run)

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
            case messages.Doubt(profile, text):
                self._doubt(run, profile, text)
            case messages.GilChanged():
                self._gil_changed(run)
            case messages.Over(error):
                if error is not None:
                    self.delivery.fail(error)
                self._end()
            case messages.Nudge():
                pass

    def _take_outcomes(self, run: Run, outcomes: list[messages.Settled]) -> None:
        failed, self._results_came = self.delivery.error is not None, True
        self.delivery.take(outcomes)
        if self.delivery.error is not None and not failed:
            self._engine.cancel(run)

    def _plan_again(self, run: Run, profile: Profile) -> None:
        pending = run.dispatcher.pending
        if pending or self._source.left != 0:
            plan = self._deciding.decide(profile, self._sample, pending)
            self._follow(run, self._deciding.adopt(plan))

    def _doubt(self, run: Run, profile: Profile, text: str) -> None:
        if self._options.hint is None:
            self._record.add(Reason("not-as-planned", f"{text}: planned again"))
            self._plan_again(run, profile)

    def _gil_changed(self, run: Run) -> None:
        if self._options.backend is None and run.plan.backend == "threads":
            self._deciding.note_gil()
            profile = self._deciding.profile or Profile(1, run.stats.item_s)
            # How it was held while there was another one says nothing of this one.
            self._plan_again(run, replace(profile, late_s=None, where="here"))

    def _follow(self, run: Run, plan: Plan) -> None:
        """Have the engine carry out another plan for what is left."""
        if plan.backend == "serial" or self._options.backend is not None:
            # What was handed over stays where it is: to take it back for what is
            # left would be worth little.
            return
        backend = self._engine.backend(plan.backend)
        try:
            self._deciding.prepare(backend, run.job)
        except NotPicklableError as exc:
            self._record.add(Reason("stays-here", str(exc)))
            return
        self._engine.switch(run, plan, backend)

    def _help(self, run: Run) -> bool:
        """Call an item here while worker processes start; return whether to go on.

        Not when they are up: a busy thread here makes a worker's round trip of
        0.1 ms one of 5 ms (the switch interval).
        """
        plan, item_s = run.plan, self._here.item_s
        worth_it = plan.backend == "processes" and plan.kind == "cpu"
        if not worth_it or item_s is None or item_s > HELP_BELOW_S:
            return False
        if self.delivery.error is not None or self._feeding is None:
            return False
        self._feed(run)
        with suppress(Empty):
            message = run.inbox.get_nowait()
            self._take_in(run, message)
            return isinstance(message, messages.Want)
        item = self._feeding.next_to_help()
        if item is None:
            return False
        self._here.call_item(item)
        return True

    # -- the end -----------------------------------------------------------------------

    def _wait_for_the_end(self, run: Run) -> None:
        """Look for the end only: nobody reads the results any more."""
        until = time.monotonic() + END_S
        with suppress(Empty):
            while not self._over:
                message = run.inbox.get(timeout=max(0.0, until - time.monotonic()))
                self._over = isinstance(message, messages.Over)
