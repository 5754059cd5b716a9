"""One run from the caller's side: observe, decide, carry out, deliver.

::

    probe (here) --> plan --> serially: blocks, here, until items get dear --> probe
                          --> elsewhere: feed, wait for the inbox, plan again when told

All of it happens on the caller's thread, but for what `probing` says.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Self

from .._decide.facts import Profile
from .._decide.plan import Plan
from .._decide.probing import Seen
from .._errors import SmartPoolError
from .._report.report import Report
from .._run.engine import Engine
from .._run.switching import quick_switches
from .delivery import Batch, Delivery
from .elsewhere import Elsewhere
from .parts import Parts
from .probing import Probing
from .request import Request
from .serially import serially


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
        self._parts = parts = Parts(engine, request)
        self._elsewhere = Elsewhere(parts)
        self._results = results
        options = request.options
        self._learns = options.backend is None and not options.isolated
        self._probes = self._learns and not request.is_async
        self._probing: Probing | None = None
        self._seen: Seen | None = None
        self._plan: Plan | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        self.close(exc_type)

    @property
    def delivery(self) -> Delivery:
        """What is on its way to the reader."""
        return self._parts.delivery

    @property
    def report(self) -> Report:
        """What was done so far."""
        return self._parts.record.report(self._parts.here, self._elsewhere.run)

    def batches(self) -> Generator[Batch, None, None]:
        """Yield what is finished, in the order in which that was heard of.

        Ends when all is done, or after a failure (`delivery.error`), then with all
        that was finished in spite of it.
        """
        parts = self._parts
        parts.begin_clock()
        if self._learns:
            self._plan = self._decide_as_learnt()
        while not parts.over:
            if self._elsewhere.goes_on:
                yield from self._elsewhere.batches(helps=self._probes)
            elif self._elsewhere.comes_home:
                yield from parts.delivery.drain()
                yield from self._finish_here()
            elif self._plan is None and self._probes:
                yield from self._probe()
            else:
                yield from self._carry_out(self._plan or self._decide_unseen())
        # All others may have ended while a long first item went on.
        yield from parts.delivery.drain()

    def close(self, exc_type: type[BaseException] | None = None) -> None:
        """End the run, if it goes on, and wait until nothing of it is called any more.

        Args:
            exc_type: Why. After a KeyboardInterrupt it ends at once.
        """
        self._take_run_back()
        at_once = exc_type is not None and not issubclass(exc_type, Exception)
        self._elsewhere.close(at_once=at_once)
        self._parts.over = True

    def abandon(self) -> None:
        """End the run without a wait or a lock: for finalizers, on any thread."""
        self._elsewhere.abandon()

    def tell_finished(self, results: int) -> None:
        """Let the error say how many items were finished, if the run was too long."""
        if self._parts.late is not None:
            self._parts.late.finished = results

    def check_complete(self, results: int) -> None:
        """Raise unless there is a result for each item: a bug of ours, never silent."""
        taken = self._parts.source.taken
        if results != taken:
            raise SmartPoolError(
                f"{taken} items have {results} results: this is a bug of smartpool,"
                " please report it"
            )

    def _decide_unseen(self) -> Plan:
        """Return the plan of a run of which no item is called beforehand."""
        deciding = self._parts.deciding
        return deciding.adopt(deciding.decide(None))

    def _decide_as_learnt(self) -> Plan | None:
        """Return the plan that earlier runs lead to; `None`: it has to be probed."""
        deciding = self._parts.deciding
        plan = deciding.decide_as_learnt()
        if plan is not None:
            deciding.adopt(plan)
            deciding.note_learnt()
        return plan

    def _finish_here(self) -> Iterator[Batch]:
        """Call what is left here, since it has come back."""
        plan, self._elsewhere.comes_home = self._parts.record.plan, False
        assert plan is not None
        self._plan = plan
        yield from self._carry_out(plan)

    def _carry_out(self, plan: Plan) -> Iterator[Batch]:
        if plan.backend != "serial":
            self._elsewhere.begin(plan)
        elif (yield from serially(self._parts, plan, self._results)):
            self._plan = None

    # -- the probe ---------------------------------------------------------------------

    def _probe(self) -> Iterator[Batch]:
        parts = self._parts
        first = parts.source.taken
        probing = Probing(parts, self._take_over, before=self._seen)
        self._probing = probing
        probing.call_first()
        self._take_run_back()
        parts.sample = probing.sample or parts.sample
        if self._elsewhere.run is None:
            self._learn_from(probing)
        if probing.values:
            yield range(first, first + len(probing.values)), probing.values

    def _learn_from(self, probing: Probing) -> None:
        """Decide from what the probe showed, or remember it until another has."""
        parts, seen = self._parts, probing.seen()
        if not probing.enough:
            self._seen = seen
            return
        plan = parts.deciding.decide(seen.warm if seen else None, parts.sample)
        self._plan, self._seen = parts.deciding.adopt(plan), None
        parts.over = parts.failed

    def _take_over(self, profile: Profile) -> bool:
        """On the meter's thread: see to the others while an item goes on for long.

        Returns:
            Whether there was anything to do for them.
        """
        parts, elsewhere, probing = self._parts, self._elsewhere, self._probing
        assert probing is not None
        with quick_switches():
            plan = parts.deciding.decide(profile, probing.sample or parts.sample)
            if plan.backend == "serial":
                return False
            parts.record.called_meanwhile = True
            elsewhere.begin(parts.deciding.adopt(plan))
            # Until the workers have something to do.
            while self._is_driven_by(probing) and not elsewhere.results_came:
                elsewhere.step()
        while self._is_driven_by(probing):
            elsewhere.step()
        return True

    def _is_driven_by(self, probing: Probing) -> bool:
        return self._elsewhere.goes_on and not probing.caller_back

    def _take_run_back(self) -> None:
        if self._probing is None:
            return
        self._probing.give_back(self._elsewhere.nudge)
        self._probing = None
        if self._parts.failed:
            self._elsewhere.cancel()
