"""Properties: results are those of a plain loop, and each item is called once."""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
import tempfile
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from smartpool import SmartPool, run_parallel, stream_parallel
from smartpool._decide import probing
from smartpool._makers import _MAKERS
from tests import workloads
from tests.heavy import and_heavy

BACKENDS: list[Any] = [*_MAKERS, None]

each_backend = pytest.mark.parametrize("backend", BACKENDS)

few = hypothesis.settings(
    max_examples=20,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)

counts = st.none() | st.integers(1, 40)
workers = st.none() | st.integers(1, 4)
items_of_any_sort = st.lists(
    st.integers() | st.text(max_size=5) | st.none() | st.binary(max_size=5), max_size=60
)


def delayed(path: str, seed: int, x: int) -> int:
    """Take a time that depends on the item: calls end in any order."""
    workloads.append(path, x)
    if random.Random(seed * 1000 + x).random() < 0.2:
        workloads.spin(0.001)
    return x * x


# -- runs -----------------------------------------------------------------------------


@each_backend
@few
@hypothesis.given(items=items_of_any_sort, chunksize=counts, max_workers=workers)
def test_as_a_plain_loop(
    backend: Any, items: list[Any], chunksize: int | None, max_workers: int | None
) -> None:
    """Results equal the list comprehension, whatever the items and the options."""
    results = run_parallel(
        workloads.on(backend, repr),
        items,
        backend=backend,
        chunksize=chunksize,
        max_workers=max_workers,
    )

    assert results == [repr(item) for item in items]
    assert results.report.items == len(items)


@each_backend
@few
@hypothesis.given(
    count=st.integers(0, 120),
    chunksize=counts,
    max_workers=workers,
    seed=st.integers(0, 9),
    lazy=st.booleans(),
)
def test_each_item_is_called_once(
    backend: Any,
    count: int,
    chunksize: int | None,
    max_workers: int | None,
    seed: int,
    lazy: bool,
) -> None:
    """Those of the probe, too, and in whatever order calls end."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "calls"))
        results = run_parallel(
            workloads.on(backend, partial(delayed, path, seed)),
            iter(range(count)) if lazy else range(count),
            backend=backend,
            chunksize=chunksize,
            max_workers=max_workers,
        )
        called = sorted(map(int, workloads.lines(path)))

    assert results == [x * x for x in range(count)]
    assert called == list(range(count))


@each_backend
@few
@hypothesis.given(
    count=st.integers(0, 80), fails=st.sets(st.integers(0, 79)), chunksize=counts
)
def test_errors_in_their_places(
    backend: Any, count: int, fails: set[int], chunksize: int | None
) -> None:
    """With `return_exceptions` every item has a place, failed or not."""

    def fn(x: int) -> int:
        if x in fails:
            raise ValueError(x)
        return x

    results = run_parallel(
        workloads.on(backend, fn),
        range(count),
        backend=backend,
        chunksize=chunksize,
        return_exceptions=True,
    )

    assert [
        ("failed", one.args[0]) if isinstance(one, ValueError) else one
        for one in results
    ] == [("failed", x) if x in fails else x for x in range(count)]


# -- streams ----------------------------------------------------------------------------


@each_backend
@few
@hypothesis.given(
    count=st.integers(0, 100),
    buffersize=counts,
    chunksize=counts,
    ordered=st.booleans(),
    seed=st.integers(0, 9),
)
def test_streams(
    backend: Any,
    count: int,
    buffersize: int | None,
    chunksize: int | None,
    ordered: bool,
    seed: int,
) -> None:
    """All results come: in input order, or in any; each item is called once."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "calls"))
        results = list(
            stream_parallel(
                workloads.on(backend, partial(delayed, path, seed)),
                iter(range(count)),
                backend=backend,
                buffersize=buffersize,
                chunksize=chunksize,
                ordered=ordered,
            )
        )
        called = sorted(map(int, workloads.lines(path)))

    assert (results if ordered else sorted(results)) == [x * x for x in range(count)]
    assert called == list(range(count))


