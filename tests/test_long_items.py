"""End to end: an item that goes on for long does not hold the others back."""

import threading
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from smartpool import (
    NotPicklableError,
    Results,
    completed,
    machine,
    run_parallel,
    stream_parallel,
)
from tests import workloads

PATIENCE_S = 20.0


def first_until(path: Path, count: int) -> Callable[[int], int]:
    """Return a function whose first item lasts until `count` others were called."""

    def call(x: int) -> int:
        if x == 0:
            workloads.wait_until(lambda: len(workloads.lines(path)) >= count)
        else:
            workloads.append(str(path), x)
        return x

    return call


def test_the_others_are_called_meanwhile(tmp_path: Path) -> None:
    """The first item ends only when all others have been called: no result is lost."""
    path = tmp_path / "calls"
    path.touch()

    results: Results[int] = run_parallel(first_until(path, 9), range(10))

    assert results == list(range(10))
    assert results.report.items == 10


def test_the_others_see_the_callers_context(tmp_path: Path) -> None:
    """Whoever drives the run meanwhile: context variables are of the thread that asked."""
    path = tmp_path / "calls"
    path.touch()
    wait = first_until(path, 9)
    token = workloads.VAR.set("the caller's")
    try:
        results = run_parallel(
            lambda x: (wait(x), workloads.VAR.get()), range(10), hint="io"
        )
    finally:
        workloads.VAR.reset(token)

    assert results == [(x, "the caller's") for x in range(10)]
    assert results.report.plan.backend == "threads"


def test_what_repeats_does_not_hold_them_back(tmp_path: Path) -> None:
    """An endless `repeat` beside a list is no generator: the list ends it."""
    path = tmp_path / "calls"
    path.touch()
    wait = first_until(path, 9)

    results = run_parallel(lambda x, y: wait(x) + y, range(10), repeat(100))

    assert results == list(range(100, 110))


def test_a_stream_delivers_all_of_them(tmp_path: Path) -> None:
    """Also as a stream, in order."""
    path = tmp_path / "calls"
    path.touch()

    with stream_parallel(first_until(path, 9), range(10)) as stream:
        assert list(stream) == list(range(10))


def test_an_error_meanwhile(tmp_path: Path) -> None:
    """An error of another item ends the run once the long one has ended."""
    path = tmp_path / "calls"
    path.touch()
    wait = first_until(path, 1)

    def fails(x: int) -> int:
        value = wait(x)
        if x == 1:
            raise ValueError(x)
        return value

    with pytest.raises(ValueError, match="1") as caught:
        run_parallel(fails, range(3))

    assert completed(caught.value)[0] == 0


def test_an_error_of_the_long_item() -> None:
    """The long item's own error ends the run, and the others' results are kept."""
    others = threading.Semaphore(0)

    def fails(x: int) -> int:
        if x == 0:
            for _ in range(3):
                assert others.acquire(timeout=PATIENCE_S)
            raise ValueError(x)
        others.release()
        return x

    with pytest.raises(ValueError, match="0") as caught:
        run_parallel(fails, range(4))

    assert completed(caught.value) == {1: 1, 2: 2, 3: 3}


def test_a_result_that_cannot_come_back_meanwhile(tmp_path: Path) -> None:
    """Nobody could know: the error says what to do, and no item is called twice."""
    path = tmp_path / "calls"
    path.touch()
    wait = first_until(path, 1)

    def made(x: int) -> object:
        wait(x)
        return (number for number in range(x))

    def run() -> list[object]:
        return run_parallel(made, range(20), hint="cpu")

    if machine().gil:
        with pytest.raises(NotPicklableError, match=r'generator.*backend="threads"'):
            run()
    else:
        assert len(run()) == 20
    called = workloads.lines(path)
    assert len(called) == len(set(called))
