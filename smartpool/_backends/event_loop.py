"""Asyncio event loops in threads of their own, for callers that have none to spare.

A loop stays from run to run as long as the pool is open: what a coroutine function
keeps for its loop (a client with its connections) can be used again.

As a rule there is one loop. A call that starts a run and waits for it may block its
loop meanwhile, so such a run is called on another one: on the same it would wait for
itself. The loops that wait for a call stand in a context variable of that call, which
goes along into threads of ours, coroutines and `asyncio.to_thread`; of two runs, each
inside of the other's loop, none waits for the other, since a run goes only to a loop
that was made after those.

Some threads do not inherit context variables, and a call may block its loop for other
reasons, for good even. So a run moves to another loop when the one chosen has begun
nothing of it for a while; and a loop at which calls had to be let go is not chosen
until it comes back to itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import ClassVar, Final

from .._decide.facts import BackendName
from .._errors import PoolClosedError
from .._lock import Lock
from .._outcome import Outcome
from ._event_loop.calls import Call
from ._event_loop.loop import CANCEL_S, Loop
from .alarm import Alarm, together_s
from .base import Chunk, Host, Item, Job, Watch

PATIENCE_S: Final = 1.0
"""A run of which a loop has begun nothing for so long moves to another one: a guess.
Its calls are then apart from others' on the first loop, with which they could share
clients, so not at once."""

CLOSE_S: Final = 1.0
"""How long closing waits for the loops to come to their end, in all."""

_above: ContextVar[tuple[Loop, ...]] = ContextVar("smartpool_loops", default=())
"""The loops that wait for this call, or may do so."""


class EventLoop:
    """Calls coroutine functions, many at once, on event loops."""

    name: ClassVar[BackendName] = "event_loop"
    travels: ClassVar[bool] = False
    stoppable: ClassVar[bool] = True
    broken: Outcome | None = None

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loops: list[Loop] = []
        self._making = Lock()
        self._closed = False
        self._timers: dict[int, Watch] = {}
        self._alarm = Alarm(host, self._look_at_times)

    def prepare(self, job: Job) -> None:
        """Choose the loop: the first that nothing blocks which waits for this job.

        Raises:
            PoolClosedError: If the pool was closed meanwhile.
        """
        context, before = job.context, job.function
        above = () if context is None else context.get(_above, ())
        above = tuple(loop for loop in above if loop is not before)
        job.function = loop = self._loop_below(above)
        if context is not None:
            context.run(_above.set, (*above, loop))

    def encode(self, item: Item) -> None:
        """Nothing to do: the arguments are here."""

    def place_now(self, _chunk: Chunk, _noted: Callable[[], None], /) -> None:
        """Return `None`: the engine places all."""

    def place(self, chunk: Chunk) -> None:
        """Have the loop call the items of `chunk`, each in a task of its own."""
        job = chunk.job
        timed = job.item_timeout_s is not None
        if self._loop_of(job).ended or (timed and self._loop_of(job).blocked):
            self.prepare(job)
        self._loop_of(job).place(chunk)
        if job.item_timeout_s is not None:
            self._alarm.within(job.item_timeout_s)
        if job.id not in self._timers:
            self._set_timer(job, PATIENCE_S, partial(self._move, job))

    def ready(self) -> int:
        """Return 1: a loop takes any number."""
        return 1

    def allow(self, job: Job) -> None:
        """Begin calls of `job` of which `job.at_once` now allows more."""
        self._loop_of(job).look_again()

    def recall(self, job: Job) -> None:
        """Finish the chunks of `job` without the items that have not begun."""
        for loop in self._loops:
            loop.recall(job)

    def delay_s(self) -> float:
        """Return 0: a loop has a thread for all."""
        return 0.0

    def cancel(self, job: Job) -> None:
        """Begin no further call of `job`."""
        for loop in self._loops:
            loop.cancel(job)

    def kill(self, job: Job) -> None:
        """Cancel the tasks of `job`; after a while let go of those that refuse."""
        for loop in self._loops:
            loop.kill(job)
        self._set_timer(job, CANCEL_S, partial(self._let_go, job))

    def kill_chunk(self, chunk: Chunk) -> None:
        """Cancel the task of `chunk`; after a while let go of it if it refuses."""
        for loop in self._loops:
            loop.kill(chunk)
        self._host.call_later(CANCEL_S, partial(self._let_go, chunk))

    def lingers(self) -> bool:
        """Return false: an idle loop needs nothing."""
        return False

    def forget(self, job: Job) -> None:
        """Drop what is kept for `job`."""
        for loop in self._loops:
            loop.forget(job)
        timer = self._timers.pop(job.id, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Cancel all tasks and end the loops and their threads."""
        with self._making:
            self._closed, loops = True, list(self._loops)
        for loop in loops:
            loop.close()
        until_s = time.monotonic() + CLOSE_S
        for loop in loops:
            loop.join(until_s - time.monotonic())

    def _loop_of(self, job: Job) -> Loop:
        loop = job.function
        assert isinstance(loop, Loop), "prepare the job first"
        return loop

    def _loop_below(self, above: tuple[Loop, ...]) -> Loop:
        """Return the first usable loop made after those, which wait; else a new one."""
        with self._making:
            if self._closed:
                raise PoolClosedError("the pool was closed")
            self._loops = [loop for loop in self._loops if not loop.ended]
            below: list[Loop] = []
            for loop in self._loops:
                # On its thread without its variable: in a context of the user's own.
                waits = loop in above or loop.is_current()
                below = [] if waits else [*below, loop]
            usable = [loop for loop in below if not loop.blocked]
            return usable[0] if usable else self._add_loop()

    def _add_loop(self) -> Loop:
        loop = Loop(self._host)
        # Before it starts: after a Ctrl-C in between, `close` must find it.
        self._loops.append(loop)
        loop.start()
        return loop

    def _set_timer(self, job: Job, delay_s: float, do: Callable[[], None]) -> None:
        """Call `do` after a while, in place of what was to be done for `job`."""
        before = self._timers.get(job.id)
        if before is not None:
            before.cancel()
        self._timers[job.id] = self._host.call_later(delay_s, do)

    def _move(self, job: Job) -> None:
        """Have another loop call a job of which this one has begun nothing.

        Nothing of it is bound to this loop.
        """
        loop = job.function
        if not isinstance(loop, Loop) or loop.has_begun(job):
            return  # it is called by another backend now, or here
        loop.give_up()
        with suppress(OSError, RuntimeError):  # there is no other: it goes on waiting
            self.prepare(job)
            self._set_timer(job, PATIENCE_S, partial(self._move, job))
            self._loop_of(job).adopt(loop.withdraw(job))

    def _look_at_times(self) -> None:
        """End the calls of items that have had their `item_timeout`."""
        for loop in self._loops:
            for job in loop.jobs_in_time():  # what begins later has its time as well
                self._alarm.within(job.item_timeout_s or 0.0)
            for call in loop.calls_in_time():
                limit_s = call.job.item_timeout_s
                assert limit_s is not None
                again_s = self._look_at(loop, call, limit_s)
                if again_s is not None:
                    self._alarm.within(together_s(again_s, limit_s))

    def _look_at(self, loop: Loop, call: Call, limit_s: float) -> float | None:
        """Cancel a call, or let go of it; return when to look again."""
        if call.since_s is None:  # it waits for its turn
            return limit_s
        called_s = time.perf_counter() - call.since_s
        if called_s < limit_s:
            return limit_s - called_s
        if not call.expired:
            loop.expire(call)
            return CANCEL_S
        if called_s < limit_s + CANCEL_S:
            return limit_s + CANCEL_S - called_s
        loop.let_go_of(call)
        if loop.blocked:
            self._move_what_waits(loop, call.job)
        return None

    def _move_what_waits(self, loop: Loop, job: Job) -> None:
        """Have another loop call what a blocked one has not begun."""
        if not isinstance(job.function, Loop):  # it is called by another backend now
            return
        with suppress(OSError, RuntimeError):  # there is no other: it goes on waiting
            self.prepare(job)
            self._loop_of(job).adopt(loop.withdraw_unbegun(job))

    def _let_go(self, what: Job | Chunk) -> None:
        for loop in self._loops:
            loop.let_go(what)