@each_backend
@few
@hypothesis.given(
    buffersize=st.integers(1, 12),
    chunksize=counts,
    ordered=st.booleans(),
    reads=st.integers(1, 60),
)
def test_buffersize_bounds_what_is_pulled(
    backend: Any, buffersize: int, chunksize: int | None, ordered: bool, reads: int
) -> None:
    """Never more than `buffersize` items are pulled and not read."""
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for n in itertools.count():
            pulled += 1
            yield n

    with stream_parallel(
        workloads.on(backend, workloads.same),
        items(),
        backend=backend,
        buffersize=buffersize,
        chunksize=chunksize,
        ordered=ordered,
    ) as stream:
        for read in range(1, reads + 1):
            next(stream)
            # The one that was just read was still among them when they were pulled.
            assert pulled <= read - 1 + buffersize


@each_backend
def test_nothing_is_pulled_before_the_first_read(backend: Any) -> None:
    """A stream that nobody reads does nothing."""
    items = iter(range(3))

    with stream_parallel(workloads.on(backend, abs), items, backend=backend):
        pass

    assert list(items) == [0, 1, 2]


@each_backend
def test_a_stream_has_a_report_at_any_time(backend: Any) -> None:
    """Before anything is decided it says so, also if nothing is ever called."""
    fn = workloads.on(backend, workloads.same)
    with stream_parallel(fn, itertools.count(), backend=backend) as stream:
        reports = [stream.report]
        reports += [stream.report for _ in zip(range(5), stream, strict=False)]
    reports.append(stream.report)
    unread = stream_parallel(fn, [1], backend=backend)
    unread.close()

    for report in (reports[0], unread.report):
        assert report.items == 0
        assert report.backend == report.plan.backend == "serial"
        assert report.plan.rule == report.reasons[0].rule == "measuring"
        assert "no item was called yet" in report.explain()
    assert all(report.reasons and report.explain() for report in reports)
    assert reports[-1].items >= 5


def test_the_report_of_a_stream_while_it_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Items of a generator are read one by one until there are enough to decide."""
    monkeypatch.setattr(probing, "ENOUGH_S", inf)
    with stream_parallel(workloads.spin, itertools.repeat(0.001)) as stream:
        next(stream)
        next(stream)
        early = stream.report
        monkeypatch.setattr(probing, "ENOUGH_S", 0.0)
        next(stream)
        late = stream.report

    assert early.plan.rule == "measuring"
    assert early.plan.kind == "unknown"
    assert early.on == {"serial": 2}
    assert "too few items" in early.explain()
    assert "measuring" not in [one.rule for one in late.reasons]


@each_backend
def test_infinite_input(backend: Any) -> None:
    """It is read as far as it is asked for, and can be left."""
    with stream_parallel(
        workloads.on(backend, workloads.same), itertools.count(), backend=backend
    ) as stream:
        assert list(itertools.islice(stream, 500)) == list(range(500))


@each_backend
def test_early_close_leaves_nothing_running(backend: Any, tmp_path: Path) -> None:
    """After `close` no item is called any more, and the stream has ended."""
    path = str(tmp_path / "calls")
    stream = stream_parallel(
        workloads.on(backend, partial(delayed, path, 1)),
        itertools.count(),
        backend=backend,
        max_workers=2,
    )
    for _ in range(20):
        next(stream)

    stream.close()
    called = len(workloads.lines(path))
    stream.close()

    assert next(stream, None) is None
    run_parallel(workloads.on(backend, abs), range(50), backend=backend)
    let_go = 2 if backend in ("threads", None) else 0  # calls that had just begun
    assert len(workloads.lines(path)) <= called + let_go


@each_backend
def test_a_reader_feeds_the_input(backend: Any) -> None:
    """With a buffer of one, a result is read before the next item is pulled."""
    results: list[int] = []

    def items() -> Iterator[int]:
        yield 1
        while results[-1] < 100:
            yield results[-1]

    with stream_parallel(
        workloads.on(backend, partial(workloads.add, 7)),
        items(),
        backend=backend,
        buffersize=1,
    ) as stream:
        for one in stream:
            results.append(one)  # noqa: PERF402 - the input looks at it meanwhile

    assert results[-1] >= 100


@pytest.mark.parametrize("backend", ["threads", "processes", "event_loop", None])
@pytest.mark.parametrize("call", ["run", "stream"])
def test_items_are_called_while_the_input_blocks(
    backend: Any, call: str, tmp_path: Path
) -> None:
    """What was pulled is called, although the next item has not come."""
    path = str(tmp_path / "calls")

    def items() -> Iterator[int]:
        yield from range(3)
        workloads.wait_until(lambda: len(workloads.lines(path)) == 3)
        yield 3

    fn = workloads.on(backend, partial(workloads.marked, path))
    if call == "run":
        results = list(run_parallel(fn, items(), backend=backend))
    else:
        results = list(stream_parallel(fn, items(), backend=backend))

    assert results == list(range(4))


@pytest.mark.parametrize("call", [run_parallel, stream_parallel])
@pytest.mark.parametrize("backend", ["serial", None])
@pytest.mark.parametrize(
    "slow", and_heavy([(), (0, 1, 5)], [((0,),), (tuple(range(0, 900, 100)),)])
)
def test_no_element_waits_uncalled_for_the_next(
    call: Any, backend: Any, slow: tuple[int, ...]
) -> None:
    """As in a plain loop: an element may depend on all calls before, however they go."""
    called: list[int] = []
    stays_here = threading.Lock()  # does not travel

    def items() -> Iterator[int]:
        for x in range(1000):
            if len(called) < x:  # some may be called elsewhere
                workloads.wait_until(lambda: len(called) == x)  # noqa: B023 - at once
            yield x

    def fn(x: int) -> int:
        if x in slow:
            workloads.spin(0.002)
        with stays_here:
            called.append(x)
        return x

    assert list(call(fn, items(), backend=backend)) == list(range(1000))


@pytest.mark.parametrize("backend", ["serial", None])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [0, 1, 700])
def test_what_came_before_the_input_raised_is_called(
    backend: Any, error: type[BaseException], at: int
) -> None:
    """Nothing is lost of what the input gave, and its error is no item's."""
    called: list[int] = []

    def items() -> Iterator[int]:
        yield from range(at)
        raise error("input")

    with pytest.raises(error, match="input") as caught:
        run_parallel(called.append, items(), backend=backend)

    assert called == list(range(at))
    assert not getattr(caught.value, "__notes__", None), "no item has raised it"


