"""An asyncio event loop in a thread of its own, for callers that have none to spare.

The loop stays from run to run as long as the pool is open: what a coroutine function
keeps for its loop (a client with its connections) can be used again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from functools import partial
from typing import Any, ClassVar, Final

from .._decide.facts import BackendName
from .._outcome import Error, Outcome, Value
from .base import Chunk, Host, Item, Job, Usage

CANCEL_S: Final = 1.0
"""How long a cancelled coroutine may take to clean up before it is let go: a guess."""

CLOSE_S: Final = 1.0
"""How long closing waits for the loop to come to its end."""


class EventLoop:
    """Calls coroutine functions, many at once, on one event loop.

    A coroutine function may itself start a run, and blocks its loop until that is
    over. Such a run is called on another loop, in a thread of its own: on the same one
    it would wait for itself.
    """

    name: ClassVar[BackendName] = "event_loop"
    travels: ClassVar[bool] = False

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loops: list[_Loop] = []
        self._making = threading.Lock()

    def prepare(self, job: Job) -> None:
        """Choose the loop: the first that the caller does not block."""
        with self._making:
            blocked = [loop.is_current() for loop in self._loops]
            depth = blocked.index(True) + 1 if True in blocked else 0
            if depth == len(self._loops):
                self._loops.append(_Loop(self._host))
            job.function = self._loops[depth]

    def encode(self, item: Item) -> None:
        """Nothing to do: the arguments are here."""

    def place(self, chunk: Chunk) -> None:
        """Have the loop call the items of `chunk`, one task for all of them."""
        self._loop_of(chunk.job).place(chunk)

    def ready(self) -> int:
        """Return 1: a loop takes any number."""
        return 1

    def cancel(self, job: Job) -> None:
        """Begin no further call of `job`."""
        self._loop_of(job).cancelled.add(job.id)

    def kill(self, job: Job) -> None:
        """Cancel the tasks of `job`; after a while let go of those that refuse."""
        loop = self._loop_of(job)
        loop.kill(job)
        self._host.call_later(CANCEL_S, lambda: loop.let_go(job))

    def forget(self, job: Job) -> None:
        """Drop what is kept for `job`."""
        for loop in self._loops:
            loop.cancelled.discard(job.id)

    def close(self) -> None:
        """Cancel all tasks and end the loops and their threads."""
        for loop in self._loops:
            loop.close()

    def _loop_of(self, job: Job) -> _Loop:
        loop = job.function
        assert isinstance(loop, _Loop), "prepare the job first"
        return loop


class _Loop:
    """One event loop and its thread."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[Chunk] = deque()
        self._woken = False
        self._tasks: dict[int, tuple[Chunk, asyncio.Task[None]]] = {}
        self.cancelled: set[int] = set()
        self._thread = threading.Thread(
            target=self._serve, name="smartpool-event-loop", daemon=True
        )
        self._thread.start()

    def is_current(self) -> bool:
        """Return whether this is called on the loop's thread."""
        return threading.current_thread() is self._thread

    def place(self, chunk: Chunk) -> None:
        """Have the loop call the items of `chunk`, one task for all of them."""
        self._waiting.append(chunk)
        if not self._woken:
            # Many chunks are placed in one go: one wake-up serves them all.
            self._woken = True
            self._loop.call_soon_threadsafe(self._begin)

    def kill(self, job: Job) -> None:
        """Cancel the tasks of `job`."""
        self._loop.call_soon_threadsafe(self._cancel_tasks, job)

    def let_go(self, job: Job) -> None:
        """Finish the chunks of `job` that its tasks have not finished."""
        for chunk, _ in list(self._tasks.values()):
            if chunk.job is job and self._tasks.pop(chunk.id, None) is not None:
                self._host.finish(chunk, Usage(0, 0.0, 0.0, let_go=True))

    def close(self) -> None:
        """Cancel all tasks and end the loop and its thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSE_S)

    # -- on the loop's thread --------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._end())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S / 2)
        await self._loop.shutdown_asyncgens()

    def _begin(self) -> None:
        # First the flag, then the chunks: one that is placed in between is seen now,
        # or wakes the loop again.
        self._woken = False
        while self._waiting:
            chunk = self._waiting.popleft()
            context = chunk.job.context
            task = self._loop.create_task(
                self._call(chunk), context=context.copy() if context else None
            )
            self._tasks[chunk.id] = chunk, task
            # One that is cancelled before its first step never gets to its `finally`.
            task.add_done_callback(partial(self._settle, chunk, [], 0.0))

    async def _call(self, chunk: Chunk) -> None:
        job, outcomes = chunk.job, list[Outcome]()
        began = time.perf_counter()
        try:
            for item in chunk.items:
                if job.id in self.cancelled or chunk.id not in self._tasks:
                    break
                outcomes.append(await self._call_item(chunk, item))
                if outcomes[-1].failed and job.stop_on_error:
                    break
        finally:
            self._settle(chunk, outcomes, time.perf_counter() - began)

    def _settle(
        self, chunk: Chunk, outcomes: list[Outcome], wall_s: float, *_: object
    ) -> None:
        """Finish `chunk`, if nobody has: who finds it among the tasks may."""
        if self._tasks.pop(chunk.id, None) is not None:
            if outcomes:
                self._host.report(chunk, outcomes)
            self._host.finish(chunk, Usage(len(outcomes), wall_s, 0.0))

    async def _call_item(self, chunk: Chunk, item: Item) -> Outcome:
        """Call an item in a context of its own: the chunk's task has the first's."""
        call, context = _capture(chunk.job.fn, item.args), chunk.job.context
        if item is chunk.items[0] or context is None:
            return await call
        return await self._loop.create_task(call, context=context.copy())

    def _cancel_tasks(self, job: Job) -> None:
        for chunk, task in list(self._tasks.values()):
            if chunk.job is job:
                task.cancel()


async def _capture(fn: Any, args: tuple[Any, ...]) -> Outcome:  # noqa: ANN401
    try:
        return Value(await fn(*args))
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # we are being ended; else it is the item's own doing
        return Error(exc)
    except BaseException as exc:  # noqa: BLE001 - the item's, whatever it is
        return Error(exc)
