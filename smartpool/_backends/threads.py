"""Threads of this process, kept warm and reused.

A thread that has nothing to do waits for a lock that is held as long as there is
nothing; who gives it a chunk lets go of that lock. Idle threads are used last in,
first out: those that were used last have warm caches, and the others grow old and go.

Who may finish a chunk: its thread when the calls are over; or `kill`, or the alarm for
an `item_timeout`, which let go of a thread whose call cannot be ended. All take the
chunk out of `_running` first, and only one of them finds it there. What was called
until then is reported by whoever it is; the lock of a chunk keeps its reports in the
order of its items.

A chunk that goes together is called by a crowd of threads: each of them calls one part
of it at a time, as a chunk of its own, and takes the next one by itself.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, ClassVar, Final

from .._decide.facts import BackendName
from .._errors import ItemTimeoutError, SmartPoolError
from .._outcome import Error, Outcome, capture
from ._threads.going import Going
from .alarm import Alarm, together_s
from .base import Arguments, Chunk, Host, Item, Job, Usage
from .crowd import Crowd, Part
from .libraries import cap_here

IDLE_S: Final = 10.0
"""After so long without a chunk a thread goes (trio's thread cache has the same)."""

REPORT_EVERY_S: Final = 0.02
"""A chunk reports what it has so often, so that streams flow: a guess."""

START_AGAIN_S: Final = 0.1
"""How long to wait after a thread could not be started. A guess."""

PATIENCE_S: Final = 0.3
"""So long no thread may be found for any chunk before one that is alone is given up: a
guess."""


class Threads:
    """Calls items on threads of this process.

    Args:
        host: The engine.
        initializer: Called first on each thread.

    Attributes:
        broken: What every item comes to since the initializer failed, or `None`.
    """

    name: ClassVar[BackendName] = "threads"
    travels: ClassVar[bool] = False
    stoppable: ClassVar[bool] = False

    def __init__(
        self, host: Host, initializer: Callable[[], object] | None = None
    ) -> None:
        self._host = host
        self._initializer = initializer
        self.broken: Error | None = None
        self._idle: list[_Thread] = []
        self._running: dict[int, Going] = {}
        self._cancelled: set[int] = set()
        self._crowds: dict[int, Crowd] = {}
        self._parts: dict[int, tuple[Crowd, Part]] = {}
        self._closed = False
        self._waiting: deque[Chunk] = deque()
        self._refused_s: float | None = None
        self._looks_again = False
        self._alarm = Alarm(host, self._let_go_of_overdue)

    def prepare(self, job: Job) -> None:
        """Nothing to do: the function is here."""

    def encode(self, item: Item) -> None:
        """Nothing to do: the arguments are here."""

    def place_now(self, _chunk: Chunk, _noted: Callable[[], None], /) -> None:
        """Return `None`: the engine places all."""

    def place(self, chunk: Chunk) -> None:
        """Give `chunk` to the thread that was used last, or to a new one.

        Where there can be no more threads, it waits for one of those there are. One
        that goes together is given to as many threads as are allowed.
        """
        if chunk.together:
            crowd = self._crowds.get(chunk.job.id)
            if crowd is None:
                crowd = Crowd(self._host, chunk.job, self._left)
                self._crowds[chunk.job.id] = crowd
            crowd.add(chunk)
        else:
            self._waiting.append(chunk)
        self._give_out()

    def ready(self) -> int:
        """Return how many threads wait for a chunk."""
        return len(self._idle)

    def allow(self, job: Job) -> None:
        """Begin calls of `job` of which `job.at_once` now allows more."""
        if job.id in self._crowds:
            self._give_out()

    def recall(self, job: Job) -> None:
        """Finish the chunks of `job` that go together without what has not begun."""
        crowd = self._crowds.get(job.id)
        if crowd is not None:
            self._put_back(crowd)
            crowd.drop_waiting()

    def delay_s(self) -> float:
        """Return 0: a thread here would have to ask for each."""
        return 0.0

    def cancel(self, job: Job) -> None:
        """Begin no further call of `job`: its threads look before each call."""
        self._cancelled.add(job.id)
        crowd = self._crowds.get(job.id)
        if crowd is not None:
            crowd.stop()
        for chunk in [one for one in self._waiting if one.job is job]:
            self._waiting.remove(chunk)
            self._finish(chunk, Usage(0, 0.0, 0.0))

    def kill(self, job: Job) -> None:
        """Let go of the calls of `job`: a thread cannot be ended."""
        self.cancel(job)
        for going in list(self._running.values()):
            if going.chunk.job is job:
                item = going.item
                self._settle(
                    going, Usage(0, 0.0, 0.0, let_go=() if item is None else (item,))
                )

    def kill_chunk(self, chunk: Chunk) -> None:
        """Nothing to do: a thread cannot be ended, and nobody waits for its call."""

    def lingers(self) -> bool:
        """Return false: idle threads go by themselves."""
        return False

    def forget(self, job: Job) -> None:
        """Drop what is kept for `job`."""
        self._cancelled.discard(job.id)
        self._crowds.pop(job.id, None)

    def close(self) -> None:
        """End all threads that are not in a call; those end after it."""
        self._closed = True
        idle: list[_Thread] = []
        while self._idle:
            idle.append(self._idle.pop())
            idle[-1].give(None)
        for thread in idle:
            if thread is not threading.current_thread():
                thread.join(1.0)

    # -- crowds ----------------------------------------------------------------------

    def _next_of(self, crowd: Crowd) -> Chunk | None:
        """Return the next part of `crowd` as a chunk; `None` if none may begin."""
        part = crowd.begin()
        if part is None:
            return None
        placed, position = part
        chunk = Chunk(crowd.job, [placed.chunk.items[position]])
        self._parts[chunk.id] = crowd, part
        return chunk

    def _put_back(self, crowd: Crowd) -> None:
        """Put back what has begun by the count of `crowd`, and waits for a thread."""
        for chunk in [one for one in self._waiting if one.job is crowd.job]:
            found = self._parts.pop(chunk.id, None)
            if found is not None:
                self._waiting.remove(chunk)
                crowd.put_back(found[1])

    def _left(self, crowd: Crowd) -> None:
        if self._crowds.get(crowd.job.id) is crowd:
            del self._crowds[crowd.job.id]

    def _finish(
        self, chunk: Chunk, usage: Usage, outcomes: list[Outcome] | None = None
    ) -> None:
        """Tell that `chunk` is over, and of its last outcomes: its crowd, if any."""
        outcomes = outcomes or []
        crowd, part = self._parts.pop(chunk.id, (None, None))
        if crowd is None or part is None:
            if outcomes:
                self._host.report(chunk, outcomes)
            self._host.finish(chunk, usage)
            return
        outcome = outcomes[0] if outcomes else None
        crowd.end(part, outcome, usage.wall_s, usage.cpu_s, let_go=bool(usage.let_go))

    # -- chunks that wait for a thread; by the engine, as all of the above -----------

    def _give_out(self) -> None:
        """Give what waits to threads, the chunk that has waited longest first."""
        refusal = self._give_waiting()
        for crowd in list(self._crowds.values()):
            # One after the other: short calls are over before many threads are up. And
            # one that waits for a thread is enough to see whether there is one.
            while not (self._waiting and crowd.going):
                chunk = self._next_of(crowd)
                if chunk is None:
                    break
                self._waiting.append(chunk)
                refusal = self._give_waiting()
        if refusal is not None:
            self._wait_on(refusal)

    def _give_waiting(self) -> RuntimeError | None:
        """Give what waits to threads; return why there is none for the next."""
        while self._waiting:
            refusal = self._give(self._waiting[0])
            if refusal is not None:
                return refusal
            self._waiting.popleft()
            self._refused_s = None
        return None

    def _give(self, chunk: Chunk) -> RuntimeError | None:
        """Give `chunk` to a thread, or return why there is none."""
        self._running[chunk.id] = Going(chunk)
        try:
            self._idle.pop().give(chunk)
        except IndexError:
            thread = _Thread(self)
            thread.give(chunk)
            try:
                thread.start()
            except RuntimeError as exc:
                del self._running[chunk.id]
                return exc
        if chunk.job.item_timeout_s is not None:
            self._alarm.within(chunk.job.item_timeout_s)
        return None

    def _wait_on(self, refusal: RuntimeError) -> None:
        """Go on with the threads there are, and see now and then whether more can be.

        A chunk waits as long as others of its run are called: their threads come
        back. It does not wait for long for the threads of other runs: those may be in
        calls that wait for this very run, which they have started.
        """
        now = time.monotonic()
        self._refused_s = since_s = self._refused_s or now
        called = {going.chunk.job.id for going in list(self._running.values())}
        for job_id in called:  # their threads take what follows by themselves
            if job_id in self._crowds:
                self._put_back(self._crowds[job_id])
        # In this order: a thread is idle before its chunk is not called any more.
        if now - since_s >= PATIENCE_S and not self._idle:
            for chunk in [one for one in self._waiting if one.job.id not in called]:
                self._give_up(chunk, refusal)
        if self._waiting and not self._looks_again:
            self._looks_again = True
            self._host.call_later(START_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._looks_again = False
        self._give_out()

    def _give_up(self, chunk: Chunk, refusal: RuntimeError) -> None:
        """Let the items of `chunk` have failed for which there is no thread."""
        self._waiting.remove(chunk)
        count = 1 if chunk.job.stop_on_error else len(chunk.items)
        outcomes: list[Outcome] = [_no_thread(refusal) for _ in range(count)]
        self._finish(chunk, Usage(count, 0.0, 0.0), outcomes)

    # -- calls that have had their `item_timeout`; by the engine ---------------------

    def _let_go_of_overdue(self) -> None:
        """Let go of calls that have had their time, and look again in time."""
        for crowd in self._crowds.values():  # what begins later has its time as well
            if crowd.job.item_timeout_s is not None:
                self._alarm.within(crowd.job.item_timeout_s)
        for going in list(self._running.values()):
            limit_s = going.chunk.job.item_timeout_s
            if limit_s is None:
                continue
            left_s = self._let_go_if_overdue(going, limit_s)
            if left_s > 0:
                self._alarm.within(together_s(left_s, limit_s))

    def _let_go_if_overdue(self, going: Going, limit_s: float) -> float:
        """Finish a chunk whose call has had its time; return what that has left."""
        with going.lock:
            if going.left_s(limit_s, going.position) > 0:
                return going.left_s(limit_s, going.position)
            if self._running.pop(going.chunk.id, None) is None:
                return 0.0
            # Now its thread begins no further call, and what it still adds is nobody's.
            # But it may just have begun with the next one.
            outcomes = list(going.unreported)
            left_s = going.left_s(limit_s, going.reported + len(outcomes))
            if left_s > 0:
                self._running[going.chunk.id] = going
            else:
                self._let_go(going, outcomes, limit_s)
            return left_s

    def _let_go(self, going: Going, outcomes: list[Outcome], limit_s: float) -> None:
        """Let the item that is called have failed, and those after it go elsewhere."""
        calls, chunk = going.reported + len(outcomes) + 1, going.chunk
        index = chunk.items[calls - 1].index
        outcomes.append(Error(ItemTimeoutError(index, limit_s)))
        wall_s = time.perf_counter() - going.began_s
        usage = Usage(calls, wall_s, 0.0, let_go=(index,))
        self._finish(chunk, usage, outcomes)
        self.allow(chunk.job)  # its crowd goes on with another thread

    # -- on the worker threads -------------------------------------------------------

    def serve(self, thread: _Thread) -> None:
        """Call chunks until there have been none for long, or until the end."""
        while thread.wait_for_chunk(IDLE_S) or not self._retire(thread):
            if not self._serve_one(thread) or self._closed:
                break

    def _serve_one(self, thread: _Thread) -> bool:
        """Call a chunk, and return whether there was one.

        In a function of its own: a thread that waits keeps no item alive.
        """
        chunk = thread.take()
        if chunk is None:
            return False
        while (following := self._serve_chunk(thread, chunk)) is not None:
            chunk = following
        if self._waiting:
            self._host.post(self._give_out)
        return True

    def _serve_chunk(self, thread: _Thread, chunk: Chunk) -> Chunk | None:
        """Call a chunk; return what this thread calls next, if that is known."""
        going = self._running.get(chunk.id)
        crowd = self._parts.get(chunk.id, (None,))[0]
        usage = Usage(0, 0.0, 0.0)
        if going is not None:
            usage = self._call(going) if self._begins(thread) else self._refuse(going)
        if crowd is None or not crowd.waits:
            # Idle before it is finished: what follows the chunk comes back to this
            # thread, with no other to be woken.
            self._idle.append(thread)
            if going is not None:
                self._settle(going, usage)
            return None
        # One that was let go meanwhile has been replaced.
        settled = going is not None and self._settle(going, usage)
        following = self._next_of(crowd) if settled and not self._closed else None
        if following is None:
            self._idle.append(thread)
        else:
            self._running[following.id] = Going(following)
        return following

    def _begins(self, thread: _Thread) -> bool:
        """Return whether the thread can call items; first it calls the initializer."""
        if thread.fresh and self._initializer is not None and self.broken is None:
            try:
                self._initializer()
            except BaseException as exc:  # noqa: BLE001 - told to all who wait
                self.broken = _uninitialized(exc)
        thread.fresh = False
        return self.broken is None

    def _refuse(self, going: Going) -> Usage:
        """Let the items of a chunk have failed: the initializer has."""
        assert self.broken is not None
        chunk = going.chunk
        count = 1 if chunk.job.stop_on_error else len(chunk.items)
        going.unreported += [self.broken] * count
        return Usage(count, 0.0, 0.0)

    def _retire(self, thread: _Thread) -> bool:
        """Return whether the thread may go: not if a chunk is on its way to it."""
        try:
            self._idle.remove(thread)
        except ValueError:
            thread.wait_for_chunk(None)
            return False
        return True

    def _call(self, going: Going) -> Usage:
        chunk, calls = going.chunk, 0
        job = chunk.job
        cap_here(job.library_threads)
        going.began_s = began = reported = time.perf_counter()
        cpu_0 = time.thread_time()
        for item in chunk.items:
            if job.id in self._cancelled or chunk.id not in self._running:
                break  # cancelled; or let go, and its job perhaps forgotten since
            if job.item_timeout_s is not None:
                going.calling = calls, time.perf_counter()
            outcome = _call_in(job.context, job.fn, item.arguments)
            going.unreported.append(outcome)
            calls += 1
            if outcome.failed and job.stop_on_error:
                break
            now = time.perf_counter()
            if now - reported > REPORT_EVERY_S and calls < len(chunk.items):
                self._report(going)
                reported = now
        return Usage(calls, time.perf_counter() - began, time.thread_time() - cpu_0)

    def _report(self, going: Going) -> None:
        with going.lock:
            if going.chunk.id in self._running:
                self._report_rest(going)

    def _settle(self, going: Going, usage: Usage) -> bool:
        """Finish a chunk, unless somebody has; return whether this did."""
        with going.lock:
            if self._running.pop(going.chunk.id, None) is None:
                return False
            outcomes, going.unreported = going.unreported, []
            self._finish(going.chunk, usage, outcomes)
            return True

    def _report_rest(self, going: Going) -> None:
        outcomes, going.unreported = going.unreported, []
        going.reported += len(outcomes)
        if outcomes:
            self._host.report(going.chunk, outcomes)


class _Thread(threading.Thread):
    """A thread and the place where it finds its next chunk."""

    def __init__(self, backend: Threads) -> None:
        # Daemon: a call that never ends must not keep the program from ending.
        super().__init__(name="smartpool-thread", daemon=True)
        self._backend = backend
        self._nothing = threading.Lock()
        self._nothing.acquire()  # held as long as there is nothing to do
        self.chunk: Chunk | None = None
        self.fresh = True

    def give(self, chunk: Chunk | None) -> None:
        """Wake the thread with a chunk; with `None`, to its end."""
        self.chunk = chunk
        self._nothing.release()

    def wait_for_chunk(self, timeout_s: float | None) -> bool:
        """Return whether something came within `timeout_s` seconds."""
        return self._nothing.acquire(timeout=-1 if timeout_s is None else timeout_s)

    def take(self) -> Chunk | None:
        """Return what was given."""
        chunk, self.chunk = self.chunk, None
        return chunk

    def run(self) -> None:
        """Serve the backend."""
        self._backend.serve(self)


def _call_in(
    context: Context | None, fn: Callable[..., Any], args: Arguments
) -> Outcome:
    if context is None:
        return capture(fn, args)
    return context.copy().run(capture, fn, args)


def _uninitialized(cause: BaseException) -> Error:
    from .._crash import initializer_error  # loads multiprocessing: not before it must

    return Error(initializer_error(cause, "thread", log=True))


def _no_thread(refusal: RuntimeError) -> Error:
    error = SmartPoolError(f"no thread could be started: {refusal}")
    error.__cause__ = refusal
    return Error(error)
