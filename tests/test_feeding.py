"""End to end: input is pulled in time, no further than it may be, and none is lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smartpool import (
    NotPicklableError,
    SmartPool,
    SmartPoolError,
    run_parallel,
    stream_parallel,
)
from smartpool._decide.plan import Plan, Reason
from smartpool._drive.delivery import Delivery
from smartpool._drive.feeding import FEED_S
from tests import workloads

in_flight = pytest.mark.parametrize("backend", ["threads", "processes"])


# -- an error ends the run ----------------------------------------------------------------


@in_flight
def test_an_error_ends_the_pulling_of_slow_input(backend: Any) -> None:
    """It is seen between two items that come slowly, not after a round of them."""
    pulled: list[int] = []

    def slowly() -> Iterator[int]:
        for x in range(1000):
            pulled.append(x)
            time.sleep(2 * FEED_S)  # a slow input
            yield x

    fn = partial(workloads.fail_at, 3, partial(ValueError, "three"))
    with SmartPool(max_workers=2, backend=backend) as pool:
        pool.run_parallel(workloads.pid_after_a_while, range(4))  # warm
        with pytest.raises(ValueError, match="three"):
            pool.run_parallel(fn, slowly(), chunksize=128)

    assert len(pulled) < 4 + 100  # a round has 512 items


def fail_when_told(began: str, release: str, x: int) -> int:
    workloads.append(began, x)
    if x == 1:
        workloads.until_exists(release)
        raise ValueError(x)
    return x


@in_flight
def test_an_error_ends_a_run_that_nobody_reads(backend: Any, tmp_path: Path) -> None:
    """A reader that takes its time keeps nothing going after an error."""
    began, release = tmp_path / "began", tmp_path / "release"
    fn = partial(fail_when_told, str(began), str(release))
    with SmartPool(max_workers=2) as pool:
        stream = pool.stream_parallel(
            fn, itertools.count(), backend=backend, chunksize=1
        )
        assert next(stream) == 0
        release.touch()
        workloads.wait_until(lambda: not pool._pool.engine()._runs)
        calls = len(workloads.lines(began))

        with pytest.raises(ValueError, match="1"):
            list(stream)

    assert len(workloads.lines(began)) == calls


class Noted:
    """An item that says when it is pickled."""

    def __init__(self, pickled: list[int], number: int) -> None:
        self.pickled, self.number = pickled, number

    def __reduce__(self) -> tuple[Any, ...]:
        self.pickled.append(self.number)
        return int, (self.number,)


def test_nothing_is_pickled_after_an_item_that_cannot_be() -> None:
    """On a pinned backend that item ends the run, at once."""
    pickled: list[int] = []
    items: list[Any] = [Noted(pickled, number) for number in range(40)]
    items[3] = threading.Lock()

    with pytest.raises(NotPicklableError):
        run_parallel(workloads.same, items, backend="processes", chunksize=20)

    assert pickled == [0, 1, 2]


# -- no further than it may be ------------------------------------------------------------


@pytest.mark.parametrize("buffersize", [1, 4, 30])
def test_helping_stays_within_the_window(buffersize: int) -> None:
    """Items called here while workers start are ahead of the reader, too."""
    pulled: list[int] = []
    ahead = 0

    def counting() -> Iterator[float]:
        for number in itertools.count():
            pulled.append(number)
            yield 0.002

    with stream_parallel(
        workloads.spin, counting(), hint="cpu", max_workers=2, buffersize=buffersize
    ) as stream:
        for read, _ in enumerate(itertools.islice(stream, 120), 1):
            ahead = max(ahead, len(pulled) - read)

    assert ahead <= buffersize


# -- nothing is lost ----------------------------------------------------------------------


def wait_for_mine(folder: str, x: int) -> int:
    workloads.until_exists(f"{folder}/{x}")
    return x


def test_a_stream_moves_to_processes_in_the_middle(tmp_path: Path) -> None:
    """Items that come back while the last ones are fed are called all the same."""
    reasons = (Reason("asked", "for a test"),)
    moved = Plan("processes", 2, 2, 2, "mixed", 1, reasons)
    options: Any = {"backend": "threads", "max_workers": 4, "chunksize": 1}
    fn = partial(wait_for_mine, str(tmp_path))
    with (
        SmartPool() as pool,
        pool.stream_parallel(fn, range(11), hint="io", **options) as stream,
    ):
        (tmp_path / "0").touch()
        assert next(stream) == 0
        run = stream._drive._elsewhere.run
        assert run is not None
        (tmp_path / "1").touch()
        workloads.wait_until(lambda: run.dispatcher.settled == 2)
        processes = pool._pool.engine().backend("processes")
        processes.prepare(run.job)
        pool._pool.engine().switch(run, moved, processes)
        workloads.wait_until(lambda: run.dispatcher.pending == 0)
        assert next(stream) == 1
        for x in range(2, 11):
            (tmp_path / str(x)).touch()

        assert list(stream) == list(range(2, 11))
        assert stream.report.on["processes"] > 0


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("lost", [4, 7])
def test_a_stream_that_lost_a_result_says_so(
    monkeypatch: pytest.MonkeyPatch, ordered: bool, lost: int
) -> None:
    """Should we ever lose one, the stream does not end as if that had been all."""
    add = Delivery.add

    def lose_one(self: Delivery, indices: Any, values: list[Any]) -> None:
        kept = [(i, v) for i, v in zip(indices, values, strict=True) if i != lost]
        add(self, [i for i, _ in kept], [v for _, v in kept])

    monkeypatch.setattr(Delivery, "add", lose_one)
    got: list[int] = []

    stream = stream_parallel(
        workloads.same, range(8), backend="threads", ordered=ordered
    )
    with pytest.raises(SmartPoolError, match="a bug of smartpool"):
        got.extend(stream)
    with pytest.raises(StopIteration):
        next(stream)
