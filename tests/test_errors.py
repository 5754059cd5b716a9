"""End to end: wrong arguments, and what becomes of exceptions, on every backend."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import SmartPool, completed, machine, run_parallel, stream_parallel
from smartpool._makers import _MAKERS
from tests import workloads
from tests.heavy import and_heavy

BACKENDS: list[Any] = [*_MAKERS, None]

each_backend = pytest.mark.parametrize("backend", BACKENDS)


def never(_: Any) -> None:
    pytest.fail("an item was called")


def never_pulled() -> Iterator[int]:
    pytest.fail("an item was pulled")
    yield 1


async def never_async(_: Any) -> None:
    pytest.fail("an item was called")


def in_pool(fn: Any, *iterables: Any, **options: Any) -> Any:
    with SmartPool() as pool:
        return pool.run_parallel(fn, *iterables, **options)


def stream_in_pool(fn: Any, *iterables: Any, **options: Any) -> Any:
    with SmartPool() as pool:
        return pool.stream_parallel(fn, *iterables, **options)


def streamed(fn: Any, *iterables: Any, **options: Any) -> list[Any]:
    return list(stream_parallel(fn, *iterables, **options))


entry = pytest.mark.parametrize(
    "call", [run_parallel, stream_parallel, in_pool, stream_in_pool]
)

# -- wrong arguments ------------------------------------------------------------------


@entry
@pytest.mark.parametrize("fn", [None, 3, "len", [abs]])
def test_fn_that_cannot_be_called(call: Any, fn: Any) -> None:
    """The message names the parameter and shows the value."""
    with pytest.raises(TypeError, match=r"^fn must be callable, not "):
        call(fn, never_pulled())


@entry
def test_a_coroutine_object_instead_of_the_function(call: Any) -> None:
    """The message shows what was probably written, and what to write instead."""
    coroutine = never_async(1)
    with pytest.raises(TypeError) as caught:
        call(coroutine, never_pulled())
    coroutine.close()

    what, wrong, right = str(caught.value).splitlines()
    assert what.startswith("fn must be a function, not a coroutine object")
    assert "Probably you wrote" in wrong
    assert "never_async(...)" in wrong
    assert "Instead" in right
    assert "(never_async, items)" in right


@entry
def test_no_iterables(call: Any) -> None:
    """The message shows how it is meant, with the function's own name."""
    with pytest.raises(TypeError, match=r"^iterables .*run_parallel\(never, items\)"):
        call(never)


@entry
@pytest.mark.parametrize("thing", [3, None, object(), abs])
def test_something_that_is_not_iterable(call: Any, thing: Any) -> None:
    """The message says which one it is."""
    with pytest.raises(TypeError, match=r"^iterables must be iterable, number 2 is "):
        call(never, [1, 2], thing)


def async_items() -> Any:
    return workloads.async_generator(1)


@entry
def test_an_async_iterable(call: Any) -> None:
    """It is not an iterable."""
    with pytest.raises(TypeError, match=r"^iterables must be iterable, number 1 is "):
        call(never, async_items())


COUNTS = ["max_workers", "chunksize"]


@entry
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1])
def test_counts_below_one(call: Any, name: str, value: int) -> None:
    """The standard library's words, and the value."""
    with pytest.raises(ValueError, match=rf"^{name} must be greater than 0, not "):
        call(never, never_pulled(), **{name: value})


@entry
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [True, False, 2.5, "2", 1.0, [1]])
def test_counts_of_another_type(call: Any, name: str, value: Any) -> None:
    """`True` is not a number of workers."""
    with pytest.raises(TypeError, match=rf"^{name} must be a whole number or None"):
        call(never, never_pulled(), **{name: value})


@pytest.mark.parametrize("call", [stream_parallel, stream_in_pool])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-5, ValueError), (True, TypeError)]
)
def test_buffersize(call: Any, value: Any, error: type[Exception]) -> None:
    """It is checked like the other counts, under its own name."""
    with pytest.raises(error, match=r"^buffersize must be "):
        call(never, never_pulled(), buffersize=value)


NO_FLAGS: list[Any] = ["no", "", None, 0, 1, []]


@entry
@pytest.mark.parametrize("value", NO_FLAGS)
def test_return_exceptions_is_a_flag(call: Any, value: Any) -> None:
    """Any text would count as true, "no" too."""
    with pytest.raises(TypeError) as caught:
        call(never, never_pulled(), return_exceptions=value)

    text = f"return_exceptions must be True or False, not {value!r}"
    assert str(caught.value) == text


