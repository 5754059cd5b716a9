"""Calls one by one: what is submitted becomes a call of the engine, and a future."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, Final, Protocol

from .._aside import SIGNAL_S
from .._backends.base import Backend, Item, Job
from .._decide.facts import BackendName
from .._decide.limits import COROUTINES_MOST
from .._observe.machine import machine
from .._outcome import Error, capture
from .._run.calls import Call
from .._run.engine import Engine
from .callbacks import callbacks
from .future import CallFuture
from .jobs import Jobs

THREADS_BEYOND: Final = 4
"""Threads for calls beyond one a CPU, where nobody said how many
(`ThreadPoolExecutor` has the same)."""

THREADS_MOST: Final = 32
"""Threads for calls at most, where nobody said how many (as there)."""

Arguments = tuple[tuple[Any, ...], dict[str, Any] | None]
"""What one call is made with: by position, and by keyword."""


class Owner(Protocol):
    """The pool that is submitted to."""

    @property
    def max_workers(self) -> int | None:
        """The user's bound."""
        ...

    def engine(self) -> Engine:
        """Return its engine, or raise if it is closed."""
        ...


class Submitting:
    """All calls that were submitted to one pool and are not over.

    Args:
        owner: The pool. It lives as long as one of its futures is not over.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._engine: Engine | None = None
        self._jobs = Jobs(self._forget)
        self._pending: set[CallFuture[Any]] = set()

    def submit(
        self,
        fn: Callable[..., Any],
        calls: list[Arguments],
        where: BackendName,
        *,
        is_async: bool = False,
    ) -> list[CallFuture[Any]]:
        """Have calls made, one after the other in one place, and return their futures.

        What cannot travel is the outcome of its call.

        Args:
            fn: What to call.
            calls: What to call it with, each time.
            where: The backend.
            is_async: Whether `fn` is an `async def`.

        Raises:
            PoolClosedError: If the pool is closed.
        """
        self._engine = engine = self._owner.engine()
        futures: list[CallFuture[Any]] = [CallFuture(self) for _ in calls]
        if where == "serial":
            for future, (args, kwargs) in zip(futures, calls, strict=True):
                future.settle(capture(fn, [args, kwargs] if kwargs else args))
            return futures
        backend = engine.backend(where)
        most = workers(where, self._owner.max_workers)
        try:
            cpus = max(1, engine.cpus // most)
            job, shared = self._jobs.make(fn, backend, cpus, is_async=is_async)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - user code; it is the outcome
            for future in futures:
                future.settle(Error(exc))
            return futures
        call = _call(job, backend, futures, calls, shared=shared)
        if call.items:
            self._add(engine, call, backend, most)
        return futures

    @property
    def pending(self) -> list[CallFuture[Any]]:
        """The futures that are not over."""
        return list(self._pending)

    def over(self, future: CallFuture[Any], call: Call) -> None:
        """Take in that a future is over. If it was cancelled, its call is ended."""
        self._pending.discard(future)
        if self._engine is not None and future.cancelled():
            self._engine.cancel_call(call)

    def cancel_waiting(self) -> None:
        """Cancel the calls that have not begun."""
        for future in self.pending:
            if not future.running():
                future.cancel()

    def drain(self) -> None:
        """Wait until all calls are over, and their callbacks were called."""
        while pending := self.pending:
            wait(pending, timeout=SIGNAL_S)
        callbacks.drain()

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when all calls are over, or now if they are.

        More than once, perhaps.
        """

        def look(_: object = None) -> None:
            if not self._pending:
                callback()

        for future in self.pending:
            future.add_done_callback(look)
        look()

    def abandon(self, error: BaseException) -> None:
        """After a fork, in the child: nothing of what goes on comes here."""
        self._engine = None
        for future in self.pending:
            future.abandon(error)

    def _add(self, engine: Engine, call: Call, backend: Backend, most: int) -> None:
        futures: Any = call.listeners
        for future in futures:
            future.belongs_to(call)
        self._pending.update(futures)
        share = min(1.0, engine.cpus / most) if backend.travels else 0.0
        try:
            engine.add_call(call, backend, share, most)
        except BaseException:  # an interrupt, or no thread to be had: nobody waits
            self._pending.difference_update(futures)
            raise

    def _forget(self, backend: Backend, job: Job) -> None:
        if self._engine is not None:
            self._engine.forget(backend, job)


def workers(where: BackendName, max_workers: int | None) -> int:
    """Return how many calls may go on at once on a backend."""
    if max_workers is not None:
        return max_workers
    cpus = machine().cpus
    if where == "processes":
        return cpus
    if where == "event_loop":
        return COROUTINES_MOST
    return min(THREADS_MOST, cpus + THREADS_BEYOND)


def _call(
    job: Job,
    backend: Backend,
    futures: list[CallFuture[Any]],
    calls: list[Arguments],
    *,
    shared: bool,
) -> Call:
    """Return a call of the items that can travel; the others are over."""
    call = Call(job, [], [], shared=shared)
    for index, (args, kwargs) in enumerate(calls):
        item = Item(index, args, kwargs=kwargs or None)
        try:
            if backend.travels:
                backend.encode(item)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - user code; it is the outcome
            futures[index].settle(Error(exc))
            continue
        call.items.append(item)
        call.listeners.append(futures[index])
    return call
