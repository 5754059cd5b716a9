"""End to end: where a crash must not be the program's, no item is called here."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from smartpool import (
    NotPicklableError,
    SmartPool,
    completed,
    run_parallel,
    stream_parallel,
)
from tests import workloads
from tests.heavy import and_heavy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are processes")

OPTIONS: list[dict[str, Any]] = [{"item_timeout": 30}, {"crash_retries": 1}]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=["time", "retries"])


def where(_: Any) -> tuple[int, str]:
    return os.getpid(), threading.current_thread().name


def where_after_a_while(_: Any) -> tuple[int, str]:
    workloads.spin(0.005)
    return where(_)


@each_option
@pytest.mark.parametrize("fn", and_heavy([where_after_a_while], [where]))
@pytest.mark.parametrize("hint", and_heavy([None], ["cpu", "nogil"]))
@pytest.mark.parametrize("length", [1, 40])
def test_no_item_is_called_here(
    options: dict[str, Any], fn: Any, hint: Any, length: int
) -> None:
    """Not to measure it, not while workers start, and not if it is tiny."""
    results = run_parallel(fn, range(length), hint=hint, **options)

    assert os.getpid() not in {pid for pid, _ in results}
    assert len(results) == length
    assert results.report.on == {"processes": length}
    (option,) = options.items()
    assert f"{option[0]}={option[1]} is kept by worker processes" in str(results.report)


@each_option
def test_nor_of_a_stream(options: dict[str, Any]) -> None:
    """An infinite one, of a generator."""

    def items() -> Iterator[int]:
        yield from count()

    with stream_parallel(where, items(), **options) as stream:
        results = list(islice(stream, 100))

    assert os.getpid() not in {pid for pid, _ in results}
    assert "serial" not in stream.report.on


def test_the_first_worker_measures() -> None:
    """What it saw decides how many there are: many for what waits, if not too many."""

    def wait(x: int) -> int:
        # What is waited for comes with time alone.
        threading.Event().wait(0.03)
        return x

    results = run_parallel(wait, range(60), item_timeout=30)

    plans = [one for one in results.report.reasons if one.rule == "isolated"]
    assert "nothing was measured" in plans[0].text
    assert "more than CPUs" in plans[-1].text
    assert results.report.plan.kind == "io"
    assert results.report.workers > 2
    assert results == list(range(60))


def test_an_item_that_cannot_travel() -> None:
    """It fails, and is not called here instead; the others are called."""
    lock = threading.Lock()
    items = [1, lock, 2]

    first, second, third = run_parallel(
        where, items, item_timeout=30, return_exceptions=True
    )

    assert isinstance(second, NotPicklableError)
    assert os.getpid() not in (first[0], third[0])
    with pytest.raises(NotPicklableError, match="item 1 cannot be pickled") as caught:
        run_parallel(where, items, crash_retries=1)
    assert 1 not in completed(caught.value)


@each_option
def test_a_function_that_cannot_travel(options: dict[str, Any]) -> None:
    """It is called on threads, none of them the caller's, and the report says so."""
    lock = threading.Lock()

    def fn(x: int) -> str:
        with lock:
            return threading.current_thread().name

    results = run_parallel(fn, range(4), **options)

    assert set(results) == {"smartpool-thread"}
    text = results.report.reasons[0].text
    assert "cannot leave this process" in text
    assert "let go and not stopped, and a crash is the program's" in text


def test_a_function_that_stores_a_global() -> None:
    """What it stores would be lost elsewhere: threads, and the report says so."""
    results = run_parallel(workloads.count_calls, range(4), item_timeout=30)

    assert results == [1, 2, 3, 4]
    assert results.report.backend == "threads"
    assert "rebinds 'calls'" in results.report.reasons[0].text


@each_option
def test_the_hint_that_it_waits(options: dict[str, Any]) -> None:
    """Threads, as it says, none of them the caller's; the report says what is lost."""
    results = run_parallel(where, range(40), hint="io", **options)

    assert {name for _, name in results} == {"smartpool-thread"}
    assert "let go and not stopped" in results.report.reasons[0].text


@each_option
def test_no_items(options: dict[str, Any]) -> None:
    """Nothing is called, and no worker is started."""
    with SmartPool() as pool:
        results = pool.run_parallel(where, [], **options)

        assert results == []
        assert results.report.plan.rule == "nothing-left"
        assert pool._pool.engine().warm_workers() == 0


def test_a_pool_with_an_initializer(tmp_path: Path) -> None:
    """It is called before any item, in the worker that calls that."""
    path = str(tmp_path / "begun")

    with SmartPool(2, initializer=workloads.append, initargs=(path, "begun")) as pool:
        results = pool.run_parallel(where, range(10))
        with pytest.raises(ValueError, match="the pool's initializer cannot be kept"):
            pool.run_parallel(where, [1], backend="serial")

    assert os.getpid() not in {pid for pid, _ in results}
    assert set(workloads.lines(path)) == {"begun"}
    assert "the pool's initializer is called in" in results.report.reasons[0].text