@pytest.mark.parametrize("call", [stream_parallel, stream_in_pool])
@pytest.mark.parametrize("value", NO_FLAGS)
def test_ordered_is_a_flag(call: Any, value: Any) -> None:
    """It is checked like the other one."""
    with pytest.raises(TypeError) as caught:
        call(never, never_pulled(), ordered=value)

    assert str(caught.value) == f"ordered must be True or False, not {value!r}"


@entry
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("hint", "gpu", ValueError),
        ("hint", "", ValueError),
        ("hint", 1, TypeError),
        ("hint", [], TypeError),
        ("backend", "fibers", ValueError),
        ("backend", "Threads", ValueError),
        ("backend", 1, TypeError),
        ("backend", object, TypeError),
    ],
)
def test_words_that_are_not_allowed(
    call: Any, name: str, value: Any, error: type[Exception]
) -> None:
    """The message lists those that are, and shows the value."""
    with pytest.raises(error) as caught:
        call(never, never_pulled(), **{name: value})

    text = str(caught.value)
    assert text.startswith(f"{name} must be ")
    assert "'cpu'" in text or "'threads'" in text
    assert repr(value) in text


@entry
@pytest.mark.parametrize("name", ["foo", "lazy", "window"])
def test_options_that_do_not_exist(call: Any, name: str) -> None:
    """They are refused, the names of our own records too."""
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{name}'"):
        call(never, never_pulled(), **{name: 1})


@pytest.mark.parametrize("name", ["ordered", "buffersize"])
def test_options_of_streams_in_a_run(name: str) -> None:
    """A run has no use for them, and says so."""
    calls: list[Any] = [run_parallel, in_pool]
    for call in calls:
        with pytest.raises(TypeError, match=name):
            call(never, never_pulled(), **{name: 1})


@entry
@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_an_async_def_elsewhere(call: Any, backend: Any) -> None:
    """What would only make coroutine objects is refused."""
    with pytest.raises(ValueError, match=r"'event_loop', 'processes'.*never_async"):
        call(never_async, never_pulled(), backend=backend)


@entry
def test_a_plain_function_on_the_event_loop(call: Any) -> None:
    """What has nothing to await is refused."""
    with pytest.raises(ValueError, match=r"'event_loop'.*never"):
        call(never, never_pulled(), backend="event_loop")


@pytest.mark.parametrize(
    ("backend", "fn"),
    [("threads", never_async), ("serial", never_async), ("event_loop", never)],
)
def test_a_backend_of_the_pool_that_does_not_fit(backend: Any, fn: Any) -> None:
    """A pool's own backend is held against the function like a call's."""
    with SmartPool(backend=backend) as pool:
        with pytest.raises(ValueError, match="'event_loop'"):
            pool.run_parallel(fn, never_pulled())
        with pytest.raises(ValueError, match="'event_loop'"):
            pool.stream_parallel(fn, never_pulled())


def wraps_async(item: int) -> Any:
    return workloads.same_async(item)


@pytest.mark.parametrize("call", [run_parallel, streamed])
@pytest.mark.parametrize("backend", [None, "serial", "threads"])
@pytest.mark.parametrize("return_exceptions", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
def test_a_plain_function_that_returns_a_coroutine(
    call: Any, backend: Any, return_exceptions: bool, lazy: bool
) -> None:
    """Nobody would await it: the message says so, and all of them are closed."""
    items = iter(range(300)) if lazy else range(300)
    with pytest.raises(TypeError) as caught:
        call(wraps_async, items, backend=backend, return_exceptions=return_exceptions)
    gc.collect()  # one that was not closed warns now, which fails the test

    what, wrong, right = str(caught.value).splitlines()
    assert what.startswith("fn returned a coroutine object of same_async")
    assert "Probably you wrote:    def wraps_async(...): return same_async" in wrong
    assert "async def wraps_async(...): return await same_async(...)" in right
    assert completed(caught.value) == {}


def test_a_lambda_that_returns_a_coroutine() -> None:
    """What to write instead is shorter than what was written."""
    with pytest.raises(TypeError) as caught:
        run_parallel(lambda item: workloads.same_async(item), [1, 2])  # noqa: PLW0108

    _, wrong, right = str(caught.value).splitlines()
    assert "run_parallel(lambda item: same_async(item), items)" in wrong
    assert "run_parallel(same_async, items)" in right


def test_a_coroutine_as_a_result_in_a_process() -> None:
    """It cannot come back, and the message says what to pass."""
    with pytest.raises(smartpool.NotPicklableError, match="async def itself"):
        run_parallel(wraps_async, range(4), backend="processes")


def test_a_coroutine_that_somebody_else_runs_is_left_alone() -> None:
    """What was handed on to a loop goes on there."""
    began = threading.Event()

    async def awaited() -> int:
        began.set()
        await asyncio.sleep(0.1)
        return 3

    def handed_on(_: int) -> Any:
        coroutine = awaited()
        futures.append(asyncio.run_coroutine_threadsafe(coroutine, loop))
        assert began.wait(workloads.DEADLINE_S)
        return coroutine

    futures: list[Any] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with pytest.raises(TypeError, match="returned a coroutine"):
            run_parallel(handed_on, [1])
        assert futures[0].result(workloads.DEADLINE_S) == 3
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": True}, TypeError),
        ({"backend": "fibers"}, ValueError),
        ({"backend": 3}, TypeError),
    ],
)
def test_arguments_of_a_pool(options: Any, error: type[Exception]) -> None:
    """They are checked when it is made."""
    with pytest.raises(error, match=f"^{next(iter(options))} must be "):
        SmartPool(**options)


