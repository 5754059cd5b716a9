"""End to end: calls whose answer the caller reads, whatever comes in between."""

from __future__ import annotations

import gc
import logging
import os
import select
import selectors
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from smartpool import PoolClosedError, SmartPool, WorkerCrashError
from smartpool._executor.future import CallFuture
from smartpool._run.direct import Directs
from smartpool._run.engine import Engine
from tests import called, submitted, workloads
from tests.heavy import and_heavy
from tests.test_pool import TOO_LATE, interrupts_later_and_later, processes_of

HANG_S = 30.0
SOON_S = 5.0
"""A call that is handed to the engine is over soon after it could be."""

pytestmark = pytest.mark.skipif(
    not (hasattr(select, "epoll") and hasattr(os, "eventfd")),
    reason="callers listen to workers on Linux alone",
)


each_step = pytest.mark.parametrize("step", and_heavy([4], [1]))


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    """One worker, which is up, and has what is called here."""
    with SmartPool(1) as pool:
        for fn in (submitted.same, workloads.mark_and_wait):
            submit(pool, fn, *arguments(fn)).result(HANG_S)
        yield pool


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        threads.submit(int).result()
        yield threads


def arguments(fn: Any) -> tuple[Any, ...]:
    """Return arguments with which `fn` returns at once."""
    return (1,) if fn is submitted.same else (os.devnull, os.devnull, 1)


def submit(pool: SmartPool, fn: Any, *args: Any) -> CallFuture[Any]:
    """Submit where no context variable of other tests has to go along."""
    return Context().run(pool.submit, fn, *args)


def engine_of(pool: SmartPool) -> Engine:
    return pool._pool.engine()


def until_led(pool: SmartPool) -> None:
    """Wait until a caller listens to a worker."""
    directs = engine_of(pool)._directs
    workloads.wait_until(lambda: directs._leader is not None)


class Waiting:
    """A call that waits for a file, and a thread that waits for the call."""

    def __init__(
        self, pool: SmartPool, folder: Path, threads: ThreadPoolExecutor
    ) -> None:
        self.began, self.release = folder / "began", folder / "release"
        self.call: CallFuture[int] = submit(
            pool, workloads.mark_and_wait, str(self.began), str(self.release), 7
        )
        self.waiter = threads.submit(self.call.result, HANG_S)
        until_led(pool)


@pytest.fixture
def waiting(
    pool: SmartPool, tmp_path: Path, elsewhere: ThreadPoolExecutor
) -> Iterator[Waiting]:
    waiting = Waiting(pool, tmp_path, elsewhere)
    yield waiting
    waiting.release.touch()


