"""Event loops: what users' tasks do to them, what blocks them, which one is chosen."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smartpool import SmartPool, run_parallel
from smartpool._backends import event_loop as module
from smartpool._backends.event_loop import EventLoop
from smartpool._errors import SmartPoolError
from smartpool._outcome import Error
from tests import workloads
from tests.hosts import Bench
from tests.test_pool import HANG_S

SOON_S = 5 * 1.0
"""A loop that is blocked is waited for 0.3 s, or 0.8 s with the grace of an error."""

Call = Callable[[Any], Coroutine[Any, Any, Any]]


class Gate:
    """Holds calls until it is opened."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.opened = threading.Event()

    def block(self, x: Any) -> Any:
        """Say that the call has begun, and block its thread."""
        self.began.set()
        assert self.opened.wait(workloads.DEADLINE_S)
        return x

    async def block_async(self, x: Any) -> Any:
        return self.block(x)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(EventLoop)
    yield bench
    bench.close()


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    with SmartPool() as pool:
        yield pool


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


async def thread(_: Any) -> threading.Thread:
    return threading.current_thread()


def raising(make: Callable[[], BaseException]) -> None:
    raise make()


def break_loop() -> None:
    """Have the running loop raise, as one does whose descriptors somebody closed."""
    loop: Any = asyncio.get_running_loop()
    loop._run_once = partial(raising, partial(OSError, "bad"))


def told(record: list[dict[str, Any]]) -> None:
    """Have what the running loop tells of errors put into `record`."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: record.append(context))


# -- what users' tasks and callbacks do to the loop ----------------------------------------

exits = pytest.mark.parametrize("make", [SystemExit, KeyboardInterrupt])


@exits
def test_an_exit_in_a_task_of_an_item(make: Any, pool: SmartPool) -> None:
    """It is the error of the item that awaits that task, and ends nothing else."""

    async def fn(x: int) -> int:
        async def sub() -> int:
            await asyncio.sleep(0)
            return workloads.fail_at(1, make, x)

        return await asyncio.create_task(sub())

    before = pool.run_parallel(thread, [0])
    with pytest.raises(make):
        pool.run_parallel(fn, range(3))

    assert pool.run_parallel(thread, [0]) == before


@exits
def test_an_exit_in_a_callback(make: Any, pool: SmartPool) -> None:
    """It belongs to no item: the loop's exception handler is told, and all goes on."""
    record: list[dict[str, Any]] = []

    async def fn(x: int) -> int:
        told(record)
        asyncio.get_running_loop().call_soon(raising, make)
        await asyncio.sleep(0.01)
        return x

    assert pool.run_parallel(fn, range(3)) == [0, 1, 2]
    assert [type(context["exception"]) for context in record] == [make] * 3
    assert pool.run_parallel(workloads.same_async, range(3)) == [0, 1, 2]


def test_an_exit_in_the_exception_handler(pool: SmartPool) -> None:
    """A handler that does the same again does not end the loop either."""

    async def fn(x: int) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: raising(SystemExit))
        loop.call_soon(raising, ValueError)
        loop.call_soon(raising, SystemExit)
        await asyncio.sleep(0.01)
        return x

    assert pool.run_parallel(fn, range(3)) == [0, 1, 2]


def test_stopping_the_loop(pool: SmartPool) -> None:
    """It is not the user's to stop: it goes on with the calls that are on their way."""

    async def fn(x: int) -> int:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return x

    before = pool.run_parallel(thread, [0])
    assert pool.run_parallel(fn, range(5)) == list(range(5))
    assert pool.run_parallel(thread, [0]) == before


