"""Calls one by one: what is submitted becomes a call of the engine, and a future."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, Final, Protocol

from .._aside import SIGNAL_S
from .._backends.base import Item, Usage
from .._decide.facts import BackendName
from .._decide.limits import COROUTINES_MOST
from .._drive.request import pinned, place_of
from .._makers import Setup
from .._observe.functions import is_async
from .._observe.machine import machine
from .._outcome import Error, capture
from .._run.calls import Call
from .._run.engine import Engine
from .._run.turns import callbacks, saying
from .future import CallFuture
from .jobs import Jobs, Place, make_job

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
    def setup(self) -> Setup:
        """What the user said of its workers."""
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
        self._pinned: BackendName | None = None
        self._pending: set[CallFuture[Any]] = set()

    def submit_one(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> CallFuture[Any]:
        """Do what `submit` does, for one call: the quick way, if `fn` came before."""
        engine = self._owner.engine()
        place = self._jobs.find(fn) if self._pinned is pinned.backend else None
        if place is None or place.backend.broken is not None:
            return self.submit(fn, [(args, kwargs)])[0]
        future: CallFuture[Any] = CallFuture(self)
        item = Item(0, args, kwargs=kwargs or None)
        if _is_ready(item, future, place):
            call = Call(place.job, [item], [future], shared=place.shared)
            self._add(engine, call, place)
        return future

    def submit(
        self,
        fn: Callable[..., Any],
        calls: list[Arguments],
        took: Callable[[Usage], None] | None = None,
        *,
        observe: bool = False,
    ) -> list[CallFuture[Any]]:
        """Have calls made, one after the other in one place, and return their futures.

        What cannot travel is the outcome of its call.

        Args:
            fn: What to call.
            calls: What to call it with, each time.
            took: Told what they took, by the engine.
            observe: Whether to measure them closely.

        Raises:
            TypeError: If `fn` cannot be called.
            ValueError: If it cannot be called where the pool calls.
            PoolClosedError: If the pool is closed.
            WorkerCrashError: If its initializer has failed.
        """
        where = place_of(fn, self._owner.setup.backend)
        self._engine = engine = self._owner.engine()
        _raise_if_broken(engine)
        futures: list[CallFuture[Any]] = [CallFuture(self) for _ in calls]
        if where == "serial":
            for future, (args, kwargs) in zip(futures, calls, strict=True):
                future.settle(capture(fn, [args, kwargs] if kwargs else args))
            return futures
        try:
            place = self._place(fn, engine, where)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - user code; it is the outcome
            for future in futures:
                future.stayed = True
                future.settle(Error(exc))
            return futures
        call = _call(place, futures, calls)
        call.took, call.observe = took, observe
        if call.items:
            self._add(engine, call, place)
        return futures

    def _place(
        self, fn: Callable[..., Any], engine: Engine, where: BackendName
    ) -> Place:
        """Return a place for calls of `fn`."""
        if self._pinned is not pinned.backend:
            self._jobs.clear()
            self._pinned = pinned.backend
        place = self._jobs.find(fn)
        if place is not None:
            return place
        backend = engine.backend(where)
        most = workers(where, self._owner.setup.max_workers)
        cpus = max(1, engine.cpus // most)
        share = min(1.0, engine.cpus / most) if backend.travels else 0.0
        job = make_job(fn, backend, cpus, is_async=is_async(fn))
        place = Place(backend, job, most, share)
        self._jobs.keep(place)
        return place

    @property
    def pending(self) -> list[CallFuture[Any]]:
        """The futures that are not over."""
        return list(self._pending)

    def over(self, future: CallFuture[Any], call: Call | None) -> None:
        """Take in that a future is over. The call of one that was cancelled is ended."""
        self._pending.discard(future)
        if self._engine is not None and call is not None:
            self._engine.cancel_call(call)

    def cancel_waiting(self) -> None:
        """Cancel the calls that have not begun."""
        if self._engine is not None:
            self._engine.catch_up()  # some of them may begin just now
        for future in self.pending:
            if not future.running():
                future.cancel()

    def drain(self) -> None:
        """Wait until all calls are over, and their callbacks were called."""
        while pending := self.pending:
            wait(pending, timeout=SIGNAL_S)
        callbacks.drain()
        saying.drain()

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

    def _add(self, engine: Engine, call: Call, place: Place) -> None:
        futures: Any = call.listeners
        for future in futures:
            future.belongs_to(call)
        try:
            self._pending.update(futures)
            self._owner.engine()  # who closes it from now on waits for these
            engine.add_call(call, place.backend, place.share, place.most)
        except BaseException:  # an interrupt, or no thread to be had: nobody waits
            self._pending.difference_update(futures)
            raise

    def _forget(self, place: Place) -> None:
        if self._engine is not None:
            self._engine.forget(place.backend, place.job)


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


def _call(place: Place, futures: list[CallFuture[Any]], calls: list[Arguments]) -> Call:
    """Return a call of the items that can travel; the others are over."""
    call = Call(place.job, [], [], shared=place.shared)
    for index, (args, kwargs) in enumerate(calls):
        item = Item(index, args, kwargs=kwargs or None)
        if _is_ready(item, futures[index], place):
            call.items.append(item)
            call.listeners.append(futures[index])
    return call


def _is_ready(item: Item, future: CallFuture[Any], place: Place) -> bool:
    """Encode an item; return false, and settle its future, if it cannot travel."""
    if not place.backend.travels:
        return True
    try:
        place.backend.encode(item)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - user code; it is the outcome
        future.stayed = True
        future.settle(Error(exc))
        return False
    return True


def _raise_if_broken(engine: Engine) -> None:
    broken = engine.broken
    if broken is not None and isinstance(error := broken.load(), Error):
        raise error.error
