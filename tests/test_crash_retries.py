"""End to end: a crash costs one item, and `crash_retries` call it again, alone."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from smartpool import (
    SmartPool,
    WorkerCrashError,
    completed,
    run_parallel,
    stream_parallel,
)
from smartpool._backends.base import Item
from smartpool._run.dispatcher import Dispatcher
from tests import called, workloads
from tests.heavy import and_heavy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")

Deadly = Callable[[Any], Any]

DEATHS: list[tuple[Deadly, int | None, str | None]] = [
    (called.sigkill, None, "SIGKILL"),
    (called.segfault, None, "SIGSEGV"),
    (called.exit_at_once, 7, None),
    (called.abort, None, "SIGABRT"),
    (called.overflow_stack_in_c, None, "SIGSEGV"),
]
each_death = pytest.mark.parametrize(
    ("death", "code", "name"), DEATHS, ids=[death.__name__ for death, _, _ in DEATHS]
)
mostly_heavy = pytest.mark.parametrize(
    ("death", "code", "name"), and_heavy(DEATHS[:1], DEATHS[1:])
)
each_size = pytest.mark.parametrize("chunksize", and_heavy([8], [None, 1]))


def dies_until(path: str, times: int, death: Deadly, x: int) -> int:
    """Die in the first `times` calls of item 3; mark each call."""
    workloads.append(path, x)
    if x == 3 and workloads.lines(path).count("3") <= times:
        death(x)
    return x


@each_death
@each_size
@pytest.mark.parametrize("way", and_heavy(["run"], ["stream"]))
def test_seven_of_eight_are_there(
    way: str, chunksize: int | None, death: Deadly, code: int | None, name: str | None
) -> None:
    """However the worker of the one dies, and wherever it stands in its chunk."""
    fn = called.at(3, death)
    options: dict[str, Any] = {
        "backend": "processes",
        "chunksize": chunksize,
        "return_exceptions": True,
    }

    if way == "run":
        results = list(run_parallel(fn, range(8), **options))
    else:
        with stream_parallel(fn, range(8), **options) as stream:
            results = list(stream)

    error = results.pop(3)
    assert results == [0, 1, 2, 4, 5, 6, 7]
    assert isinstance(error, WorkerCrashError)
    assert (error.index, error.exit_code, error.signal) == (3, code, name)
    assert error.calls == 1


@mostly_heavy
@each_size
def test_it_is_called_again(
    tmp_path: Any,
    chunksize: int | None,
    death: Deadly,
    code: int | None,
    name: str | None,
) -> None:
    """As often as was asked for, and no other item is."""
    path = str(tmp_path / "calls")
    fn = partial(dies_until, path, 2, death)

    results = run_parallel(fn, range(8), crash_retries=2, chunksize=chunksize)

    assert results == list(range(8))
    calls = Counter(workloads.lines(path))
    assert calls == {str(x): 3 if x == 3 else 1 for x in range(8)}
    reason = results.report.reasons[-1]
    assert reason.rule == "called-again"
    assert dict(reason.facts) == {"items": 1, "first": 3, "deaths": 2}
    assert "item 3 was called again" in reason.text
    assert results.report.items == 8


def test_it_is_given_up(tmp_path: Any) -> None:
    """An item that crashes every time fails in the end, and says how often."""
    path = str(tmp_path / "calls")
    fn = partial(dies_until, path, 100, called.sigkill)

    with pytest.raises(WorkerCrashError, match="called 3 times") as caught:
        run_parallel(fn, range(8), crash_retries=2)

    assert (caught.value.index, caught.value.calls) == (3, 3)
    assert workloads.lines(path).count("3") == 3
    assert 3 not in completed(caught.value)
    assert caught.value.__notes__ == ["smartpool: item 3: 3"]


@pytest.mark.parametrize("ordered", [True, False])
def test_in_a_stream(tmp_path: Any, ordered: bool) -> None:
    """Results of a stream come in its order, with those that were called again."""
    path = str(tmp_path / "calls")
    fn = partial(dies_until, path, 1, called.sigkill)

    with stream_parallel(
        fn, range(40), ordered=ordered, crash_retries=1, chunksize=5
    ) as stream:
        results = list(stream)

    assert (results if ordered else sorted(results)) == list(range(40))
    assert stream.report.reasons[-1].rule == "called-again"


def test_it_is_alone_in_its_chunk() -> None:
    """Neither those before it nor those after it travel with it."""
    items = [Item(index, (index,), b"") for index in range(5)]
    items[2].crashes = 1
    dispatcher = Dispatcher()
    dispatcher.feed(items)

    taken = [dispatcher.take(8, 1 << 20) for _ in range(3)]

    assert [[one.index for one in chunk] for chunk in taken] == [[0, 1], [2], [3, 4]]


def test_each_time_in_another_worker(tmp_path: Any) -> None:
    """Those after it in its chunk are called meanwhile, once."""
    path = str(tmp_path / "calls")

    def fn(x: int) -> int:
        workloads.append(path, f"{x}:{os.getpid()}")
        if x == 3:
            called.sigkill(x)
        return x

    results = run_parallel(
        fn, range(8), crash_retries=3, chunksize=8, return_exceptions=True
    )

    calls = [line.split(":") for line in workloads.lines(path)]
    pids = [pid for x, pid in calls if x == "3"]
    assert len(set(pids)) == len(pids) == 4
    assert Counter(x for x, _ in calls if x != "3") == dict.fromkeys("0124567", 1)
    assert [one for one in results if one != results[3]] == [0, 1, 2, 4, 5, 6, 7]


def test_several_items(tmp_path: Any) -> None:
    """There is one reason for all of them, which names the first."""
    path = str(tmp_path / "calls")

    def fn(x: int) -> int:
        workloads.append(path, x)
        if x % 2 and workloads.lines(path).count(str(x)) == 1:
            called.exit_at_once(x)
        return x

    results = run_parallel(fn, range(8), crash_retries=1, chunksize=8, max_workers=1)

    assert results == list(range(8))
    reason = results.report.reasons[-1]
    assert dict(reason.facts) == {"items": 4, "first": 1, "deaths": 4}
    assert "4 items were called again, the first of them item 1" in reason.text


@pytest.mark.parametrize("retries", [0, 2])
def test_every_call_kills_its_worker(tmp_path: Any, retries: int) -> None:
    """It ends, each item has been called as often as it may be, and the pool lives."""
    path = str(tmp_path / "calls")

    def fn(x: int) -> int:
        workloads.append(path, x)
        called.sigkill(x)
        return x

    with SmartPool(2, backend="processes") as pool:
        results = pool.run_parallel(
            fn, range(6), crash_retries=retries, return_exceptions=True
        )

        assert all(isinstance(one, WorkerCrashError) for one in results)
        assert set(Counter(workloads.lines(path)).values()) == {retries + 1}
        assert pool.run_parallel(workloads.same, range(3)) == [0, 1, 2]


def test_a_function_that_kills_whoever_loads_it() -> None:
    """No item is at fault: it fails after a few deaths, retries or not."""
    fn = partial(called.same, called.Bad("loads", called.sigkill))

    with pytest.raises(WorkerCrashError, match="before it called an item"):
        run_parallel(fn, range(8), crash_retries=2)


@pytest.mark.parametrize("backend", ["threads", "event_loop"])
def test_threads_keep_no_crash_from_us(backend: Any) -> None:
    """Where there is no worker process, the report says what does not hold."""
    fn = workloads.on(backend, workloads.same)

    results = run_parallel(fn, range(4), backend=backend, crash_retries=1)

    assert results == [0, 1, 2, 3]
    assert "a crash is the program's" in results.report.reasons[0].text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1, ValueError, "must be 0 or greater, not -1"),
        (1.0, TypeError, r"must be a whole number, not 1\.0"),
        (True, TypeError, "must be a whole number, not True"),
        (None, TypeError, "must be a whole number, not None"),
    ],
)
def test_wrong_numbers(value: Any, error: type[Exception], text: str) -> None:
    """They fail at the call: no item has been called."""
    items: list[int] = []
    for go in (run_parallel, stream_parallel):
        with pytest.raises(error, match=f"^crash_retries {text}"):
            partial(go, items.append, [1])(crash_retries=value)

    assert items == []
