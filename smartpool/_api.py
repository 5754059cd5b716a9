"""`run_parallel`, `stream_parallel` and `call`: what users call, and pools have.

The overloads say what a type checker should know: that `fn` takes an element of each
iterable, and that an `async def` gives what it returns, not a coroutine.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, overload

from ._decide.facts import BackendName, Hint
from ._drive.request import Options, check_flag
from ._drive.stream import Stream
from ._pool import Pool, default_pool
from ._report.report import Results

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
Awaited = Coroutine[Any, Any, R]


class RunOptions(TypedDict, total=False):
    """The options of a run, all of them keywords."""

    hint: Hint | None
    backend: BackendName | None
    max_workers: int | None
    chunksize: int | None
    return_exceptions: bool
    timeout: float | None
    item_timeout: float | None
    crash_retries: int


class StreamOptions(RunOptions, total=False):
    """The options of a stream: those of a run, and two more."""

    ordered: bool
    buffersize: int | None


# fmt: off
@overload
def run_parallel(fn: Callable[[A], Awaited[R]], a: Iterable[A], /,
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[[A], R], a: Iterable[A], /,
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[[A, B], Awaited[R]], a: Iterable[A], b: Iterable[B], /,
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[[A, B], R], a: Iterable[A], b: Iterable[B], /,
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[[A, B, C], Awaited[R]], a: Iterable[A], b: Iterable[B],
                 c: Iterable[C], /,
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[[A, B, C], R], a: Iterable[A], b: Iterable[B],
                 c: Iterable[C], /,
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[..., Awaited[R]], a: Iterable[Any], b: Iterable[Any],
                 c: Iterable[Any], d: Iterable[Any], /, *more: Iterable[Any],
                 **options: Unpack[RunOptions]) -> Results[R]: ...
@overload
def run_parallel(fn: Callable[..., R], a: Iterable[Any], b: Iterable[Any],
                 c: Iterable[Any], d: Iterable[Any], /, *more: Iterable[Any],
                 **options: Unpack[RunOptions]) -> Results[R]: ...
# fmt: on
def run_parallel(
    fn: Callable[..., Any],
    /,
    *iterables: Iterable[Any],
    hint: Hint | None = None,
    backend: BackendName | None = None,
    max_workers: int | None = None,
    chunksize: int | None = None,
    return_exceptions: bool = False,
    timeout: float | None = None,
    item_timeout: float | None = None,
    crash_retries: int = 0,
) -> Results[Any]:
    """Call `fn` on every item, where it runs fastest, and return all results.

    Like ``list(map(fn, *iterables))``, in parallel where that pays: each item is
    called exactly once, results are in input order. The first items are called right
    here and measured; what they show decides about the rest, unless `hint` or
    `backend` say so. ``results.report`` tells what was decided, and why.

    `fn` speaks by what it returns. A call may see a copy of its arguments and of
    globals: what it changes there may be lost.

    Args:
        fn: Called with one element of each iterable. Lambdas, closures, functions of
            ``__main__`` and ``async def`` are welcome.
        *iterables: At least one. The shortest one ends the run.
        hint: ``"cpu"`` (computes and holds the GIL), ``"io"`` (waits) or ``"nogil"``
            (computes and lets go of the GIL); `None` measures. It fixes what `fn` is
            taken for, not whether the work is worth spreading.
        backend: ``"serial"``, ``"threads"``, ``"processes"`` or ``"event_loop"``;
            `None` decides. What was asked for is never left. An ``async def`` is
            called on an event loop, or in ``"processes"`` with a loop in each.
        max_workers: Threads or processes, at most; calls at once for an
            ``async def``. `None` decides.
        chunksize: Items that travel together; `None` lets measurements choose.
        return_exceptions: Put what an item raised in its place among the results,
            as `asyncio.gather` does, instead of ending the run. Type checkers take
            results for what `fn` returns, unless they are annotated, such as
            ``results: list[int | BaseException] = run_parallel(...)``.
        timeout: Seconds for the run. When they are over nothing more is called, calls
            that run elsewhere are stopped after half a second, and `RunTimeoutError`
            is raised. An item that is called right here, as first ones are, is not
            interrupted, and neither is the iterable: the others are stopped in time,
            and the error is raised when that ends.
        item_timeout: Seconds for each call, from its beginning. A worker that takes
            longer is killed, in C code too, and the item raises `ItemTimeoutError`;
            the others go on. So items are called in worker processes, none of them
            right here. Where they are called on threads all the same (the report says
            why), a call that takes longer is let go: it goes on by itself, and the
            report names it. The coroutine of an ``async def`` is cancelled.
        crash_retries: How often an item is called again, alone in a worker, when the
            worker that was calling it has died. As with `item_timeout`, items are
            called in worker processes.

    Returns:
        A list of the results, in input order, with a `report`.

    Raises:
        TypeError: If an argument is of the wrong type; nothing has been called then.
        ValueError: If an argument is not allowed; nothing has been called then.
        NotPicklableError: If something has to travel to the backend that was asked
            for, and cannot.
        WorkerCrashError: If a worker died while it was calling an item.
        ItemTimeoutError: If a call took longer than `item_timeout`.
        RunTimeoutError: If the run took longer than `timeout`.
        Exception: Whatever `fn` raised first, with a note that names the item.
            ``completed(exc)`` has the results that were finished.

    Example:
        >>> run_parallel(len, ["a", "bb"])
        [1, 2]

    .. versionadded:: 0.1.0
    """
    options = Options(
        hint,
        backend,
        max_workers,
        chunksize,
        return_exceptions,
        timeout=timeout,
        item_timeout=item_timeout,
        crash_retries=crash_retries,
    )
    return default_pool().run(fn, iterables, options)


# fmt: off
@overload
def stream_parallel(fn: Callable[[A], Awaited[R]], a: Iterable[A], /,
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[[A], R], a: Iterable[A], /,
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[[A, B], Awaited[R]], a: Iterable[A], b: Iterable[B], /,
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[[A, B], R], a: Iterable[A], b: Iterable[B], /,
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[[A, B, C], Awaited[R]], a: Iterable[A], b: Iterable[B],
                    c: Iterable[C], /,
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[[A, B, C], R], a: Iterable[A], b: Iterable[B],
                    c: Iterable[C], /,
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[..., Awaited[R]], a: Iterable[Any], b: Iterable[Any],
                    c: Iterable[Any], d: Iterable[Any], /, *more: Iterable[Any],
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
@overload
def stream_parallel(fn: Callable[..., R], a: Iterable[Any], b: Iterable[Any],
                    c: Iterable[Any], d: Iterable[Any], /, *more: Iterable[Any],
                    **options: Unpack[StreamOptions]) -> Stream[R]: ...
# fmt: on
def stream_parallel(
    fn: Callable[..., Any],
    /,
    *iterables: Iterable[Any],
    ordered: bool = True,
    buffersize: int | None = None,
    hint: Hint | None = None,
    backend: BackendName | None = None,
    max_workers: int | None = None,
    chunksize: int | None = None,
    return_exceptions: bool = False,
    timeout: float | None = None,
    item_timeout: float | None = None,
    crash_retries: int = 0,
) -> Stream[Any]:
    """Call `fn` on every item and give the results one by one, as they are read.

    As `run_parallel`, but lazy: input is pulled, and items are called, only so far
    ahead of the reader; infinite input is welcome. Nothing is called before the
    first result is asked for.

    Args:
        fn: As in `run_parallel`.
        *iterables: As in `run_parallel`; they may be infinite.
        ordered: Results in input order; else as they are finished.
        buffersize: Items that may be called, or have been, and were not read yet;
            `None` lets the plan choose: a few chunks a worker.
        hint: As in `run_parallel`.
        backend: As in `run_parallel`.
        max_workers: As in `run_parallel`.
        chunksize: As in `run_parallel`.
        return_exceptions: As in `run_parallel`.
        timeout: As in `run_parallel`. It begins when the first result is asked for, and
            what the reader does between two results is counted, too.
        item_timeout: As in `run_parallel`.
        crash_retries: As in `run_parallel`.

    Returns:
        An iterator with `close()` and `report`. Use it in a `with` if the loop over
        it may be left early.

    Raises:
        TypeError: If an argument is of the wrong type; nothing has been called then.
        ValueError: If an argument is not allowed; nothing has been called then.

    Example:
        >>> with stream_parallel(str.upper, ["a", "b"]) as stream:
        ...     next(stream)
        'A'

    .. versionadded:: 0.1.0
    """
    check_flag("ordered", ordered)
    options = Options(
        hint,
        backend,
        max_workers,
        chunksize,
        return_exceptions,
        buffersize,
        lazy=True,
        timeout=timeout,
        item_timeout=item_timeout,
        crash_retries=crash_retries,
    )
    return default_pool().stream(fn, iterables, options, ordered=ordered)


def call(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `fn` once, where it has been learnt to belong, and return what it returns.

    Like ``fn(*args, **kwargs)``, for code that makes many such calls, from several
    threads: a view of a web server. The first call is made right here and measured.
    What waits, lets go of the GIL or is short stays on the thread that asks. What
    holds the GIL goes to a worker process, so that the other threads go on meanwhile:
    as many calls at once as there are CPUs, the others wait for their turn. Beside a
    run it gets its share of the workers. ``learned(fn)`` tells what was found.

    A call whose arguments cannot be pickled is made here. An ``async def`` is awaited
    on an event loop of smartpool's own. A mark (`cpu_bound` and its like) decides
    without measuring.

    Args:
        fn: What to call.
        *args: What to call it with.
        **kwargs: What to call it with, by keyword.

    Raises:
        TypeError: If `fn` cannot be called.
        NotPicklableError: If its result has to travel, and cannot.
        WorkerCrashError: If the worker died during the call.
        Exception: Whatever `fn` raises.

    Example:
        >>> call(divmod, 7, 2)
        (3, 1)

    .. versionadded:: 0.1.0
    """
    return default_pool().calling.call(fn, args, kwargs)  # type: ignore[no-any-return]


