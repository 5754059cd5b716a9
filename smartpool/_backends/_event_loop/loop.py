"""One event loop, and the thread of its own that it runs on.

Who may do what with a call: whoever takes it out of `_waiting` may begin it, or place
it elsewhere; whoever takes it out of `_calls` may finish it. The loop's thread and the
engine both do so, and only one of them finds it there.

The loop runs until its end is asked for. What users' tasks and callbacks do to it is
not that: `sys.exit` and `loop.stop` leave `run_forever`, and it is entered again. Only
a loop that is broken itself ends, and then finishes all that it was given.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ... import _aside
from ..._errors import SmartPoolError
from ..._outcome import Error, Outcome
from ..base import Chunk, Host, Item, Job, Usage
from .calls import Call, capture_awaited

CANCEL_S: Final = 0.3
"""How long a cancelled coroutine may take to clean up before it is let go: a guess. It
and as much again when the pool is closed leave time in promise 5's second."""


class Loop:
    """One event loop and its thread.

    Args:
        host: Who is told what became of the chunks.
        cancelled: Jobs of which no further call may begin, by their ids.
    """

    def __init__(self, host: Host, cancelled: set[int]) -> None:
        self._host = host
        self._cancelled = cancelled
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[Call] = deque()
        self._woken = False
        self._calls: dict[int, Call] = {}
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
        """Have the loop call the items of `chunk`, one task for all of them."""
        call = Call(chunk)
        self._calls[chunk.id] = call
        self._waiting.append(call)
        if not self._woken:
            # Many chunks are placed in one go: one wake-up serves them all. First the
            # flag: the loop may be quicker than this thread. If the wake-up fails,
            # the loop has ended.
            self._woken = True
            self._ask(self._begin)
        if self._ended:
            # Then the loop has looked for what is left, perhaps before this came.
            self._finish_all()

    def has_begun(self, chunk: Chunk) -> bool:
        """Return whether `chunk` does not wait any more."""
        call = self._calls.get(chunk.id)
        return call is None or call not in self._waiting

    def withdraw(self, job: Job) -> list[Chunk]:
        """Take back the chunks of `job` that the loop has not begun."""
        calls = [call for call in self._of(job) if self._take_back(call)]
        return [call.chunk for call in calls if self._calls.pop(call.chunk.id, None)]

    def withdraw_unbegun(self, job: Job) -> list[Chunk]:
        """Take back the chunks of `job` of which no item is called yet.

        Others than `withdraw` this takes those, too, that have a task: it may wait for
        its first step behind a call that blocks the loop.
        """
        chunks = self.withdraw(job)
        for call in self._of(job):
            if call.calling or self._calls.pop(call.chunk.id, None) is None:
                continue
            # Who is about to call looks after having said so: one of us sees the other.
            if not call.calling:
                chunks.append(call.chunk)
                continue
            self._calls[call.chunk.id] = call
            self._ask(partial(self._finish_if_over, call))
        return chunks

    def kill(self, what: Job | Chunk) -> None:
        """Cancel the tasks of a job, or of one chunk."""
        calls = self._of(what)
        if calls:
            # These, whatever becomes of them until the loop comes to it: a task that
            # has been let go meanwhile shall be cancelled, too.
            self._ask(partial(self._cancel, calls))

    def calls_in_time(self) -> list[Call]:
        """Return the calls whose items have an `item_timeout`."""
        calls = list(self._calls.values())
        return [one for one in calls if one.chunk.job.item_timeout_s is not None]

    def expire(self, call: Call, position: int) -> None:
        """Cancel the call of an item, if it is still at that, and begin no other."""
        call.expired = position
        self._ask(partial(self._expire, call, position))

    def let_go_of(self, call: Call) -> None:
        """Finish a chunk whose item has expired and was not ended by being cancelled."""
        self.give_up()
        self._finish(call, let_go=True)

    def let_go(self, what: Job | Chunk) -> None:
        """Finish those chunks that are not over, whatever the loop does."""
        calls = self._of(what)
        if calls:
            self.give_up()
        for call in calls:
            self._take_back(call)
            self._finish(call, let_go=call.calling)

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

    def _of(self, what: Job | Chunk) -> list[Call]:
        return [
            call
            for call in list(self._calls.values())
            if what in (call.chunk.job, call.chunk)
        ]

    def _take_back(self, call: Call) -> bool:
        try:
            self._waiting.remove(call)
        except ValueError:
            return False
        return True

    def _ask(self, callback: Callable[[], None]) -> None:
        """Have the loop call `callback`. Only for the engine, which counts."""
        self._asked += 1
        with suppress(RuntimeError):  # it has ended, and whoever ends it finishes all
            self._loop.call_soon_threadsafe(self._answer, callback)

    def _finish(self, call: Call, *, let_go: bool = False) -> None:
        """Finish a chunk with what it has, unless somebody has finished it."""
        if self._calls.pop(call.chunk.id, None) is None:
            return
        outcomes = call.outcomes_at_the_end()
        began_s, now_s = call.began_s, time.perf_counter()
        wall_s = 0.0 if began_s is None else now_s - began_s
        if outcomes:
            self._host.report(call.chunk, outcomes)
        item = _item_let_go(call, len(outcomes)) if let_go else None
        usage = Usage(len(outcomes), wall_s, 0.0, let_go=let_go, item=item)
        self._host.finish(call.chunk, usage)

    def _finish_all(self) -> None:
        """Finish all chunks of a loop that has ended; those not begun go elsewhere."""
        for call in list(self._calls.values()):
            if call.calling and self._error is not None:
                error = SmartPoolError(f"its event loop broke: {self._error!r}")
                error.__cause__ = self._error
                call.outcomes.append(Error(error))
            self._finish(call)

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
        # First the flag, then the chunks: one that is placed in between is seen now,
        # or wakes the loop again.
        self._woken = False
        with suppress(IndexError):  # the engine takes some back now and then
            while True:
                self._begin_one(self._waiting.popleft())

    def _begin_one(self, call: Call) -> None:
        call.task = self._task(self._call(call), call.chunk.job)
        # One that is cancelled before its first step never gets to its `finally`.
        call.task.add_done_callback(lambda _: self._finish(call))

    def _task(self, coroutine: Any, job: Job) -> asyncio.Task[Any]:  # noqa: ANN401
        """Make a task with a context of its own.

        Not by the loop's factory: that is the user's to set, to an eager one, say.
        """
        context = None if job.context is None else job.context.copy()
        return asyncio.Task(coroutine, loop=self._loop, context=context)

    async def _call(self, call: Call) -> None:
        chunk, job = call.chunk, call.chunk.job
        call.began_s = time.perf_counter()
        try:
            for position, item in enumerate(chunk.items):
                # First this, then the look: who lets go of it takes it out, then looks.
                call.calling = True
                if job.id in self._cancelled or chunk.id not in self._calls:
                    break
                call.called = position, time.perf_counter()
                outcome = await self._call_item(chunk, item)
                # Whatever it made of being cancelled: it has had its time.
                expired = call.expired == position
                call.outcomes.append(call.overdue() if expired else outcome)
                call.calling = False
                if expired or (outcome.failed and job.stop_on_error):
                    break
        finally:
            # At once: the next task's step may take long.
            self._finish(call)

    async def _call_item(self, chunk: Chunk, item: Item) -> Outcome:
        """Call an item in a context of its own: the chunk's task has the first's."""
        call = capture_awaited(chunk.job.fn, item.arguments)
        if item is chunk.items[0] or chunk.job.context is None:
            return await call
        outcome: Outcome = await self._task(call, chunk.job)
        return outcome

    def _expire(self, call: Call, position: int) -> None:
        at = call.called
        if call.calling and at is not None and at[0] == position and call.task:
            call.task.cancel()

    def _finish_if_over(self, call: Call) -> None:
        """Finish a chunk that was out of `_calls` for a moment, if its task saw that."""
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


def _item_let_go(call: Call, outcomes: int) -> int | None:
    """Return the index of the item that goes on by itself: perhaps the one expired."""
    position = outcomes if call.expired is None else call.expired
    items = call.chunk.items
    return items[position].index if position < len(items) else None


def _is_of_a_task(exc: BaseException) -> bool:
    """Return whether `exc` came out of a coroutine, and not of a plain callback."""
    frames = traceback.walk_tb(exc.__traceback__)
    return any(frame.f_code.co_flags & inspect.CO_COROUTINE for frame, _ in frames)
