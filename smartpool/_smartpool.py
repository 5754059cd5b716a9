"""`SmartPool`: workers of one's own, and a `concurrent.futures.Executor`.

In a module of its own: a program that only calls the functions does not pay for the
import of `concurrent.futures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from ._api import Runs
from ._decide.facts import BACKENDS, BackendName
from ._drive.request import (
    check_count,
    check_flag,
    check_iterables,
    check_one_of,
    place_of,
)
from ._executor.checks import (
    check_buffersize,
    check_initializer,
    check_seconds,
    check_tasks_per_child,
)
from ._executor.future import CallFuture
from ._executor.mapping import mapped
from ._executor.submitting import workers
from ._makers import Setup, pickled_initializer
from ._pool import Pool

P = ParamSpec("P")
R = TypeVar("R")


class SmartPool(Runs, Executor):
    """A pool of workers of one's own: the calls of smartpool, and an `Executor`.

    Its workers start when they are needed, stay warm from run to run, leave when they
    have been idle for long, and end with its `with` block, `shutdown` or `close`.
    Several threads may use it at once: their runs and calls share its workers fairly.
    Without one, the functions share a default pool.

    It takes the place of a `concurrent.futures.ProcessPoolExecutor`: `submit` and `map`
    use worker processes unless `backend` says otherwise. A worker that dies costs the
    call that it was at, and nothing else: the pool lives on.

    Args:
        max_workers: Threads or processes of a run, at most; `None` decides.
        backend: As in `run_parallel`, for all that does not say otherwise.
        initializer: Called once in each worker before anything else. Where there is
            one, no item is ever called in this process. If it raises, the pool is
            broken: all that it is asked for raises a `WorkerCrashError`.
        initargs: What it is called with.
        max_tasks_per_child: Items that a worker process calls before a new one takes
            its place; `None` for any number.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is not allowed.
        NotPicklableError: If the initializer has to travel to processes, and cannot.

    Example:
        >>> with SmartPool(max_workers=2) as pool:
        ...     pool.run_parallel(abs, [-1, 2])
        ...     pool.submit(abs, -3).result()
        [1, 2]
        3

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        backend: BackendName | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: int | None = None,
    ) -> None:
        """Check the arguments; nothing is started yet."""
        check_count("max_workers", max_workers)
        check_one_of("backend", backend, BACKENDS)
        check_initializer(initializer, initargs, backend)
        check_tasks_per_child(max_tasks_per_child, backend)
        pickled = b""
        if initializer is not None and backend != "threads":
            pickled = pickled_initializer(initializer, initargs)
        setup = Setup(
            max_workers, backend, initializer, initargs, pickled, max_tasks_per_child
        )
        super().__init__(Pool(setup))

    def submit(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> CallFuture[R]:
        """Have ``fn(*args, **kwargs)`` called in a worker, and return its future.

        Args:
            fn: What to call; an ``async def`` is awaited, on the event loop.
            *args: What to call it with.
            **kwargs: What to call it with, by keyword.

        Returns:
            A `concurrent.futures.Future` whose `cancel` also stops a call that goes
            on. What cannot travel (`NotPicklableError`) and the death of its worker
            (`WorkerCrashError`) are its outcome, and no other's.

        Raises:
            TypeError: If `fn` cannot be called.
            PoolClosedError: If the pool is closed or shut down.
            WorkerCrashError: If the initializer has failed before.
        """
        return self._pool.submitting.submit_one(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """Have `fn` called on every item, and return an iterator over the results.

        As `concurrent.futures.Executor.map`: all items are submitted at once (or
        `buffersize` of them), results come in input order, and an error is raised
        when its turn comes. Nothing is measured; `run_parallel` and `stream_parallel`
        choose for you.

        Args:
            fn: Called with one element of each iterable.
            *iterables: The shortest one ends it.
            timeout: Seconds, from this call, that the iterator may take.
            chunksize: Items that travel together. Each has an outcome of its own.
            buffersize: Items that are submitted and not yielded yet, at most; `None`
                submits all, at once.

        Raises:
            TypeError: If an argument is of the wrong type.
            ValueError: If an argument is not allowed.
            PoolClosedError: If the pool is closed or shut down.
            TimeoutError: By the iterator, if the time is up.
            Exception: By the iterator: whatever `fn` raised. Calls that are not over
                are cancelled then, as they are when the iterator is closed.
        """
        place_of(fn, self._pool.setup.backend)
        if iterables:  # without any there are no items, as in the standard library
            check_iterables(fn, iterables)
        check_seconds("timeout", timeout)
        check_count("chunksize", chunksize)
        check_buffersize(buffersize)
        submit = self._pool.submitting.submit
        return mapped(
            lambda batch: submit(fn, [(args, None) for args in batch]),
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; end the workers when all futures are over.

        Runs that go on in other threads are ended then.

        Args:
            wait: Whether to wait for that. An interrupt ends the wait, and the pool
                at once.
            cancel_futures: Whether calls that have not begun are cancelled.
        """
        check_flag("wait", wait)
        check_flag("cancel_futures", cancel_futures)
        self._pool.shutdown(wait=wait, cancel=cancel_futures)

    def close(self) -> None:
        """End all its runs, calls and workers at once; nothing if it is closed."""
        self._pool.close()

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut it down, and wait; after a KeyboardInterrupt end all at once."""
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            self.close()
        else:
            self.shutdown(wait=True)

    @property
    def _max_workers(self) -> int:
        """What other executors have under this name, and libraries read."""
        setup = self._pool.setup
        return workers(setup.backend or "processes", setup.max_workers)

    @property
    def _broken(self) -> bool:
        """As in other executors: whether its initializer has failed."""
        return self._pool.broken is not None