class Runs:
    """Runs with the workers of one pool: the half of `SmartPool` that is like above.

    Args:
        pool: Whose workers to use.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool: Pool = pool

    # fmt: off
    @overload
    def run_parallel(self, fn: Callable[[A], Awaited[R]], a: Iterable[A], /,
                     **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[[A], R], a: Iterable[A], /,
                     **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[[A, B], Awaited[R]], a: Iterable[A],
                     b: Iterable[B], /,
                     **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[[A, B], R], a: Iterable[A], b: Iterable[B], /,
                     **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[[A, B, C], Awaited[R]], a: Iterable[A],
                     b: Iterable[B], c: Iterable[C], /,
                     **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[[A, B, C], R], a: Iterable[A],
                     b: Iterable[B], c: Iterable[C], /,
                     **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[..., Awaited[R]], a: Iterable[Any],
                     b: Iterable[Any], c: Iterable[Any], d: Iterable[Any], /,
                     *more: Iterable[Any], **options: Unpack[RunOptions]) -> Results[R]: ...
    @overload
    def run_parallel(self, fn: Callable[..., R], a: Iterable[Any],
                     b: Iterable[Any], c: Iterable[Any], d: Iterable[Any], /,
                     *more: Iterable[Any], **options: Unpack[RunOptions]) -> Results[R]: ...
    # fmt: on
    def run_parallel(
        self,
        fn: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        hint: Hint | None = None,
        backend: BackendName | None = None,
        max_workers: int | None = None,
        chunksize: int | None = None,
        return_exceptions: bool = False,
        timeout: float | None = None,
        item_timeout: float | None = None,
        crash_retries: int = 0,
    ) -> Results[Any]:
        """Do what the function `run_parallel` does, with this pool's workers.

        Raises:
            PoolClosedError: If the pool is closed.
        """
        options = Options(
            hint,
            backend,
            max_workers,
            chunksize,
            return_exceptions,
            timeout=timeout,
            item_timeout=item_timeout,
            crash_retries=crash_retries,
        )
        return self._pool.run(fn, iterables, options)

    # fmt: off
    @overload
    def stream_parallel(self, fn: Callable[[A], Awaited[R]], a: Iterable[A], /,
                        **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[[A], R], a: Iterable[A], /,
                        **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[[A, B], Awaited[R]], a: Iterable[A],
                        b: Iterable[B], /,
                        **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[[A, B], R], a: Iterable[A],
                        b: Iterable[B], /,
                        **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[[A, B, C], Awaited[R]], a: Iterable[A],
                        b: Iterable[B], c: Iterable[C], /,
                        **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[[A, B, C], R], a: Iterable[A],
                        b: Iterable[B], c: Iterable[C], /,
                        **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[..., Awaited[R]], a: Iterable[Any],
                        b: Iterable[Any], c: Iterable[Any], d: Iterable[Any], /,
                        *more: Iterable[Any], **options: Unpack[StreamOptions]) -> Stream[R]: ...
    @overload
    def stream_parallel(self, fn: Callable[..., R], a: Iterable[Any],
                        b: Iterable[Any], c: Iterable[Any], d: Iterable[Any], /,
                        *more: Iterable[Any], **options: Unpack[StreamOptions]) -> Stream[R]: ...
    # fmt: on
    def stream_parallel(
        self,
        fn: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        ordered: bool = True,
        buffersize: int | None = None,
        hint: Hint | None = None,
        backend: BackendName | None = None,
        max_workers: int | None = None,
        chunksize: int | None = None,
        return_exceptions: bool = False,
        timeout: float | None = None,
        item_timeout: float | None = None,
        crash_retries: int = 0,
    ) -> Stream[Any]:
        """Do what the function `stream_parallel` does, with this pool's workers.

        Raises:
            PoolClosedError: If the pool is closed.
        """
        check_flag("ordered", ordered)
        options = Options(
            hint,
            backend,
            max_workers,
            chunksize,
            return_exceptions,
            buffersize,
            lazy=True,
            timeout=timeout,
            item_timeout=item_timeout,
            crash_retries=crash_retries,
        )
        return self._pool.stream(fn, iterables, options, ordered=ordered)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do what the function `call` does, with this pool's workers.

        In a pool with a backend, or with an initializer, all calls go to its workers.

        Raises:
            PoolClosedError: If the pool is closed.
        """
        return self._pool.calling.call(fn, args, kwargs)  # type: ignore[no-any-return]