def test_an_exit_leaves_other_runs_alone(
    pool: SmartPool, tmp_path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    """Calls of another run on the same loop go on."""
    began, release = tmp_path / "began", tmp_path / "release"
    other = partial(workloads.mark_and_wait_async, str(began), str(release))
    future = elsewhere.submit(pool.run_parallel, other, range(3))
    workloads.wait_until(lambda: len(workloads.lines(began)) == 3)

    async def exits(_: Any) -> None:
        await asyncio.gather(asyncio.create_task(leave()))

    with pytest.raises(SystemExit):
        pool.run_parallel(exits, [0])
    release.touch()

    assert future.result(HANG_S) == [0, 1, 2]


async def leave() -> None:
    sys.exit(3)


def test_an_exit_while_the_loop_ends(tmp_path: Path) -> None:
    """Tasks that are cancelled at the end may exit: the others are cancelled as well."""
    path = str(tmp_path / "cancelled")
    kept: list[asyncio.Task[None]] = []

    async def stays(n: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            workloads.append(path, n)
            if n == 0:
                sys.exit()

    async def fn(_: Any) -> None:
        kept.extend(asyncio.create_task(stays(n)) for n in range(3))
        await asyncio.sleep(0)

    with SmartPool() as pool:
        pool.run_parallel(fn, [0])

    assert sorted(workloads.lines(path)) == ["0", "1", "2"]
    assert isinstance(kept[0].exception(), SystemExit)


def test_a_broken_loop(pool: SmartPool) -> None:
    """What it was calling fails, and says why; later runs get another one."""

    async def breaks(_: Any) -> None:
        break_loop()
        await asyncio.sleep(60)

    before = pool.run_parallel(thread, [0])
    with pytest.raises(SmartPoolError, match="event loop broke") as raised:
        pool.run_parallel(breaks, [0])

    assert raised.value.__cause__ is not None
    assert pool.run_parallel(thread, [0]) != before


def test_a_run_goes_on_without_its_loop(pool: SmartPool) -> None:
    """What a broken loop has not called is called on another, once."""
    called: list[int] = []

    async def fn(x: int) -> int:
        called.append(x)
        if x == 1:
            break_loop()
            await asyncio.sleep(60)
        return x

    results = pool.run_parallel(fn, range(5), return_exceptions=True, chunksize=5)

    assert isinstance(results.pop(1), SmartPoolError)
    assert results == [0, 2, 3, 4]
    assert called == list(range(5))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks")
def test_eager_tasks(pool: SmartPool) -> None:
    """A user may set the loop's task factory: for the user's tasks, not for ours."""

    async def fn(x: int) -> int:
        factory = getattr(asyncio, "eager_task_factory")  # noqa: B009 - new in 3.12
        asyncio.get_running_loop().set_task_factory(factory)
        return await asyncio.create_task(workloads.same_async(x))

    for _ in range(2):
        assert pool.run_parallel(fn, range(50), chunksize=5) == list(range(50))


# -- calls that block the loop -----------------------------------------------------------------


def kill(bench: Bench, job: Any) -> None:
    bench.backend.cancel(job)
    bench.backend.kill(job)


def test_killing_what_a_blocked_loop_has(bench: Bench, gate: Gate) -> None:
    """The call that blocks is let go; what waits behind it was not called."""
    job = bench.job(gate.block_async, is_async=True)
    blocking = bench.chunk(job, 0, 1)
    assert gate.began.wait(workloads.DEADLINE_S)
    waiting = [bench.chunk(job, n) for n in range(3)]

    bench.host.do(lambda: kill(bench, job))

    assert bench.wait(blocking).let_go
    assert not any(bench.wait(chunk).let_go for chunk in waiting)
    assert not bench.host.outcomes


def test_what_was_finished_before_a_call_that_blocks(bench: Bench, gate: Gate) -> None:
    """It is reported when that call is let go: results are not lost."""

    async def fn(x: int) -> int:
        return gate.block(x) if x == 2 else x

    job = bench.job(fn, is_async=True)
    chunk = bench.chunk(job, *range(5))
    assert gate.began.wait(workloads.DEADLINE_S)

    bench.host.do(lambda: kill(bench, job))

    assert bench.wait(chunk).let_go
    assert bench.wait(chunk).calls == 2
    assert not any(isinstance(one, Error) for one in bench.outcomes(chunk))


def test_a_blocked_loop_is_left_alone(bench: Bench, gate: Gate) -> None:
    """Later jobs get another one, until it comes back to itself."""
    job = bench.job(gate.block_async, is_async=True)
    chunk = bench.chunk(job, 0)
    assert gate.began.wait(workloads.DEADLINE_S)
    bench.host.do(lambda: kill(bench, job))
    bench.wait(chunk)

    later = bench.job(workloads.same_async, is_async=True)
    assert later.function is not job.function
    assert bench.map(later, 7) == [7]

    gate.opened.set()
    workloads.wait_until(lambda: not job.function.blocked)
    assert bench.job(workloads.same_async, is_async=True).function is job.function


def test_what_was_let_go_is_cancelled_later(bench: Bench, gate: Gate) -> None:
    """When the loop comes back to itself, nothing of the job goes on there."""
    ended = list[int]()

    async def fn(x: int) -> None:
        try:
            if x == 1:
                gate.block(x)
            await asyncio.sleep(60)
        finally:
            ended.append(x)

    job = bench.job(fn, is_async=True)
    chunks = [bench.chunk(job, n) for n in range(2)]
    assert gate.began.wait(workloads.DEADLINE_S)
    bench.host.do(lambda: kill(bench, job))
    assert [bench.wait(chunk).let_go for chunk in chunks] == [True, True]

    gate.opened.set()

    workloads.wait_until(lambda: sorted(ended) == [0, 1])


def test_an_error_while_a_call_blocks_the_loop(pool: SmartPool, gate: Gate) -> None:
    """It is raised after the grace, though that call goes on; the pool stays usable."""

    async def fn(x: int) -> int:
        if x == 0:
            await asyncio.sleep(0.01)
            raise ValueError("bad")
        await asyncio.sleep(0.02)
        return gate.block(x) if x == 1 else x

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(pool.run_parallel, fn, range(200))
        with pytest.raises(ValueError, match="bad"):
            future.result(SOON_S)
        assert pool.run_parallel(workloads.same_async, range(3)) == [0, 1, 2]
        gate.opened.set()


def test_the_report_names_what_was_let_go(pool: SmartPool, gate: Gate) -> None:
    """As for calls on threads."""

    async def fn(x: int) -> int:
        return gate.block(x) if x == 1 else x

    stream = pool.stream_parallel(fn, range(100))
    assert next(stream) == 0
    assert gate.began.wait(workloads.DEADLINE_S)
    stream.close()

    reason = stream.report.reasons[-1]
    assert (reason.rule, dict(reason.facts)) == ("let-go", {"calls": 1, "first": 1})


def test_closing_beside_a_blocked_loop(
    gate: Gate, elsewhere: ThreadPoolExecutor
) -> None:
    """It waits for a moment, and the loop ends when it can."""
    pool = SmartPool()
    future = elsewhere.submit(pool.run_parallel, gate.block_async, range(3))
    assert gate.began.wait(workloads.DEADLINE_S)

    elsewhere.submit(pool.close).result(SOON_S)

    with pytest.raises(SmartPoolError):
        future.result(SOON_S)
    gate.opened.set()  # that the thread goes is checked after each test


# -- which loop ---------------------------------------------------------------------------------


def in_threads(fn: Call, x: int) -> list[Any]:
    """A plain function, called on our threads, that starts a run of coroutines."""
    return list(run_parallel(fn, [x, x]))


def on_a_bare_thread(fn: Call, x: int) -> list[Any]:
    """The same on a thread that does not inherit context variables."""
    with ThreadPoolExecutor(1) as executor:
        return list(executor.submit(run_parallel, fn, [x, x]).result())


@pytest.mark.parametrize("through", [in_threads, on_a_bare_thread])
@pytest.mark.parametrize("depth", [1, 2])
def test_nested_through_threads(
    through: Any,
    depth: int,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loop that is blocked until a run is over does not have to call that run."""
    patience_s = 0.1 if through is on_a_bare_thread else HANG_S
    monkeypatch.setattr(module, "PATIENCE_S", patience_s)

    async def call(depth: int, x: int) -> Any:
        if depth == 0:
            return x
        fn = partial(through, partial(call, depth - 1))
        return list(run_parallel(fn, [x, x], backend="threads"))

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it blocks the loop: that is the point
            return run_parallel(partial(call, depth), [1])

    results = elsewhere.submit(run).result(HANG_S)

    expected: Any = 1
    for _ in range(depth):
        expected = [[expected, expected], [expected, expected]]
    assert results == [expected]


def test_a_run_leaves_a_loop_that_does_not_begin_it(
    pool: SmartPool, gate: Gate, elsewhere: ThreadPoolExecutor
) -> None:
    """Whatever blocks it: nothing of the run is bound to that loop yet."""
    future = elsewhere.submit(pool.run_parallel, gate.block_async, [0])
    assert gate.began.wait(workloads.DEADLINE_S)

    other = elsewhere.submit(pool.run_parallel, workloads.same_async, range(500))

    assert other.result(HANG_S) == list(range(500))
    gate.opened.set()
    assert future.result(HANG_S) == [0]


def test_where_there_is_no_other_loop(
    pool: SmartPool,
    gate: Gate,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run waits for its own when no thread is to be had; a new run says so."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    tried = threading.Event()

    start = threading.Thread.start

    def start_others(self: threading.Thread) -> None:
        if self.name == "smartpool-event-loop":
            tried.set()
            raise RuntimeError("can't start new thread")
        start(self)

    future = elsewhere.submit(pool.run_parallel, gate.block_async, [0])
    assert gate.began.wait(workloads.DEADLINE_S)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_others)
        other = elsewhere.submit(pool.run_parallel, workloads.same_async, range(5))
        assert tried.wait(workloads.DEADLINE_S)
        with SmartPool() as fresh, pytest.raises(RuntimeError, match="new thread"):
            fresh.run_parallel(workloads.same_async, [0])
    gate.opened.set()

    assert other.result(HANG_S) == list(range(5))
    assert future.result(HANG_S) == [0]


def test_no_loop_is_made_after_the_end() -> None:
    """A run that began while its pool was closed leaves no thread behind."""
    bench = Bench(EventLoop)
    bench.close()

    with pytest.raises(SmartPoolError, match="closed"):
        bench.job(workloads.same_async, is_async=True)
