"""`SmartPool`, and the default pool that the functions use."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from . import _fork
from ._aside import load
from ._drive import notes
from ._drive.drive import Drive
from ._drive.request import Options, Request, check_request
from ._drive.stream import Stream
from ._errors import PoolClosedError
from ._lock import Lock
from ._makers import Setup, makers
from ._observe.machine import machine
from ._outcome import Outcome
from ._report.report import Results
from ._run.engine import IN_THE_PARENT, Engine

if TYPE_CHECKING:
    from ._executor.calling import Calling
    from ._executor.submitting import Submitting


class Pool:
    """What a `SmartPool` owns: an engine, made when it is first needed.

    After a fork the child starts afresh: the parent's workers are the parent's. A pool
    that nobody has any more is closed soon after.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup: Setup = setup
        self._submitting: Submitting | None = None
        self._calling: Calling | None = None
        self._engine: Engine | None = None
        self._dropped: weakref.finalize[[], Pool] | None = None
        self._making = Lock()
        self._closed = False
        _fork.register(self)

    def run(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        options: Options,
    ) -> Results[Any]:
        """Carry out a run and return its results, in input order."""
        request = self._request(fn, iterables, options)
        results: Results[Any] = Results()
        before = sys.exception()
        with Drive(self.engine(), request, results) as drive:
            done: dict[int, Any] = {}
            try:
                _collect(drive, results, done)
                drive.delivery.raise_error()
                drive.check_complete(len(results))
            except BaseException as exc:
                notes.leave_alone(exc, before)
                for indices, values in drive.delivery.drain():
                    done.update(zip(indices, values, strict=True))
                done.update(enumerate(results))
                notes.name_completed(exc, done)
                drive.tell_finished(len(done))
                raise
            results.report = drive.report
            return results

    def stream(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        options: Options,
        *,
        ordered: bool,
    ) -> Stream[Any]:
        """Begin a run whose results are read one by one."""
        request = self._request(fn, iterables, options)
        drive = Drive(self.engine(), request)
        return Stream(drive, ordered=ordered, keeps=self)

    @property
    def isolated(self) -> str | None:
        """Why no item of its runs may be called in this process, or `None`."""
        return None if self.setup.initializer is None else "the pool's initializer"

    @property
    def submitting(self) -> Submitting:
        """Its single calls."""
        found = self._submitting
        if found is None:
            load("_executor.submitting")
            from ._executor.submitting import Submitting

            made = Submitting(self)
            with self._making:
                found = self._submitting = self._submitting or made
        return found

    @property
    def calling(self) -> Calling:
        """Makes calls that are waited for."""
        found = self._calling
        if found is None:
            submitting = self.submitting
            load("_executor.calling")
            from ._executor.calling import Calling

            found = self._calling = Calling(self, submitting)
        return found

    @property
    def broken(self) -> Outcome | None:
        """What all that it calls comes to since its initializer failed, or `None`."""
        return None if self._engine is None else self._engine.broken

    def shut(self) -> None:
        """Let nothing more begin. What goes on goes on."""
        with self._making:
            self._closed = True

    def shutdown(self, *, wait: bool, cancel: bool) -> None:
        """Let nothing more begin, and close when all single calls are over.

        Args:
            wait: Whether to wait for that; an interrupt closes it at once.
            cancel: Whether to cancel calls that have not begun.
        """
        self.shut()
        submitting = self._submitting
        if submitting is None:
            self.close()
            return
        if cancel:
            submitting.cancel_waiting()
        if not wait:
            submitting.when_drained(self.drop)
            return
        try:
            submitting.drain()
        finally:
            self.close()

    def drop(self) -> None:
        """Have it closed without a wait or a lock."""
        engine = self._engine
        if engine is not None:
            engine.drop()

    def drain(self) -> None:
        """Wait until all single calls are over."""
        if self._submitting is not None:
            self._submitting.drain()

    def engine(self) -> Engine:
        """Return the engine.

        Raises:
            PoolClosedError: If the pool is closed.
        """
        engine = self._engine
        if engine is not None and not self._closed:
            return engine
        with self._making:
            if self._closed:
                raise PoolClosedError(_ENDING if _pools.ending else _CLOSED)
            if self._engine is None:
                _pools.add(self)
                cpus = max(machine().cpus, self.setup.max_workers or 1)
                engine = Engine(cpus, makers(self.setup))
                self._dropped = weakref.finalize(self, engine.drop)
                self._dropped.atexit = False  # `close_all` sees to that
                self._engine = engine
            return self._engine

    def close(self) -> None:
        """End all runs and workers; nothing if that has been done."""
        with self._making:
            self._closed, engine = True, self._engine
        if engine is not None:
            engine.close()
            self._forget_engine()  # not before: who is interrupted can close again

    def after_fork_in_child(self) -> None:
        """Start afresh: give back what was inherited, and make anew when needed."""
        engine = self._forget_engine()
        self._making = Lock()
        submitting, self._submitting = self._submitting, None
        self._calling = None
        if engine is not None:
            engine.abandon()
        if submitting is not None:
            submitting.abandon(PoolClosedError(IN_THE_PARENT))

    def _forget_engine(self) -> Engine | None:
        if self._dropped is not None:
            self._dropped.detach()
        engine, self._engine = self._engine, None
        return engine

    def _request(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        options: Options,
    ) -> Request:
        setup = self.setup
        return check_request(
            fn, iterables, options, setup.max_workers, setup.backend, self.isolated
        )


