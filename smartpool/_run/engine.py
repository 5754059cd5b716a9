"""The engine of a pool: carries out the plans of all its runs.

::

    caller's thread              engine (its thread, or a worker thread coming by)
    ---------------              --------------------------------------------------
    start, feed, cancel  ---->   hand over
                                 scheduler: who may place a chunk?
                                 dispatcher: which items?   ---> backend.place
                                 backend: report, finish    <---
    run.inbox            <----   Outcomes, Want, ..., Over

Guarantees:

* One step at a time, whoever takes it: what is in here needs no lock of its own.
* A caller's thread takes no step. It hands over, and waits for its inbox: so an
  interrupt in the middle of it leaves nothing half done. (`direct.py` has the one
  thing that it does besides.)
* Each run's last message is `Over`, whatever happens.
* The thread is alive while there are runs, calls or worker processes, and only then.
"""

from __future__ import annotations

import selectors
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from queue import SimpleQueue
from typing import Final, Protocol

from .._aside import SIGNAL_S
from .._backends.base import Backend, Chunk, Item, Job, Said, Usage, Watch
from .._decide.facts import BackendName, Profile
from .._decide.plan import Plan
from .._errors import PoolClosedError
from .._observe.gil import gil_enabled
from .._outcome import Outcome
from .backends import Backends
from .calls import Call, Calls, Lane
from .closing import Closing
from .direct import Direct, Directs
from .messages import Doubted, GilChanged, Late, Observed, Over, Returned, Told, Want
from .reactor import Reactor
from .relief import Relief
from .run import Run
from .scheduler import Scheduler, Tenant
from .turns import saying

GRACE_S: Final = 0.5
"""How long calls that run may go on after their run was stopped (promise 2)."""

IN_THE_PARENT: Final = "it goes on in the parent alone"

CLOSE_S: Final = 2.0
"""How long closing waits for the engine's thread."""

TELL_S: Final = 0.005
"""A caller that waits for all results hears of some so often, at most: each time wakes
its thread, which then competes with the calls for the GIL. A guess."""

STARTS_END_EARLY: Final = sys.version_info[:2] == (3, 12)
"""Python 3.12 starts no thread any more once the main thread has come to its end, with
all calls still to be waited for. So who submits one there waits for its thread, unless
it is to have one of those that are at other calls."""

MakeBackend = Callable[["Engine"], Backend]


class Party(Protocol):
    """Who competes for leases: a run, or the single calls of one backend."""

    @property
    def tenant(self) -> Tenant:
        """What it holds."""
        ...

    @property
    def backend(self) -> Backend:
        """Where its next chunk goes."""
        ...

    @property
    def wants_place(self) -> bool:
        """Whether it has a chunk that could be placed."""
        ...

    def lease(self, share: float) -> Chunk | None:
        """Return the next chunk, for a lease of that share; `None` to give it back."""
        ...