# -- exceptions of items ---------------------------------------------------------------


def raising(backend: str | None, make: Callable[[], BaseException]) -> Any:
    """Return a function, as `backend` takes it, that fails for item 2."""
    return workloads.on(backend, partial(workloads.fail_at, 2, make))


@each_backend
def test_keeps_its_type_and_gets_a_note(backend: Any) -> None:
    """The note has the item's index, and its argument's repr."""
    fn = raising(backend, partial(KeyError, "k"))

    with pytest.raises(KeyError) as caught:
        run_parallel(fn, [2, 30, 7], backend=backend)

    assert type(caught.value) is KeyError
    assert caught.value.args == ("k",)
    (note,) = caught.value.__notes__
    assert "item 0" in note
    assert "2" in note


@each_backend
def test_the_repr_in_the_note_is_short(backend: Any) -> None:
    """A large argument does not fill the screen; one whose repr raises is named."""
    for item in ("x" * 100_000, list(range(10**5)), workloads.NoRepr()):
        fn = workloads.on(backend, partial(workloads.add, 1.5))
        with pytest.raises(TypeError) as caught:
            run_parallel(fn, [item], backend=backend)
        (note,) = caught.value.__notes__
        assert len(note) < 200


@each_backend
def test_return_exceptions(backend: Any) -> None:
    """The exception stands in its item's place; all others are called."""
    fn = raising(backend, partial(ValueError, "two"))

    results = run_parallel(fn, range(6), backend=backend, return_exceptions=True)

    assert results[:2] + results[3:] == [0, 1, 3, 4, 5]
    assert isinstance(results[2], ValueError)
    assert "item 2" in results[2].__notes__[0]


@each_backend
def test_return_exceptions_streamed(backend: Any) -> None:
    """The same, one by one."""
    fn = raising(backend, partial(ValueError, "two"))

    with stream_parallel(
        fn, range(6), backend=backend, return_exceptions=True
    ) as stream:
        shown = [str(one) for one in stream]

    assert shown == ["0", "1", "two", "3", "4", "5"]


@pytest.mark.parametrize("hint", [None, "cpu"], ids=["observed", "not-observed"])
def test_remote_traceback(hint: Any) -> None:
    """From a process it comes with the traceback there, as its cause."""
    with pytest.raises(ValueError, match="two") as caught:
        run_parallel(
            partial(workloads.fail_at, 2, partial(ValueError, "two")),
            range(4),
            backend="processes",
            hint=hint,
        )

    remote = str(caught.value.__cause__)
    assert remote.strip() in "".join(traceback.format_exception(caught.value))
    assert "workloads.py" in remote
    assert "fail_at" in remote
    ours = Path(smartpool.__file__).parent
    assert str(ours) not in remote  # our own frames are of no interest
    assert remote.count("  File ") == 1