@pytest.mark.measures
@pytest.mark.parametrize("call", [run_parallel, stream_parallel])
def test_a_slow_input_is_not_taken_for_slow_calls(call: Any) -> None:
    """The time that a generator takes is its own, also where it gets slow later."""

    def items() -> Iterator[int]:
        for x in range(400):
            if x % 100 > 95:
                workloads.spin(0.004)
            yield x

    results = call(workloads.same, items())
    assert list(results) == list(range(400))
    report = results.report
    # Where the machine stood still the last few items are measured again, and then
    # none is left.
    assert report.reasons[0].rule == "tiny", report.explain()
    assert set(report.on) == {"serial"}, report.explain()


@pytest.mark.measures
def test_a_cold_start_does_not_send_a_stream_elsewhere() -> None:
    """A first call that imports something says nothing of those that follow."""
    cold = [True]

    def fn(x: int) -> int:
        if cold:
            cold.clear()
            workloads.spin(0.01)
        return x

    stream = stream_parallel(fn, iter(range(1000)))
    assert list(stream) == list(range(1000))
    assert stream.report.plan.rule == "tiny", stream.report.explain()


# -- input of every sort ------------------------------------------------------------------


INPUTS: dict[str, Any] = {
    "empty list": [],
    "empty iterator": iter(()),
    "one item": ["only"],
    "string": "hello",
    "bytes": b"abc",
    "tuple": (1, "b", None),
    "dictionary": {"a": 1, "b": 2},
    "items of a dictionary": {"a": 1, "b": 2}.items(),
    "set": {1, 2, 3},
    "range": range(5, 50, 7),
    "generator": None,
    "by index": workloads.ByIndex(4),
    "length too small": workloads.Claims(3, range(10)),
    "length too large": workloads.Claims(10, range(3)),
    "length zero": workloads.Claims(0, range(3)),
    "length that raises": workloads.Claims(None, range(3)),
}