class Engine:
    """Carries out plans. Also the `Host` of the pool's backends.

    Args:
        cpus: CPUs that all runs together may keep busy.
        makers: How to make a backend, by name; each is made when first used.
    """

    def __init__(self, cpus: int, makers: dict[BackendName, MakeBackend]) -> None:
        self.cpus: int = cpus
        self._backends = Backends(
            {name: partial(make, self) for name, make in makers.items()}
        )
        self._closing = Closing(self._close)
        # Not a WeakSet: an interrupt in the callback of one would be swallowed.
        self._begun: dict[int, weakref.ref[Run]] = {}
        self._runs: dict[int, Run] = {}
        self._scheduler = Scheduler(cpus)
        self._calls = Calls(self._scheduler)
        self._relief = Relief(
            self._scheduler, self.call_later, self._room_comes, self._place_all
        )
        self._gil = gil_enabled()
        self._reactor = Reactor(self._is_needed, self._broken, self._begin_step)
        self._directs = Directs(self._reactor, self._adopt, self._finish_direct)

    # -- for callers -----------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it carries out nothing any more."""
        return self._backends.closed

    @property
    def broken(self) -> Outcome | None:
        """What all that is placed comes to since an initializer failed, or `None`."""
        found = (backend.broken for backend in self._backends.made)
        return next((outcome for outcome in found if outcome is not None), None)

    def backend(self, name: BackendName) -> Backend:
        """Return the backend of that name, made now if it has not been used yet.

        Raises:
            PoolClosedError: If the pool is closed: nobody would close the backend.
        """
        return self._backends.get(name)

    def warm_workers(self) -> int:
        """Return how many worker processes could call an item at once."""
        return sum(one.ready() for one in self._backends.made if one.travels)

    def start(self, run: Run) -> None:
        """Begin a run. It gets its items from `feed`."""
        self._begun[run.job.id] = weakref.ref(run)
        for number, ref in self._begun.copy().items():
            if ref() is None:
                self._begun.pop(number, None)
        self._reactor.hand_over(lambda: self._start(run))

    def feed(
        self,
        run: Run,
        items: list[Item],
        *,
        more: bool = False,
        last: bool = False,
        taken_back: int = 0,
    ) -> None:
        """Give a run more items.

        Args:
            run: The run.
            items: Its next items.
            more: Others follow at once: it need not ask for them.
            last: No more follow.
            taken_back: Items of all its `Returned` that the caller has read so far.
                One that is still on its way makes `last` void.
        """
        self._reactor.hand_over(
            lambda: self._feed(run, items, more=more, last=last, taken_back=taken_back)
        )

    def switch(
        self, run: Run, plan: Plan, backend: Backend, profile: Profile | None = None
    ) -> None:
        """Carry out another plan for what is left. What is in flight ends as it is.

        Args:
            run: The run.
            plan: Its plan from now on.
            backend: The backend of that.
            profile: What the plan was made from.
        """
        self._reactor.hand_over(lambda: self._switch(run, plan, backend, profile))

    def send_home(self, run: Run) -> None:
        """Give back what is left: the caller calls it. What is in flight ends as it is."""
        self._reactor.hand_over(lambda: self._send_home(run))

    def cancel(self, run: Run, grace_s: float = GRACE_S) -> None:
        """Begin no further call; end those that still run after `grace_s` seconds."""
        self._reactor.hand_over(lambda: self._cancel(run, grace_s))

    def add_call(self, call: Call, backend: Backend, share: float, most: int) -> None:
        """Have single calls made, in the order in which they are added.

        Args:
            call: What to call. Its listeners are told, whatever happens.
            backend: Where.
            share: CPU that it takes, from 0 to 1.
            most: Calls at once on that backend, at most.
        """
        lane = self._calls.lane(backend, share, most)
        # Straight to an idle worker, where nobody else waits for one: a hop less.
        if not (self._runs or self._calls.waiting or self.closed):
            chunk = Chunk(call.job, call.items, observe=call.observe)
            direct = Direct(lane, call, chunk)
            answer = backend.place_now(chunk, partial(self._directs.add, direct))
            if answer is not None:
                direct.answer = answer
                call.begin(stoppable=True)
                if self.closed:  # perhaps it has looked before this was known
                    error = PoolClosedError("the pool was closed during the call")
                    self._reactor.hand_over(lambda: call.fail(error))
                return
        needs_start = STARTS_END_EARLY and not (backend.travels or lane.is_full)
        self._reactor.hand_over(lambda: self._add_call(call, lane))
        if needs_start:  # for a moment at most: a finalizer may do this inside a step
            self._caught_up().wait(SIGNAL_S)

    def cancel_call(self, call: Call) -> None:
        """End a call, if it goes on and none of its listeners waits for it."""
        self._reactor.hand_over(lambda: self._cancel_call(call))

    def catch_up(self) -> None:
        """Wait until all that was handed over so far has been taken in."""
        caught_up = self._caught_up()
        while not (caught_up.wait(SIGNAL_S) or self.closed):
            pass

    def _caught_up(self) -> threading.Event:
        """Return what is set when all that was handed over so far has been taken in."""
        done = threading.Event()
        self._reactor.hand_over(done.set)
        return done

    def forget(self, backend: Backend, job: Job) -> None:
        """Have `backend` drop what it keeps for a job of single calls."""
        self._reactor.leave(lambda: backend.forget(job))

    def abandon_run(self, run: Run) -> None:
        """Cancel a run without a wait or a lock: for finalizers, on any thread."""
        self._reactor.leave(lambda: self._cancel(run, 0.0))

    def abandon(self) -> None:
        """After a fork, in the child: give back descriptors, and end all runs here.

        They go on in the parent. The fork may have come in the middle of a step, so
        no lock is waited for, and nothing is used that a step may be changing.
        """
        self._backends.abandon()
        self._runs = {}
        self._directs.abandon()
        self._reactor.abandon()
        for ref in self._begun.values():
            if (run := ref()) is not None:
                run.inbox = SimpleQueue()  # its lock may be held, too
                run.tell(Over(PoolClosedError(IN_THE_PARENT)))

    def close(self) -> None:
        """End all runs and all workers. An interrupt ends the wait for that alone.

        Raises:
            Exception: Whatever a backend raised; the others have been closed.
        """
        self._closing.wait()

    def drop(self) -> None:
        """Have it closed without a wait or a lock: for finalizers, on any thread."""
        self._closing.begin()

    # -- for backends: Host ------------------------------------------------------------

    def report(self, chunk: Chunk, outcomes: list[Outcome]) -> None:
        """Take in what became of the next items of `chunk`."""
        self._reactor.post(lambda: self._report(chunk, outcomes))

    def report_some(
        self,
        chunk: Chunk,
        positions: Sequence[int],
        outcomes: Sequence[Outcome],
        usage: Usage,
    ) -> None:
        """Take in what became of items of `chunk`, which goes together."""
        self._reactor.post(lambda: self._report_some(chunk, positions, outcomes, usage))

    def finish(
        self, chunk: Chunk, usage: Usage, outcomes: Sequence[Outcome] = ()
    ) -> None:
        """Take in that `chunk` is over."""
        self._reactor.post(lambda: self._finish(chunk, usage, outcomes))

    def waits_for_clocks(self, job: Job) -> None:
        """Let as many calls of `job` go on as may: they are in nobody's way."""
        self._reactor.post(lambda: self._wait_for_clocks(job))

    def said(self, chunk: Chunk | None, said: Said) -> None:
        """Have what a worker has said handled where code of the user's may run."""
        self._reactor.post(lambda: self._said(chunk, said))

    def post_soon(self, callback: Callable[[], None]) -> None:
        """Have `callback` called by the thread. For callers."""
        self._reactor.hand_over(callback)

    def post(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when nothing else is."""
        self._reactor.post(callback)

    def watch(self, fd: int, callback: Callable[[], None]) -> Watch:
        """Have `callback` called whenever `fd` can be read."""
        return self._reactor.watch(fd, selectors.EVENT_READ, callback)

    def watch_writable(self, fd: int, callback: Callable[[], None]) -> Watch:
        """Have `callback` called while `fd` can be written."""
        return self._reactor.watch(fd, selectors.EVENT_WRITE, callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Watch:
        """Have `callback` called after `delay_s` seconds."""
        return self._reactor.call_later(delay_s, callback)

    # -- steps: one at a time ------------------------------------------------------------

    def _begin_step(self) -> None:
        self._directs.adopt_all()

    def _adopt(self, direct: Direct) -> None:
        self._calls.placed_now(direct.lane, direct.call, direct.chunk)

    def _finish_direct(self, direct: Direct) -> None:
        assert direct.outcome is not None
        self._finish(direct.chunk, direct.usage, [direct.outcome])

    def _start(self, run: Run) -> None:
        if self.closed:
            run.tell(Over(PoolClosedError("the pool was closed")))
            return
        self._runs[run.job.id] = run
        self._gil = gil_enabled()
        run.cap_libraries()
        if run.until_s is not None:
            left_s = max(0.0, run.until_s - time.monotonic())
            run.late = self.call_later(left_s, lambda: self._is_late(run))

    def _is_late(self, run: Run) -> None:
        """Stop a run whose time is up, wherever its caller is."""
        if run.job.id in self._runs and not run.stopping:
            run.tell(Late())
            self._cancel(run, GRACE_S)

    def _feed(
        self, run: Run, items: list[Item], *, more: bool, last: bool, taken_back: int
    ) -> None:
        if run.job.id not in self._runs:
            return
        run.asked = more
        if run.dispatcher.leaving:
            self._give_back(run, items)
            return
        fits, others = run.split(items)
        run.dispatcher.feed(fits)
        if last:
            run.dispatcher.close_input(taken_back)
        self._give_back(run, others)
        self._place_all()
        self._end_if_over(run)

    def _report(self, chunk: Chunk, outcomes: Sequence[Outcome]) -> None:
        run = self._runs.get(chunk.job.id)
        if run is None:
            self._directs.adopt_all()
            self._calls.report(chunk, outcomes)
            return
        if chunk.id not in run.backend_of:
            return
        self._settle(run, run.dispatcher.settle(chunk, len(outcomes)), outcomes)

    def _report_some(
        self,
        chunk: Chunk,
        positions: Sequence[int],
        outcomes: Sequence[Outcome],
        usage: Usage,
    ) -> None:
        run = self._runs.get(chunk.job.id)
        if run is None or chunk.id not in run.backend_of:
            return
        backend, _ = run.backend_of[chunk.id]
        items = run.dispatcher.settle(chunk, len(outcomes), positions)
        run.stats.count(backend.name, usage)
        grown = run.learn(usage, backend)
        run.look_for_refusals(outcomes)
        self._settle(run, items, outcomes)
        self._look_at(run)
        if grown and not run.stopping:
            run.backend.allow(run.job)
        self._place_all()

    def _wait_for_clocks(self, job: Job) -> None:
        run = self._runs.get(job.id)
        if run is not None and not run.stopping and run.wait_for_clocks():
            run.backend.allow(job)
            self._place_all()

    def _settle(
        self, run: Run, items: Sequence[Item], outcomes: Sequence[Outcome]
    ) -> None:
        """Tell what became of items, and stop the run if one of them has failed."""
        settled = list(zip(items, outcomes, strict=False))
        if run.killed:  # what fails now was ended by us, and is no result
            settled = [one for one in settled if not one[1].failed]
        if run.tell_soon(settled):
            run.telling = self.call_later(TELL_S, run.tell_outcomes)
        # Not left to the caller, who may be long at the input, or at what it reads.
        if run.job.stop_on_error and any(outcome.failed for outcome in outcomes):
            self._cancel(run, GRACE_S)

    def _look_at(self, run: Run) -> None:
        """See whether all goes as planned."""
        self._notice_gil(run)
        if not run.stopping and (doubt := run.doubt()):
            run.tell(Doubted(doubt))

    def _finish(self, chunk: Chunk, usage: Usage, outcomes: Sequence[Outcome]) -> None:
        run = self._runs.get(chunk.job.id)
        if run is None:
            # The caller who has led may have sent the next call in the meantime.
            self._directs.adopt_all()
            self._calls.finish(chunk, usage, outcomes)
            if self._runs or self._calls.waiting:
                self._place_all()
            return
        if chunk.id not in run.backend_of:
            return
        if outcomes:
            self._report(chunk, outcomes)
        backend, share = run.backend_of.pop(chunk.id)
        self._scheduler.release(run.tenant, share)
        run.stats.count(backend.name, usage)
        run.learn(usage, backend)
        self._take_back(run, run.dispatcher.finish(chunk))
        if usage.profile is not None and not run.stopping:
            run.tell(Observed(usage.profile))
        elif chunk.observe:
            run.observe_again()
        self._look_at(run)
        self._place_all()
        self._end_if_over(run)

    def _add_call(self, call: Call, lane: Lane) -> None:
        if self.closed:
            call.fail(PoolClosedError("the pool was closed"))
            return
        lane.add(call)
        self._place_all()

    def _cancel_call(self, call: Call) -> None:
        chunk = self._calls.withdraw(call)
        if chunk is not None and call.lane is not None:
            call.lane.backend.kill_chunk(chunk)

    def _said(self, chunk: Chunk | None, said: Said) -> None:
        run = None if chunk is None else self._runs.get(chunk.job.id)
        if run is not None:
            run.tell(Told(said))
            return
        self._directs.adopt_all()
        if chunk is None or not self._calls.said(chunk, said):
            saying.call(said.deliver)

    def _take_back(self, run: Run, items: list[Item]) -> None:
        if run.dispatcher.leaving:
            self._give_back(run, items)
            return
        fits, others = run.split(items)
        run.dispatcher.put_back(fits)
        self._give_back(run, others)

    def _give_back(self, run: Run, items: list[Item]) -> None:
        """Have the caller feed items again that are not encoded for this backend."""
        if items and not run.stopping:
            run.dispatcher.give_back(len(items))
            run.tell(Returned(items))

    def _notice_gil(self, run: Run) -> None:
        gil = gil_enabled()
        if gil != self._gil and not run.stopping:
            self._gil = gil
            for other in self._runs.values():
                other.tell(GilChanged())

    def _send_home(self, run: Run) -> None:
        if run.job.id in self._runs and not run.stopping:
            for one in self._backends_of(run):
                one.recall(run.job)
            self._give_back(run, run.dispatcher.leave())
            self._end_if_over(run)

    def _switch(
        self, run: Run, plan: Plan, backend: Backend, profile: Profile | None = None
    ) -> None:
        if run.job.id in self._runs and not run.stopping:
            for one in self._backends_of(run):
                one.recall(run.job)
            run.follow(plan, backend, profile)
            run.cap_libraries()
            self._take_back(run, run.dispatcher.withdraw())
            self._place_all()

    def _place_all(self) -> None:
        while self._place_one():
            pass
        for run in self._runs.values():
            self._ask_for_input(run)
        self._relief.look(party.tenant for party in self._wanting())

    def _room_comes(self) -> bool:
        """Return whether a worker process holds a lease: it waits for no run of ours."""
        held = [one for run in self._runs.values() for one in run.backend_of.values()]
        return self._calls.in_workers or any(
            share and backend.travels for backend, share in held
        )

    def _wanting(self) -> Iterator[Party]:
        parties: Iterator[Party] = chain(self._runs.values(), self._calls.lanes)
        return (party for party in parties if party.wants_place)

    def _place_one(self) -> bool:
        wanting = {id(party.tenant): party for party in self._wanting()}
        lease = self._scheduler.grant(party.tenant for party in wanting.values())
        if lease is None:
            return False
        tenant, share = lease
        party = wanting[id(tenant)]
        chunk = party.lease(share)
        if chunk is None:
            self._scheduler.release(tenant, share)
        else:
            party.backend.place(chunk)
        return True

    def _ask_for_input(self, run: Run) -> None:
        if run.asked or not run.dispatcher.input_open:
            return
        wanted = run.input_wanted()
        if wanted:
            run.asked = True
            run.tell(Want(wanted))

    def _end_if_over(self, run: Run, error: BaseException | None = None) -> None:
        if run.job.id in self._runs and run.dispatcher.over:
            del self._runs[run.job.id]
            run.end_effects()
            try:
                for backend in self._backends.made:
                    backend.forget(run.job)
            finally:
                run.tell(Over(error))

    def _cancel(self, run: Run, grace_s: float) -> None:
        if run.job.id not in self._runs:
            run.tell(Over())  # it never began, or it is over
            return
        run.stopping = True
        run.dispatcher.stop()
        if grace_s > 0:
            for backend in self._backends_of(run):
                backend.cancel(run.job)
            if run.grace is None:
                run.grace = self.call_later(grace_s, lambda: self._kill(run))
        else:
            self._kill(run)
        self._end_if_over(run)

    def _kill(self, run: Run) -> None:
        if run.job.id in self._runs:
            run.killed = True
            for backend in self._backends_of(run):
                backend.cancel(run.job)
                backend.kill(run.job)
            self._end_if_over(run)

    def _backends_of(self, run: Run) -> list[Backend]:
        return list({id(one): one for one, _ in run.backend_of.values()}.values())

    def _is_needed(self) -> bool:
        """Return whether the thread has something to see to."""
        for backend in self._backends.made:
            if backend.lingers():
                return True
        return bool(self._runs) or self._calls.busy

    # -- the end ---------------------------------------------------------------------

    def _close(self) -> None:
        self._backends.shut()
        self._reactor.post(self._close_runs)
        self._reactor.end()  # a run that begins just now may start the thread again
        self._reactor.nudge()
        self._reactor.join(CLOSE_S)
        raised = self._backends.close()
        self._directs.close()
        self._reactor.close()
        if raised is not None:
            raise raised

    def _close_runs(self) -> None:
        for run in list(self._runs.values()):
            self._abandon(run, PoolClosedError("the pool was closed during the run"))
        self._fail_calls(PoolClosedError("the pool was closed during the call"))

    def _fail_calls(self, error: BaseException) -> None:
        """Let all single calls have failed, and end those that go on."""
        for backend, chunk in self._calls.fail(error):
            with suppress(BaseException):  # as for runs: the rest of it is done
                backend.kill_chunk(chunk)

    def _abandon(self, run: Run, error: BaseException) -> None:
        """End a run at once: what its calls still do is nobody's any more.

        Whatever raises in here, the rest of it is done: the runs that follow need the
        leases, and the caller waits.
        """
        run.stopping = True
        for end in self._ends_of(run):
            with suppress(BaseException):
                end()
        if self._runs.pop(run.job.id, None) is not None:
            run.tell(Over(error))

    def _ends_of(self, run: Run) -> Iterator[Callable[[], None]]:
        """Yield all that is to be done when nothing of `run` is waited for."""
        yield run.dispatcher.stop
        yield partial(self._scheduler.release_all, run.tenant)
        yield run.end_effects
        for backend in self._backends_of(run):
            yield partial(backend.cancel, run.job)
            yield partial(backend.kill, run.job)
        for backend in self._backends.made:
            yield partial(backend.forget, run.job)

    def _broken(self, exc: BaseException) -> None:
        """Fail all runs: a step of ours raised, and what it left half done is unknown."""
        for run in list(self._runs.values()):
            self._abandon(run, exc)
        self._fail_calls(exc)