@pytest.mark.parametrize("make", [workloads.NoNotesError, workloads.BadNoteError])
def test_bad_notes_cost_no_worker(make: type[Exception]) -> None:
    """The exception is its item's, and no other one of a worker that died of it."""
    results = run_parallel(
        partial(workloads.fail_at, 1, make),
        range(3),
        backend="processes",
        max_workers=1,
        chunksize=3,
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [int, make, int]


@pytest.mark.parametrize("backend", ["serial", "threads", "event_loop", None])
def test_no_cause_here(backend: Any) -> None:
    """On a thread the traceback is the exception's own."""
    with pytest.raises(ValueError, match="two") as caught:
        run_parallel(
            raising(backend, partial(ValueError, "two")), range(4), backend=backend
        )

    assert caught.value.__cause__ is None
    assert "fail_at" in "".join(traceback.format_exception(caught.value))


@each_backend
def test_completed(backend: Any) -> None:
    """What was finished by the time can be had, by index."""
    fn = raising(backend, partial(ValueError, "two"))

    with pytest.raises(ValueError, match="two") as caught:
        run_parallel(fn, [5, 6, 2, 7, 8], backend=backend, max_workers=1, chunksize=1)

    done = completed(caught.value)
    assert {0: 5, 1: 6}.items() <= done.items()
    assert done.items() <= {0: 5, 1: 6, 3: 7, 4: 8}.items()


@each_backend
def test_completed_of_a_stream(backend: Any) -> None:
    """What was finished and could not be read in order."""
    fn = raising(backend, partial(ValueError, "two"))
    read: list[int] = []

    with (
        pytest.raises(ValueError, match="two") as caught,
        stream_parallel(fn, [5, 6, 2, 7, 8], backend=backend, chunksize=1) as stream,
    ):
        read.extend(stream)

    assert read == [5, 6][: len(read)]
    assert completed(caught.value).items() <= {0: 5, 1: 6, 3: 7, 4: 8}.items()


def test_completed_of_a_thread_that_is_let_go() -> None:
    """What it finished before the call that cannot be ended is not lost with it."""
    waits, over = threading.Event(), threading.Event()

    def fn(x: int) -> int:
        if x == 3:
            waits.set()
            over.wait(workloads.DEADLINE_S)
        if x == 4:
            assert waits.wait(workloads.DEADLINE_S)
            raise ValueError("four")
        return x

    try:
        with pytest.raises(ValueError, match="four") as caught:
            run_parallel(fn, range(8), backend="threads", max_workers=2, chunksize=4)
        done = completed(caught.value)
    finally:
        over.set()

    assert {0: 0, 1: 1, 2: 2}.items() <= done.items()
    assert 3 not in done


def test_completed_is_of_the_last_run() -> None:
    """An exception object that is raised again says what its last run has done."""
    error = ValueError("always the same")
    fn = partial(workloads.fail_at, 2, lambda: error)
    seen = []
    for items in ([1, 2], [7, 8, 9, 2]):
        with pytest.raises(ValueError, match="always") as caught:
            run_parallel(fn, items)
        seen.append(completed(caught.value))

    assert seen == [{0: 1}, {0: 7, 1: 8, 2: 9}]


@pytest.mark.parametrize("backend", ["serial", "threads"])
def test_completed_is_of_the_outer_run(backend: Any) -> None:
    """Who catches what ended a run gets that run's results, not a nested one's."""

    def nested(x: int) -> list[int]:
        fn = partial(workloads.fail_at, 2, ValueError)
        return run_parallel(fn, [x + 10, x], backend=backend)

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it has no text
        run_parallel(nested, [0, 1, 2], backend=backend, max_workers=1, chunksize=1)

    assert completed(caught.value) == {0: [10, 0], 1: [11, 1]}


def test_completed_of_something_else() -> None:
    """An exception that ended no run has none."""
    assert completed(ValueError()) == {}


@each_backend
def test_the_first_error_ends_the_run(backend: Any, tmp_path: Path) -> None:
    """Nothing new starts: only what was under way is called."""
    path = str(tmp_path / "calls")
    fn = workloads.on(backend, partial(workloads.fail_one_after_the_other, path))

    with pytest.raises(ValueError, match="3"):
        run_parallel(fn, range(500), backend=backend, max_workers=2, chunksize=5)

    called = len(workloads.lines(path))
    assert 4 <= called < 100
    with pytest.raises(ValueError, match="3"):
        run_parallel(fn, [3], backend=backend)
    assert len(workloads.lines(path)) == called + 1  # nothing of it goes on


@each_backend
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exceptions_that_are_no_errors(
    backend: Any, error: type[BaseException]
) -> None:
    """They end the run as themselves, wherever the item was called."""
    for call in (run_parallel, streamed):
        with pytest.raises(error) as caught:
            call(raising(backend, partial(error, 3)), range(4), backend=backend)
        assert type(caught.value) is error
    assert run_parallel(abs, [-1]) == [1]


@pytest.mark.parametrize("call", [run_parallel, streamed])
def test_an_interrupt_has_no_context_but_the_callers(call: Any) -> None:
    """A Ctrl-C comes in the middle of anything: what it broke off is not its cause."""

    def interrupted(_: int) -> None:
        try:
            "".index("what an import looks for in a cache")
        except ValueError:
            raise KeyboardInterrupt  # noqa: B904 - as Python does it

    with pytest.raises(KeyboardInterrupt) as caught:
        call(interrupted, range(4), backend="serial")
    assert caught.value.__context__ is None

    ours = LookupError("of the caller")
    try:
        raise ours
    except LookupError:
        with pytest.raises(KeyboardInterrupt) as caught:
            call(interrupted, range(4), backend="serial")
    assert caught.value.__context__ is ours


@pytest.mark.parametrize("return_exceptions", [True, False])
def test_an_interrupt_while_a_result_is_loaded(return_exceptions: bool) -> None:
    """It is the caller's, and never an item's result; what was loaded is kept."""
    with pytest.raises(KeyboardInterrupt) as caught:
        run_parallel(
            workloads.InterruptsLoading,
            range(4),
            backend="processes",
            max_workers=1,
            chunksize=4,
            return_exceptions=return_exceptions,
        )
    assert sorted(completed(caught.value)) == [0, 1]


@pytest.mark.parametrize("backend", ["serial", "threads", "processes", None])
def test_stop_iteration(backend: Any) -> None:
    """A run raises it; a stream must not, or the reader's loop would just end."""
    fn = raising(backend, partial(StopIteration, 3))

    with pytest.raises(StopIteration):
        run_parallel(fn, range(4), backend=backend)
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        list(stream_parallel(fn, range(4), backend=backend))
    assert isinstance(caught.value.__cause__, StopIteration)


def test_stop_iteration_of_a_coroutine() -> None:
    """Python itself makes a RuntimeError of it."""
    for call in (run_parallel, streamed):
        with pytest.raises(RuntimeError, match="StopIteration"):
            call(raising("event_loop", StopIteration), range(4))


def test_cancelled_error_of_an_item() -> None:
    """A coroutine that raises it by itself has failed; the run is not cancelled."""

    async def fn(x: int) -> int:
        if x == 2:
            raise asyncio.CancelledError
        return x

    results = run_parallel(fn, range(4), return_exceptions=True)

    assert isinstance(results[2], asyncio.CancelledError)
    assert results[3] == 3


@each_backend
@pytest.mark.parametrize(
    "make",
    [
        partial(workloads.FrozenError, 1),
        partial(workloads.TwoArgumentsError, 1, "text"),
        partial(workloads.NoTextError, 1),
    ],
    ids=["frozen", "two-arguments", "no-text"],
)
def test_odd_exceptions(backend: Any, make: partial[BaseException]) -> None:
    """They come as themselves, with a note or without."""
    error: Any = make.func
    with pytest.raises(error) as caught:
        run_parallel(raising(backend, make), range(4), backend=backend)

    assert type(caught.value) is error
    assert 2 not in completed(caught.value)


# -- iterables that misbehave -----------------------------------------------------------


def broken_items(path: str) -> Iterator[int]:
    yield from range(50)
    workloads.append(path, "raised")
    raise KeyError("half-way")


@each_backend
def test_an_iterable_that_raises_half_way(backend: Any, tmp_path: Path) -> None:
    """The items before it are called, as in a plain loop, and can be had."""
    path, pulled = str(tmp_path / "calls"), str(tmp_path / "pulled")
    fn = workloads.on(backend, partial(workloads.marked, path))

    with pytest.raises(KeyError, match="half-way") as caught:
        run_parallel(fn, broken_items(pulled), backend=backend)

    assert sorted(map(int, workloads.lines(path))) == list(range(50))
    assert completed(caught.value) == {n: n for n in range(50)}
    assert workloads.lines(pulled) == ["raised"]


@each_backend
def test_an_iterable_that_raises_half_way_streamed(
    backend: Any, tmp_path: Path
) -> None:
    """The results of the items before it come first."""
    fn = workloads.on(backend, workloads.same)
    items = broken_items(str(tmp_path / "pulled"))
    read: list[int] = []

    stream = stream_parallel(fn, items, backend=backend)
    with pytest.raises(KeyError, match="half-way"):
        read.extend(stream)

    assert read == list(range(50))


@each_backend
def test_an_iterator_that_could_go_on_after_an_error(backend: Any) -> None:
    """It is not asked again: the error has ended it, as in a plain loop."""
    items = workloads.Resuming(5, 40)

    with pytest.raises(KeyError, match="half-way") as caught:
        run_parallel(workloads.on(backend, workloads.same), items, backend=backend)

    assert completed(caught.value) == {n: n for n in range(5)}
    assert items.at == 5


@each_backend
def test_an_iterator_that_could_go_on_after_its_end(backend: Any) -> None:
    """It is not asked again after StopIteration."""
    items = workloads.Resuming(-1, 5)

    results = run_parallel(
        workloads.on(backend, workloads.same), items, backend=backend
    )

    assert results == list(range(5))
    assert items.at == 5


def test_an_iterable_whose_iter_raises() -> None:
    """The error comes out of the call, and nothing hangs."""

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise KeyError("iter")

    with pytest.raises(KeyError, match="iter"):
        run_parallel(never, Broken())
    with pytest.raises(KeyError, match="iter"), stream_parallel(never, Broken()) as s:
        next(s)


# -- generator functions ------------------------------------------------------------


def test_async_generator_functions() -> None:
    """One is a mistake for an async def, and refused before an item is called."""
    with pytest.raises(TypeError, match="fn must not be an async generator function"):
        run_parallel(workloads.async_generator, range(3))


@pytest.mark.parametrize("fn", [workloads.generator])
def test_generator_functions_here(fn: Any) -> None:
    """A call of one makes a generator, of which nothing has run: that is the result."""
    results = run_parallel(fn, range(3))

    assert [type(one).__name__.rpartition("_")[2] for one in results] == [
        "generator"
    ] * 3


def test_generator_functions_on_processes() -> None:
    """A generator cannot come back, and the error says what to do."""
    with pytest.raises(smartpool.NotPicklableError, match="generator"):
        run_parallel(workloads.generator, range(3), backend="processes")


def test_an_infinite_iterable_streamed() -> None:
    """Only what is read, and a bounded number more, is pulled."""
    with stream_parallel(abs, itertools.count(-5)) as stream:
        assert list(itertools.islice(stream, 8)) == [5, 4, 3, 2, 1, 0, 1, 2]


# -- what cannot be pickled, where no backend was asked for --------------------------

unpinned = pytest.mark.parametrize("call", [run_parallel, streamed])
hinted = pytest.mark.parametrize("hint", [None, "cpu"])


@unpinned
@hinted
@pytest.mark.parametrize(
    "fn", and_heavy([workloads.make_holder], [workloads.find_holder])
)
@pytest.mark.parametrize("return_exceptions", [True, False])
def test_results_that_cannot_be_pickled(
    call: Any, hint: Any, fn: Any, return_exceptions: bool
) -> None:
    """The first ones show it, and the others stay here: all is as in a plain loop."""
    results = call(fn, range(200), hint=hint, return_exceptions=return_exceptions)

    assert results[0] == fn(0)
    assert results[1:] == [workloads.Holder(number) for number in range(1, 200)]


@unpinned
@hinted
def test_items_that_cannot_be_pickled(call: Any, hint: Any) -> None:
    """The first one shows it, and the others stay here: all is as in a plain loop."""
    items = [workloads.Holder(number) for number in range(200)]

    assert call(workloads.number_of, items, hint=hint) == list(range(200))


@pytest.mark.parametrize("stuck", ["results", "items"])
def test_what_stays_here_says_why(stuck: str) -> None:
    """With a GIL it would have gone to processes; nothing of it did."""
    items = [workloads.Holder(number) for number in range(800)]  # worth going for
    if stuck == "results":
        report = run_parallel(workloads.make_holder, range(800), hint="cpu").report
    else:
        report = run_parallel(workloads.number_of, items, hint="cpu").report

    assert set(report.on) <= {"serial", "threads"}
    if machine().gil:
        (text, *_) = [one.text for one in report.reasons if one.rule == "stays-here"]
        assert "cannot be pickled" in text
        assert "lock" in text


def test_some_items_that_cannot_be_pickled() -> None:
    """They are called here, the others where they belong, and one reason says so."""
    items = [workloads.Holder(n) if n % 3 == 2 else n for n in range(900)]

    results: Any = run_parallel(workloads.number_of, items, hint="cpu")

    assert results == list(range(900))
    kept = [one for one in results.report.reasons if "called here" in one.text]
    assert len(kept) <= 1
    if machine().gil:
        assert "first because item" in kept[0].text
