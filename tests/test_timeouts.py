"""End to end: a run that takes longer than its `timeout` is stopped, everywhere."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from smartpool import (
    RunTimeoutError,
    SmartPool,
    SmartPoolError,
    completed,
    machine,
    run_parallel,
    stream_parallel,
)
from tests import called, workloads
from tests.heavy import and_heavy

TIMEOUT_S = 1.0
RAISED_S = 5 * (TIMEOUT_S + 1.0)
"""The promise is `timeout` and a second; the machine may be busy."""

HANG_S = 30.0

in_flight = pytest.mark.parametrize("backend", ["threads", "processes", "event_loop"])
mostly_heavy = pytest.mark.parametrize(
    "backend", and_heavy(["processes"], ["threads", "event_loop"])
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Path]:
    """A file that calls wait for: it is there in the end."""
    path = tmp_path / "release"
    yield path
    path.touch()


def waits_at(where: int, release: Path, backend: str = "") -> Callable[[int], Any]:
    """Return a function whose item `where` waits for the file `release`."""

    def wait(x: int) -> int:
        if x == where:
            workloads.until_exists(str(release))
        return x

    async def wait_async(x: int) -> int:
        import asyncio

        if x == where:
            while not release.exists():  # noqa: ASYNC110, ASYNC240 - cancelled before
                await asyncio.sleep(workloads.POLL_S)
        return x

    return wait_async if backend == "event_loop" else wait


def have_workers_up(backend: Any) -> None:
    """So that the time of a run is not over before it could begin."""
    run_parallel(
        workloads.on(backend, workloads.same), range(4), backend=backend, max_workers=2
    )


@in_flight
def test_a_run_is_stopped(backend: Any, release: Path) -> None:
    """It raises soon, with what was finished, whatever its calls do."""
    have_workers_up(backend)
    fn, began_s = waits_at(0, release, backend), time.monotonic()

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(
            fn, range(6), backend=backend, timeout=TIMEOUT_S, max_workers=2, chunksize=1
        )

    assert time.monotonic() - began_s < RAISED_S
    assert completed(caught.value) == {x: x for x in range(1, 6)}
    assert (caught.value.timeout, caught.value.finished) == (TIMEOUT_S, 5)
    assert isinstance(caught.value, SmartPoolError | TimeoutError)


@mostly_heavy
def test_what_was_stopped_is_no_result(backend: Any, release: Path) -> None:
    """Errors are results if they are asked for; what we ended is none."""
    have_workers_up(backend)
    fn = waits_at(0, release, backend)

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(
            fn,
            range(6),
            backend=backend,
            timeout=TIMEOUT_S,
            max_workers=2,
            chunksize=1,
            return_exceptions=True,
        )

    assert completed(caught.value) == {x: x for x in range(1, 6)}


@pytest.mark.parametrize("backend", ["threads", "event_loop"])
def test_a_run_that_ends_in_time_is_left_alone(backend: Any) -> None:
    """Nothing waits for its time to come: the engine's thread goes with the run."""
    fn = workloads.on(backend, workloads.same)

    assert run_parallel(fn, range(9), backend=backend, timeout=1e9) == list(range(9))

    names = {"smartpool-engine"}
    workloads.wait_until(
        lambda: not names & {thread.name for thread in threading.enumerate()}
    )


def test_serial_work_is_stopped_between_items() -> None:
    """An item that is called right here is not interrupted, and the next not begun."""
    called_items: list[int] = []

    def spin(x: int) -> int:
        called_items.append(x)
        workloads.spin(TIMEOUT_S)
        return x

    with pytest.raises(RunTimeoutError, match="1 item was finished") as caught:
        run_parallel(spin, range(9), backend="serial", timeout=TIMEOUT_S / 2)

    assert called_items == [0]
    assert completed(caught.value) == {0: 0}


def test_tiny_items_are_stopped() -> None:
    """An endless loop of what takes nanoseconds ends, too, from block to block."""
    began_s = time.monotonic()

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(abs, count(), timeout=TIMEOUT_S / 3)

    assert time.monotonic() - began_s < RAISED_S
    assert caught.value.finished == len(completed(caught.value)) > 1000


def test_the_probe_is_stopped() -> None:
    """First items are called right here: what is over time is seen between two."""
    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(lambda _: workloads.spin(0.01), range(9), timeout=0.005)

    assert 1 <= caught.value.finished < 9


@on_linux
@pytest.mark.skipif(not machine().gil, reason="without a GIL the others are threads")
def test_others_are_stopped_while_an_item_goes_on_here(tmp_path: Path) -> None:
    """A worker is ended in time; the error is raised when the caller is back."""
    path = tmp_path / "pid"

    def fn(x: int) -> int:
        if x == 0:  # here, until the worker that calls the next one has gone
            workloads.until_exists(str(path))
            workloads.wait_until(lambda: called.is_gone(int(path.read_text() or 0)))
        elif x == 1:
            called.say_pid(str(path))
            workloads.wait_until(lambda: False)
        return x

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(fn, range(4), hint="cpu", timeout=2 * TIMEOUT_S)

    assert completed(caught.value)[0] == 0
    assert 1 not in completed(caught.value)


