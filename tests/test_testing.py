"""End to end: `smartpool.testing`, what users' own tests pin."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from smartpool import SmartPool, run_parallel, stream_parallel
from smartpool.testing import close_default_pool, inline, pin


def place(_: object) -> tuple[int, int]:
    """Return the process and the thread of a call."""
    return os.getpid(), threading.get_ident()


HERE = os.getpid()


def test_inline_is_a_plain_loop_here() -> None:
    """On the thread that asks, for each way in, whatever a call asks for."""
    here = HERE, threading.get_ident()
    with inline():
        assert run_parallel(place, range(4), backend="processes") == [here] * 4
        with stream_parallel(place, range(4), backend="threads") as stream:
            assert list(stream) == [here] * 4
        with SmartPool(backend="processes") as pool:
            results = pool.run_parallel(place, range(4))
    assert results == [here] * 4
    assert results.report.backend == "serial"


def test_pin_sends_calls_to_where_they_have_to_stand_it() -> None:
    """Also those too tiny to leave."""
    with pin("processes"):
        results = run_parallel(place, range(4))
    assert HERE not in {process for process, _ in results}
    assert results.report.plan.rule == "pinned"


def test_pin_holds_for_the_whole_program() -> None:
    """Code under test may start its runs on other threads."""
    seen: list[str] = []
    with pin("threads"):
        thread = threading.Thread(
            target=lambda: seen.append(run_parallel(place, range(4)).report.backend)
        )
        thread.start()
        thread.join()
    assert seen == ["threads"]


def test_pin_ends_with_its_block() -> None:
    """By an exception, too; the outer one holds again."""
    with pin("threads"):
        with pytest.raises(ZeroDivisionError), inline():
            _ = 1 / 0
        assert run_parallel(abs, [-1, 2]).report.backend == "threads"
    assert run_parallel(abs, [-1, 2]).report.backend == "serial"


def test_an_async_def_stays_on_its_loop() -> None:
    """It can run nowhere else."""

    async def answer(x: int) -> int:
        await asyncio.sleep(0)
        return x

    with inline():
        results = run_parallel(answer, [1, 2])
    assert results == [1, 2]
    assert results.report.backend == "event_loop"


@pytest.mark.parametrize(
    ("backend", "error"),
    [("event_loop", ValueError), ("x", ValueError), (3, TypeError)],
)
def test_what_cannot_be_pinned(backend: object, error: type[Exception]) -> None:
    """It is said before anything is pinned."""
    with pytest.raises(error, match="backend must be"), pin(backend):  # type: ignore[arg-type]
        pass
    assert run_parallel(abs, [-1]).report.backend == "serial"


def test_closing_the_default_pool_ends_its_workers() -> None:
    """And the next call makes a new one."""
    first = {process for process, _ in run_parallel(place, [1, 2], backend="processes")}
    close_default_pool()
    again = {process for process, _ in run_parallel(place, [1, 2], backend="processes")}
    assert first.isdisjoint(again)