def test_the_engine_sees_nothing_of_it(
    pool: SmartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the call nor of its answer, as a rule, if nothing else goes on.

    An answer may be quicker than the caller is in waiting for it.
    """
    directs = engine_of(pool)._directs
    taken, take = list[bool](), directs._take

    def noted(*call: Any) -> bool:
        taken.append(take(*call))
        return taken[-1]

    monkeypatch.setattr(directs, "_take", noted)

    results = [submit(pool, submitted.same, n).result() for n in range(50)]

    assert results == list(range(50))
    assert taken.count(True) >= 25
    assert engine_of(pool).warm_workers() == 1


@pytest.mark.parametrize("size", [0, 1000, 5000, 100_000, 3_000_000])
def test_results_of_any_size(pool: SmartPool, size: int) -> None:
    """What is too large to be read by the caller is read by the engine."""
    for _ in range(3):
        data = os.urandom(size)
        assert submit(pool, submitted.same, data).result(HANG_S) == data


def test_errors(pool: SmartPool) -> None:
    """What the call raises is raised, with its worker's traceback, and costs no other."""
    for _ in range(3):
        with pytest.raises(ValueError, match="on purpose") as caught:
            submit(pool, submitted.fail, ValueError).result()
        assert "submitted.py" in str(caught.value.__cause__ or caught.getrepr())
        assert submit(pool, submitted.same, 2).result() == 2


def test_what_is_said_comes_first(pool: SmartPool, caplog: Any) -> None:
    """A log record that was made during the call has been handled before its end."""
    logger = logging.getLogger("tests.direct")
    for n in range(5):
        submit(pool, logger.warning, "call %s", n).result(HANG_S)
        assert [record.getMessage() for record in caplog.records] == [
            f"call {k}" for k in range(n + 1)
        ]


def test_a_time_that_is_too_short(waiting: Waiting) -> None:
    """The wait ends, and the call goes on."""
    with pytest.raises(TimeoutError):
        waiting.call.result(0.01)
    with pytest.raises(TimeoutError):
        waiting.call.exception(0)
    waiting.release.touch()
    assert waiting.call.result(HANG_S) == 7
    assert waiting.waiter.result(HANG_S) == 7


def test_two_wait_for_it(waiting: Waiting, elsewhere: ThreadPoolExecutor) -> None:
    """Both have the result, the one who led and the one who came later."""
    other = elsewhere.submit(waiting.call.result, HANG_S)
    waiting.release.touch()

    assert (other.result(SOON_S), waiting.waiter.result(SOON_S)) == (7, 7)


def test_others_are_told(waiting: Waiting) -> None:
    """Callbacks, and those who wait for several: also those that came meanwhile."""
    seen: list[int] = []
    waiting.call.add_done_callback(lambda one: seen.append(one.result()))
    waiting.release.touch()

    assert wait([waiting.call], SOON_S).not_done == set()
    workloads.wait_until(lambda: seen == [7])


def test_a_run_meanwhile(waiting: Waiting, pool: SmartPool) -> None:
    """The engine takes the call over: it holds the one worker, and the run waits."""
    released = threading.Timer(0.1, waiting.release.touch)
    released.start()
    results = pool.run_parallel(
        submitted.same, range(20), backend="processes", max_workers=1
    )
    released.join()

    assert results == list(range(20))
    assert waiting.waiter.result(SOON_S) == 7


def test_another_call_meanwhile(waiting: Waiting, pool: SmartPool) -> None:
    """It waits for the worker, and has it next."""
    call = submit(pool, submitted.same, 8)
    waiting.release.touch()

    assert call.result(SOON_S) == 8
    assert waiting.waiter.result(SOON_S) == 7


def test_it_is_cancelled(waiting: Waiting, pool: SmartPool) -> None:
    """Its worker is ended, and who waits for it is told at once."""
    assert waiting.call.running()
    assert waiting.call.cancel()

    assert isinstance(waiting.waiter.exception(SOON_S), BaseException)
    assert waiting.call.cancelled()
    assert submit(pool, submitted.same, 4).result(HANG_S) == 4


def test_its_worker_dies(waiting: Waiting, pool: SmartPool) -> None:
    """Which is its outcome, soon; the next call has another worker."""
    (pid,) = processes_of(pool).worker_pids()
    workloads.until_exists(str(waiting.began))
    os.kill(pid, signal.SIGKILL)

    error = waiting.waiter.exception(SOON_S)
    assert isinstance(error, WorkerCrashError)
    assert error.signal == "SIGKILL"
    assert submit(pool, submitted.same, 4).result(HANG_S) == 4


def test_the_pool_is_closed(waiting: Waiting, pool: SmartPool) -> None:
    """The call has failed, and who waits for it knows."""
    pool.close()

    assert isinstance(waiting.waiter.exception(SOON_S), PoolClosedError)


def test_many_threads() -> None:
    """One of them leads, and all are served."""
    with SmartPool(2) as pool, ThreadPoolExecutor(8) as threads:

        def call(n: int) -> int:
            result: int = submit(pool, submitted.same, n).result(HANG_S)
            return result

        assert list(threads.map(call, range(2000))) == list(range(2000))
        assert engine_of(pool)._directs._leader is None


def test_nothing_is_kept(pool: SmartPool) -> None:
    """An answer that was read leaves nothing behind for the collector."""
    submit(pool, submitted.same, 1).result()
    gc.collect()
    gc.disable()
    try:
        for n in range(100):
            submit(pool, submitted.same, n).result()
        assert gc.collect() < 10  # none a call
    finally:
        gc.enable()


@each_step
def test_an_interrupt_at_any_moment(step: int) -> None:
    """The call has its outcome all the same, and no worker is lost."""
    at = 0
    with SmartPool(1) as pool:
        for fn in (submitted.same, submitted.a_millisecond):
            submit(pool, fn, 0).result(HANG_S)
        for at, moment in interrupts_later_and_later(step):
            call = submit(pool, submitted.a_millisecond, at)
            try:
                with moment:
                    call.result()
            except KeyboardInterrupt:
                pass

            assert call.result(HANG_S) == at
            assert submit(pool, submitted.same, -at).result(HANG_S) == -at
            assert engine_of(pool)._directs._leader is None

    assert at > 30 + TOO_LATE * step  # it was interrupted at many of them


@each_step
def test_an_interrupt_at_any_moment_of_submit(step: int) -> None:
    """Whatever has been sent by then, no worker is lost."""
    at = 0
    with SmartPool(1) as pool:
        submit(pool, submitted.same, 0).result(HANG_S)
        for at, moment in interrupts_later_and_later(step):
            try:
                with moment:
                    call = submit(pool, submitted.same, at)
                assert call.result(HANG_S) == at
            except KeyboardInterrupt:
                pass

            assert submit(pool, submitted.same, -at).result(HANG_S) == -at

    assert at > 50 + TOO_LATE * step


@pytest.mark.parametrize("refused", ["eventfd", "selector"])
def test_where_callers_cannot_listen(
    refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine reads all answers, as on other systems."""
    if refused == "eventfd":
        monkeypatch.delattr(os, "eventfd")
    else:
        monkeypatch.setattr(selectors, "DefaultSelector", selectors.PollSelector)
    led: list[object] = []
    monkeypatch.setattr(Directs, "_listen", lambda *_: led.append(_))
    with SmartPool(1) as pool:
        for n in range(5):
            assert submit(pool, submitted.same, n).result(HANG_S) == n

    assert led == []


def test_a_descriptor_that_cannot_be_had(
    pool: SmartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are too many open files the engine reads the answer."""

    def refuse(*_: int) -> int:
        raise OSError("too many open files")

    monkeypatch.setattr(os, "eventfd", refuse)
    engine_of(pool)._directs.close()

    assert submit(pool, submitted.same, 5).result(HANG_S) == 5


def test_signals_while_it_is_waited_for(waiting: Waiting, pool: SmartPool) -> None:
    """A handler that makes a call itself gets its result, and so does the other."""
    seen: list[int] = []

    def handle(*_: object) -> None:
        seen.append(submit(pool, submitted.same, 5).result(HANG_S))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        signalled = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        released = threading.Timer(0.2, waiting.release.touch)
        signalled.start()
        released.start()
        assert waiting.call.result(HANG_S) == 7
        workloads.wait_until(lambda: seen == [5])
    finally:
        signal.signal(signal.SIGUSR1, before)
    signalled.join()
    released.join()


def test_calls_of_what_dies(pool: SmartPool) -> None:
    """Each is its own call's outcome."""
    for n in range(3):
        error = submit(pool, called.exit_at_once, n).exception(HANG_S)
        assert isinstance(error, WorkerCrashError)
    assert submit(pool, submitted.same, 1).result(HANG_S) == 1