@on_linux
def test_others_are_stopped_while_the_input_is_slow(tmp_path: Path) -> None:
    """The iterable is the caller's: nobody interrupts it, and nobody waits for it."""
    path = tmp_path / "pid"

    def items() -> Iterator[int]:
        yield 0
        workloads.until_exists(str(path))
        workloads.wait_until(lambda: called.is_gone(int(path.read_text() or 0)))
        yield from range(1, 1000)

    def fn(x: int) -> int:
        if x == 0:
            called.say_pid(str(path))
            workloads.wait_until(lambda: False)
        return x

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(fn, items(), backend="processes", timeout=TIMEOUT_S)

    assert completed(caught.value) == {}


@pytest.mark.parametrize(
    "backend", and_heavy(["processes", None], ["serial", "threads"])
)
def test_the_time_of_a_stream_begins_with_its_reader(backend: Any) -> None:
    """Not when it is made. What the reader does meanwhile counts."""
    with stream_parallel(
        workloads.same, count(), backend=backend, timeout=2 * TIMEOUT_S
    ) as stream:
        workloads.spin(2.2 * TIMEOUT_S)
        assert next(stream) == 0
        workloads.spin(2.2 * TIMEOUT_S)
        with pytest.raises(RunTimeoutError) as caught:
            for _ in stream:
                pass

    assert caught.value.finished >= 1
    with pytest.raises(StopIteration):
        next(stream)


@mostly_heavy
def test_a_stream_is_stopped(backend: Any, release: Path) -> None:
    """What comes before the item that hangs is delivered, then the error."""
    fn, read = waits_at(2, release, backend), list[int]()

    with (
        stream_parallel(
            fn,
            range(6),
            backend=backend,
            timeout=TIMEOUT_S,
            max_workers=2,
            chunksize=1,
        ) as stream,
        pytest.raises(RunTimeoutError) as caught,
    ):
        read.extend(stream)

    assert read == [0, 1]
    assert completed(caught.value) == {3: 3, 4: 4, 5: 5}
    assert caught.value.finished == 5


def test_two_runs_have_times_of_their_own(release: Path) -> None:
    """One is stopped; the other, in the same pool, goes on to its end."""
    with SmartPool(2, backend="processes") as pool, ThreadPoolExecutor(2) as threads:
        fn = waits_at(0, release)
        short = threads.submit(pool.run_parallel, fn, range(2), timeout=TIMEOUT_S)
        long = threads.submit(pool.run_parallel, fn, range(2), timeout=HANG_S)
        with pytest.raises(RunTimeoutError):
            short.result(HANG_S)
        release.touch()

        assert long.result(HANG_S) == [0, 1]


@pytest.mark.parametrize("backend", and_heavy(["processes"], ["serial", "threads"]))
def test_a_nested_run_has_a_time_of_its_own(backend: Any, tmp_path: Path) -> None:
    """Its error is the outer item's, and keeps its own count."""

    def outer(x: int) -> int:
        if x == 1:
            release = tmp_path / "release"
            fn = waits_at(3, release)
            try:
                run_parallel(
                    fn, range(4), backend="threads", timeout=TIMEOUT_S, max_workers=4
                )
            finally:
                release.touch()
        return x

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(outer, range(2), backend=backend, timeout=HANG_S)

    assert (caught.value.timeout, caught.value.finished) == (TIMEOUT_S, 3)
    assert caught.value.__notes__ == ["smartpool: item 1: 1"]


def test_an_error_in_the_grace_is_not_the_runs(tmp_path: Path) -> None:
    """Calls that are stopped have half a second: what ends then counts as finished."""
    release = tmp_path / "release"
    # Well after the run's time is up, and well before its grace is over.
    ended = threading.Timer(0.3, release.touch)
    begin = threading.Lock()

    def fn(x: int) -> int:
        if begin.acquire(blocking=False):
            ended.start()
        workloads.until_exists(str(release))
        return x

    with pytest.raises(RunTimeoutError) as caught:
        run_parallel(fn, range(2), backend="threads", timeout=0.05)
    if begin.locked():
        ended.join()

    assert caught.value.finished <= 2


@pytest.mark.parametrize("option", ["timeout", "item_timeout"])
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0, ValueError, "must be greater than 0, not 0"),
        (-1.5, ValueError, r"must be greater than 0, not -1\.5"),
        (float("nan"), ValueError, "must be greater than 0, not nan"),
        (float("inf"), ValueError, r"must be at most 1e\+09, not inf"),
        (True, TypeError, "must be a number of seconds or None, not True"),
        ("2", TypeError, "must be a number of seconds or None, not '2'"),
    ],
)
def test_wrong_times(
    option: str, value: Any, error: type[Exception], text: str
) -> None:
    """They fail at the call: no item has been called."""
    items: list[int] = []
    with SmartPool() as pool:
        for go in (run_parallel, stream_parallel, pool.run_parallel):
            with pytest.raises(error, match=f"^{option} {text}"):
                partial(go, items.append, [1])(**{option: value})

    assert items == []


def test_the_error_travels() -> None:
    """It can be pickled, with what it says, and without the results."""
    error = RunTimeoutError(2.5, 7)
    error.add_note("a note")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is RunTimeoutError
    assert (again.timeout, again.finished, again.__notes__) == (2.5, 7, ["a note"])
    assert str(again) == "the run took longer than timeout=2.5; 7 items were finished"