def _collect(drive: Drive, results: list[Any], early: dict[int, Any]) -> None:
    """Put all batches in input order: at the end of `results`, or early aside."""
    for indices, values in drive.batches():
        if not early and indices and indices[0] == len(results) and _is_run(indices):
            results.extend(values)
            continue
        early.update(zip(indices, values, strict=True))
        while len(results) in early:
            results.append(early.pop(len(results)))


def _is_run(indices: Any) -> bool:  # noqa: ANN401
    return bool(indices[-1] - indices[0] == len(indices) - 1) and (
        isinstance(indices, range) or indices == sorted(indices)
    )


# -- the default pool, and the end of the program ------------------------------------

_CLOSED: Final = "the pool is closed: make a new one"
_ENDING: Final = "the program is ending: no more runs can begin"


class _Pools:
    """The default pool, and all pools that may have workers."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.default: Pool | None = None
        self.closes_at_exit = False
        self.ending = False
        # Not a WeakSet: an interrupt in the callback of one would be swallowed.
        self._all: dict[int, weakref.ref[Pool]] = {}
        _fork.register(self)

    def after_fork_in_child(self) -> None:
        """Renew the lock: the thread that held it may not be there."""
        self.lock = Lock()

    def add(self, pool: Pool) -> None:
        """Have `pool` closed at the end of the program.

        Raises:
            PoolClosedError: If that has come already.
        """
        with self.lock:
            if not self.closes_at_exit:
                self.ending = not _at_exit(self.close_all)
                self.closes_at_exit = True
            if self.ending:
                raise PoolClosedError(_ENDING)
            for number, ref in self._all.copy().items():
                if ref() is None:
                    del self._all[number]
            self._all[id(pool)] = weakref.ref(pool)

    def close_all(self) -> None:
        """Close all pools."""
        self.ending = True
        pools = [pool for ref in self._all.copy().values() if (pool := ref())]
        try:
            for pool in pools:
                pool.drain()
        finally:  # an interrupt ends the wait, and all that goes on
            for pool in pools:
                pool.close()


_pools = _Pools()


def default_pool() -> Pool:
    """Return the pool that functions use; it stays warm from call to call."""
    pool = _pools.default
    if pool is None:
        with _pools.lock:
            pool = _pools.default
            if pool is None:
                pool = _pools.default = Pool(Setup())
    return pool


def close_default_pool() -> None:
    """Close it, workers and all; the next call makes a new one."""
    with _pools.lock:
        pool, _pools.default = _pools.default, None
    if pool is not None:
        pool.close()


def _at_exit(callback: Callable[[], None]) -> bool:
    """Have `callback` called before the interpreter waits for its threads.

    Returns:
        Whether it will be: not if the interpreter waits for them already.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is None:
        import atexit

        register = atexit.register
    try:
        register(callback)
    except RuntimeError:
        return False
    return True