@each_backend
@pytest.mark.parametrize("sort", INPUTS)
def test_input_of_every_sort(backend: Any, sort: str) -> None:
    """What can be iterated can be input."""

    def items() -> Any:
        return (n for n in range(9)) if INPUTS[sort] is None else INPUTS[sort]

    expected = list(items())
    fn = workloads.on(backend, workloads.same)

    assert run_parallel(fn, items(), backend=backend) == expected
    assert list(stream_parallel(fn, items(), backend=backend)) == expected


@each_backend
def test_arrays(backend: Any) -> None:
    """Rows of an array are items like others."""
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12).reshape(4, 3)

    rows = run_parallel(workloads.on(backend, workloads.same), array, backend=backend)
    numbers = run_parallel(workloads.on(backend, float), array[0], backend=backend)

    assert numpy.array_equal(numpy.stack(rows), array)
    assert numbers == [0.0, 1.0, 2.0]


def test_a_range_beyond_any_length() -> None:
    """Its `len` raises OverflowError; it can be streamed all the same."""
    with stream_parallel(workloads.same, range(10**30)) as stream:
        assert [next(stream) for _ in range(3)] == [0, 1, 2]


@each_backend
@few
@hypothesis.given(
    first=st.lists(st.integers(), max_size=30),
    second=st.lists(st.integers(), max_size=30),
    lazy=st.booleans(),
)
def test_several_iterables(
    backend: Any, first: list[int], second: list[int], lazy: bool
) -> None:
    """The shortest one ends the run, as with `map`."""
    results = run_parallel(
        workloads.on(backend, workloads.add),
        iter(first) if lazy else first,
        second,
        backend=backend,
    )

    assert results == list(map(workloads.add, first, second))


def test_an_iterable_twice() -> None:
    """One iterator in two places gives its items in turn, as with `map`."""
    items = iter(range(7))

    assert run_parallel(workloads.add, items, items) == [1, 5, 9]


# -- what is kept --------------------------------------------------------------------------


class Kept:
    """Something that can be seen to go."""

    def __init__(self, x: Any = None) -> None:
        self.x = x


@pytest.mark.parametrize("backend", ["serial", "threads", "event_loop", None])
@pytest.mark.parametrize("call", ["run", "stream", "failing"])
def test_nothing_is_kept_after_a_run(backend: Any, call: str) -> None:
    """A pool that stays open keeps neither items nor results alive."""
    refs: list[weakref.ref[Kept]] = []

    def fn(item: Kept) -> Kept:
        result = Kept()
        refs.append(weakref.ref(result))
        if call == "failing" and len(refs) == 5:
            raise ValueError(result)
        return result

    def go(pool: SmartPool) -> None:
        items = [Kept() for _ in range(10)]
        refs.extend(weakref.ref(item) for item in items)
        taken = workloads.on(backend, fn)
        if call == "stream":
            for _ in pool.stream_parallel(taken, items, backend=backend):
                pass
            return
        with contextlib.suppress(ValueError):
            pool.run_parallel(taken, items, backend=backend)

    with SmartPool(max_workers=2) as pool:
        go(pool)
        workloads.wait_until(
            lambda: gc.collect() >= 0 and not any(ref() for ref in refs), 5.0
        )


@each_backend
def test_an_abandoned_stream_is_cleaned_up(backend: Any, tmp_path: Path) -> None:
    """A stream that is dropped without `close` ends: nothing is called any more."""
    path = str(tmp_path / "calls")
    with SmartPool(max_workers=2) as pool:
        stream = pool.stream_parallel(
            workloads.on(backend, partial(delayed, path, 1)),
            itertools.count(),
            backend=backend,
        )
        for _ in range(5):
            next(stream)
        gone = weakref.ref(stream)

        del stream
        gc.collect()

        assert gone() is None
        engine = pool._pool.engine()
        workloads.wait_until(lambda: not engine._runs)
        pool.run_parallel(workloads.on(backend, abs), range(4), backend=backend)


def test_a_stream_on_another_thread() -> None:
    """It may be made on one thread and read, and closed, on another."""
    results: list[int] = []
    stream = stream_parallel(workloads.same, range(300), backend="threads")
    assert next(stream) == 0

    def read() -> None:
        with stream:
            results.extend(stream)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(workloads.DEADLINE_S)

    assert results == list(range(1, 300))
