"""One event loop, and the thread of its own that it runs on.

Who may do what with a call: whoever takes it out of `_calls` may end it. The loop's
thread and the engine both do so, and only one of them finds it there. What has not begun
is in a crowd's queue, where the same holds.

The loop runs until its end is asked for. What users' tasks and callbacks do to it is
not that: `sys.exit` and `loop.stop` leave `run_forever`, and it is entered again. Only
a loop that is broken itself ends, and then finishes all that it was given.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from ... import _aside
from ..._errors import SmartPoolError
from ..._outcome import Error, Value, called
from ..base import Chunk, Host, Job
from ..crowd import TOGETHER_S, Crowd, Part
from .calls import Call

MANY: Final = 10
"""So many calls that have begun together show what their like wait for: a guess."""

CANCEL_S: Final = 0.3
"""How long a cancelled coroutine may take to clean up before it is let go: a guess. It
and as much again when the pool is closed leave time in promise 5's second."""


class Loop:
    """One event loop and its thread.

    Args:
        host: Who is told what became of the chunks.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._woken = False
        self._told_s = 0.0
        self._cpu_s = 0.0  # of its thread, when the last call ended
        self._own_fds = _registered(self._loop)
        self._crowds: dict[int, Crowd] = {}
        self._calls: dict[int, Call] = {}
        self._fresh: list[Call] = []  # of which a first step has not been seen
        self._sweeps = False
        # How often it was asked for something, and has come to it: each is counted by
        # one thread alone.
        self._asked = self._answered = self._given_up = 0
        self._end_task: asyncio.Task[None] | None = None
        self._over = self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._serve, name="smartpool-event-loop", daemon=True
        )

    def start(self) -> None:
        """Start its thread.

        Raises:
            RuntimeError: If there can be no more threads.
        """
        try:
            _aside.start(self._thread)
        except BaseException:
            # After a Ctrl-C the thread may run after all, and finds a closed loop.
            if self._thread.ident is None:
                self._loop.close()
            raise

    @property
    def ended(self) -> bool:
        """Whether nothing can be called on it any more."""
        return self._ended or self._loop.is_closed()

    @property
    def blocked(self) -> bool:
        """Whether it was given up, and has not come back to itself since."""
        return self._answered < self._given_up

    def is_current(self) -> bool:
        """Return whether this is called on the loop's thread."""
        return threading.current_thread() is self._thread

    def place(self, chunk: Chunk) -> None:
        """Have the loop call the items of `chunk`."""
        self._crowd_for(chunk).add(chunk)
        self.look_again()

    def adopt(self, parts: Iterable[Part]) -> None:
        """Have the loop call parts that another one has given away."""
        for part in parts:
            self._crowd_for(part[0].chunk).take([part])
        self.look_again()

    def look_again(self) -> None:
        """Have the loop begin what may begin."""
        if not self._woken:
            # Many chunks are placed in one go: one wake-up serves them all. First the
            # flag: the loop may be quicker than this thread. If the wake-up fails,
            # the loop has ended.
            self._woken = True
            self._ask(self._begin)
        if self._ended:
            # Then the loop has looked for what is left, perhaps before this came.
            self._finish_all()

    def has_begun(self, job: Job) -> bool:
        """Return whether it has begun with any call of `job`, or has none."""
        crowds = self._crowds_of(job)
        return not crowds or any(crowd.begun for crowd in crowds)

    def withdraw(self, job: Job) -> list[Part]:
        """Take back what the loop has not begun of `job`."""
        return [part for crowd in self._crowds_of(job) for part in crowd.give_away()]

    def withdraw_unbegun(self, job: Job) -> list[Part]:
        """Take back what has not been called yet of `job`.

        Others than `withdraw` this takes those, too, that have a task: it may wait for
        its first step behind a call that blocks the loop.
        """
        parts = self.withdraw(job)
        for call in self._calls_of(job):
            if call.calling or self._calls.pop(call.id, None) is None:
                continue
            # Who is about to call looks after having said so: one of us sees the other.
            if not call.calling:
                call.crowd.give_up(call.part)
                parts.append(call.part)
                continue
            self._calls[call.id] = call
            self._ask(partial(self._finish_if_over, call))
        return parts

    def recall(self, job: Job) -> None:
        """Finish the chunks of `job` without what has not begun."""
        for crowd in self._crowds_of(job):
            crowd.drop_waiting()

    def cancel(self, job: Job) -> None:
        """Begin no further call of `job`."""
        for crowd in self._crowds_of(job):
            crowd.stop()

    def kill(self, what: Job | Chunk) -> None:
        """Cancel the tasks of a job, or of one chunk, and begin no further one."""
        self._drop_waiting(what)
        calls = self._calls_of(what)
        if calls:
            # These, whatever becomes of them until the loop comes to it: a task that
            # has been let go meanwhile shall be cancelled, too.
            self._ask(partial(self._cancel, calls))

    def jobs_in_time(self) -> list[Job]:
        """Return the jobs it has whose items have an `item_timeout`."""
        jobs = {crowd.job.id: crowd.job for crowd in list(self._crowds.values())}
        return [job for job in jobs.values() if job.item_timeout_s is not None]

    def calls_in_time(self) -> list[Call]:
        """Return the calls whose items have an `item_timeout`."""
        calls = list(self._calls.values())
        return [one for one in calls if one.job.item_timeout_s is not None]

    def expire(self, call: Call) -> None:
        """Cancel a call that has had its time."""
        call.expired = True
        self._ask(partial(self._cancel, [call]))

    def let_go_of(self, call: Call) -> None:
        """Finish a call that has expired and was not ended by being cancelled."""
        self.give_up()
        self._finish(call, let_go=True)
        call.crowd.tell_soon()

    def let_go(self, what: Job | Chunk) -> None:
        """Finish those chunks that are not over, whatever the loop does."""
        self._drop_waiting(what)
        calls = self._calls_of(what)
        if calls:
            self.give_up()
        for call in calls:
            self._finish(call, let_go=call.calling)
            call.crowd.tell_soon()

    def forget(self, job: Job) -> None:
        """Drop what is kept for `job`: all its chunks are finished."""
        for key, crowd in list(self._crowds.items()):
            if crowd.job is job:
                self._left(key, crowd)

    def give_up(self) -> None:
        """Take it for blocked, until it has done what it was asked for so far."""
        self._given_up = self._asked

    def close(self) -> None:
        """Have it cancel all tasks, and end. Does not wait for that."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._begin_end)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of its thread, but not of one that is blocked."""
        if self._thread.is_alive() and not (self.blocked or self.is_current()):
            self._thread.join(max(0.0, timeout_s))

    def _crowd_for(self, chunk: Chunk) -> Crowd:
        """Return what `chunk` belongs to, made now if there is none."""
        key = chunk.job.id if chunk.together else -chunk.id
        crowd = self._crowds.get(key)
        if crowd is None:
            left, alone = partial(self._left, key), not chunk.together
            crowd = Crowd(
                self._host,
                chunk.job,
                left,
                one_by_one=alone,
                post=self._post,
                spent_s=self._spent_s,
            )
            self._crowds[key] = crowd
        return crowd

    def _left(self, key: int, crowd: Crowd) -> None:
        if self._crowds.get(key) is crowd:
            del self._crowds[key]

    def _crowds_of(self, job: Job) -> list[Crowd]:
        return [crowd for crowd in list(self._crowds.values()) if crowd.job is job]

    def _calls_of(self, what: Job | Chunk) -> list[Call]:
        calls = list(self._calls.values())
        return [call for call in calls if what in (call.job, call.chunk)]

    def _drop_waiting(self, what: Job | Chunk) -> None:
        chunk = what if isinstance(what, Chunk) else None
        for crowd in self._crowds_of(what if isinstance(what, Job) else what.job):
            crowd.drop_waiting(chunk)

    def _ask(self, callback: Callable[[], None]) -> None:
        """Have the loop call `callback`. Only for the engine, which counts."""
        self._asked += 1
        with suppress(RuntimeError):  # it has ended, and whoever ends it finishes all
            self._loop.call_soon_threadsafe(self._answer, callback)

    def _post(self, tell: Callable[[], None]) -> None:
        """Have the engine call `tell`; if it has just done so, soon.

        Many calls end in one turn of the loop. But the next one may take long, so what
        ends after a while of quiet is told at once.
        """
        now_s = time.perf_counter()
        if now_s - self._told_s > TOGETHER_S or not self.is_current():
            self._told_s = now_s
            self._host.post(tell)
        else:
            self._loop.call_soon(self._host.post, tell)

    def _spent_s(self) -> float:
        """Return what its thread has used since this was asked last; 0 on another one.

        Whose steps those were nobody sees; over many calls that makes no difference.
        """
        if not self.is_current():
            return 0.0
        before_s, self._cpu_s = self._cpu_s, time.thread_time()
        return self._cpu_s - before_s

    def _finish(self, call: Call, *, let_go: bool = False) -> None:
        """End a call with what it has, unless somebody has ended it."""
        if self._calls.pop(call.id, None) is None:
            return
        since_s, now_s = call.since_s, time.perf_counter()
        call.crowd.end(
            call.part,
            call.outcome_at_the_end(),
            0.0 if since_s is None else now_s - since_s,
            let_go=let_go,
            stops=call.expired and not call.chunk.together,
        )

    def _finish_all(self) -> None:
        """Finish all chunks of a loop that has ended; those not begun go elsewhere."""
        for call in list(self._calls.values()):
            if call.calling and self._error is not None:
                error = SmartPoolError(f"its event loop broke: {self._error!r}")
                error.__cause__ = self._error
                call.outcome = Error(error)
            self._finish(call)
        for crowd in list(self._crowds.values()):  # what it has not told yet, too
            crowd.drop_waiting()

    # -- on the loop's thread --------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not (self._over or self._loop.is_closed()):
                self._run_on()
        except BaseException as exc:  # noqa: BLE001 - the items' that were being called
            self._error = exc
        finally:
            self._ended = True
            self._finish_all()
            asyncio.set_event_loop(None)
            self._loop.close()

    def _run_on(self) -> None:
        """Run until something leaves the loop: the end, or a stray exit of a user's."""
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as exc:
            if _is_of_a_task(exc):
                return  # which keeps it for who awaits it, and tells if nobody does
            told = {
                "message": f"{type(exc).__name__} in a callback: the loop goes on",
                "exception": exc,
            }
            with suppress(BaseException):  # a handler may raise it once more
                self._loop.call_exception_handler(told)

    def _answer(self, callback: Callable[[], None]) -> None:
        self._answered += 1
        callback()

    def _begin(self) -> None:
        # First the flag, then the parts: one that is placed in between is seen now,
        # or wakes the loop again.
        self._woken = False
        for crowd in list(self._crowds.values()):
            self._begin_of(crowd)

    def _begin_of(self, crowd: Crowd) -> None:
        """Begin the calls of `crowd` that may begin."""
        calls = [Call(crowd, part) for part in crowd.begin_some()]
        # All, before the first step of any: while that blocks the loop the others can
        # be taken back.
        self._calls.update([(call.id, call) for call in calls])
        for call in calls:
            self._start(call)
        if len(calls) >= MANY and crowd.waits:
            # After their first steps.
            self._loop.call_soon(self._look_around, crowd.job)

    def _start(self, call: Call) -> None:
        """Make the task of a call: its first step, too, where Python can."""
        context = call.job.context
        context = None if context is None else context.copy()
        # Not by the loop's factory: that is the user's to set.
        if sys.version_info >= (3, 12):
            call.task = asyncio.Task(
                self._run(call), loop=self._loop, context=context, eager_start=True
            )
            return
        call.task = asyncio.Task(self._run(call), loop=self._loop, context=context)
        self._fresh.append(call)
        if not self._sweeps:
            self._sweeps = True
            self._loop.call_soon(self._sweep)

    def _look_around(self, job: Job) -> None:
        """Tell if all calls wait for clocks alone: then they are in nobody's way.

        What waits for a socket or a pipe has registered it; what waits for a thread uses
        the loop's executor, as a rule. What else there is (an executor of the user's, a
        library with threads of its own) has bounds of its own.
        """
        executor = getattr(self._loop, "_default_executor", None)
        if executor is None and _registered(self._loop) == self._own_fds is not None:
            self._host.waits_for_clocks(job)

    async def _run(self, call: Call) -> None:
        """Call an item, in a task of its own."""
        # First this, then the look: who lets go of it takes it out, then looks.
        call.calling = True
        try:
            if call.id in self._calls and not call.crowd.stopped:
                call.since_s = time.perf_counter()
                call.outcome = Value(await called(call.job.fn, call.item.arguments))
        except asyncio.CancelledError as exc:
            task = call.task  # none in a first step
            if task is not None and task.cancelling():
                raise  # we are being ended; else it is the item's own doing
            call.outcome = Error(exc)
        except BaseException as exc:  # noqa: BLE001 - the item's, whatever it is
            call.outcome = Error(exc)
        finally:
            call.calling = False
            # At once: the next task's step may take long.
            self._ended_call(call)

    def _ended_call(self, call: Call) -> None:
        """Take in that a call has ended; what may begin instead does so soon.

        Not from here: this may be inside of the first step of the last that has begun.
        """
        self._finish(call)
        if call.crowd.waits and not self._woken:
            self._woken = True
            self._loop.call_soon(self._begin)

    def _sweep(self) -> None:
        """End calls whose tasks were cancelled before their first steps: on Python 3.11.

        Those never get to a `finally`. A callback of each task would take longer.
        """
        fresh, self._fresh = self._fresh, []
        for call in fresh:
            if call.task is None or not call.task.done():
                if call.since_s is None:
                    self._fresh.append(call)  # its first step comes after this
            elif call.id in self._calls:
                self._ended_call(call)
        self._sweeps = bool(self._fresh)
        if self._sweeps:
            self._loop.call_soon(self._sweep)

    def _finish_if_over(self, call: Call) -> None:
        """End a call that was out of `_calls` for a moment, if its task saw that."""
        if call.task is not None and call.task.done():
            self._finish(call)

    def _cancel(self, calls: list[Call]) -> None:
        for call in calls:
            if call.task is not None:
                call.task.cancel()

    def _begin_end(self) -> None:
        if self._end_task is None:
            self._end_task = asyncio.Task(self._end(), loop=self._loop)

    async def _end(self) -> None:
        try:
            tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CANCEL_S)
            await self._loop.shutdown_asyncgens()
        finally:
            self._over = True
            self._loop.stop()


def _is_of_a_task(exc: BaseException) -> bool:
    """Return whether `exc` came out of a coroutine, and not of a plain callback."""
    frames = traceback.walk_tb(exc.__traceback__)
    return any(frame.f_code.co_flags & inspect.CO_COROUTINE for frame, _ in frames)


def _registered(loop: asyncio.AbstractEventLoop) -> int | None:
    """Return how many descriptors `loop` watches; `None` if it does not say."""
    selector = getattr(loop, "_selector", None)
    descriptors = None if selector is None else selector.get_map()
    return None if descriptors is None else len(descriptors)
