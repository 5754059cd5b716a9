"""End to end: `SmartPool` as an Executor, on every backend that calls elsewhere."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_EXCEPTION,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import (
    NotPicklableError,
    PoolClosedError,
    SmartPool,
    WorkerCrashError,
    machine,
)
from smartpool._executor import jobs
from smartpool._makers import Setup
from smartpool._pool import Pool
from tests import submitted, workloads
from tests.submitted import Falsey, fail, keywords
from tests.test_pool import forks, processes_of

ROOT = Path(smartpool.__file__).parent.parent
HANG_S = 30.0
SOON_S = 5.0
"""Five times the second in which an interrupt and a cancelled call have to end."""

places = pytest.mark.parametrize("backend", [None, "threads"])


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    with SmartPool(max_workers=2) as pool:
        yield pool


# -- submit ----------------------------------------------------------------------------


def test_it_is_an_executor() -> None:
    """Code that asks for one takes it."""
    assert issubclass(SmartPool, Executor)


@pytest.mark.parametrize("backend", [None, "serial", "threads", "processes"])
def test_submit(backend: Any) -> None:
    """Arguments go by position and by keyword, whatever their names are."""
    with SmartPool(2, backend=backend) as pool:
        assert pool.submit(pow, 2, 8).result(HANG_S) == 256
        future = pool.submit(keywords, 1, self=2, fn=3)
        assert future.result(HANG_S) == ((1,), {"self": 2, "fn": 3})
        assert isinstance(future, Future)
        assert pool.submit(lambda x: x + 1, 1).result(HANG_S) == 2


def test_submit_an_async_def(pool: SmartPool) -> None:
    """It is awaited on the event loop."""

    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    anything: Any = double
    assert pool.submit(anything, 4).result(HANG_S) == 8
    assert list(pool.map(anything, range(3))) == [0, 2, 4]


@places
@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, Falsey])
def test_an_error_is_the_outcome(backend: Any, error: type[BaseException]) -> None:
    """It keeps its type, and is no other call's."""
    with SmartPool(2, backend=backend) as pool:
        future = pool.submit(fail, error)

        with pytest.raises(error, match="on purpose"):
            future.result(HANG_S)
        assert isinstance(future.exception(), error)
        assert pool.submit(abs, -1).result(HANG_S) == 1


def test_what_cannot_travel_is_the_outcome(pool: SmartPool) -> None:
    """Function, arguments and results cost their call; nothing is raised by submit."""
    lock = threading.Lock()
    futures: list[Future[Any]] = [
        pool.submit(partial(submitted.same, lock)),
        pool.submit(submitted.same, lock),
        pool.submit(threading.Lock),
    ]

    for future in futures:
        assert isinstance(future.exception(HANG_S), NotPicklableError)
    assert pool.submit(abs, -1).result(HANG_S) == 1


def test_the_same_object_each_time(pool: SmartPool) -> None:
    """A result is loaded once, whoever asks and however often."""
    future = pool.submit(list, (1, 2))
    seen: list[Any] = []
    threads = [
        threading.Thread(target=lambda: seen.append(future.result(HANG_S)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)

    assert seen == [[1, 2]] * 8
    assert len({id(one) for one in seen}) == 1


def test_a_death_costs_one_call(pool: SmartPool) -> None:
    """The future of the call fails, the others do not, and the pool lives on."""
    futures = [
        pool.submit(os._exit, 3) if n == 3 else pool.submit(abs, -n) for n in range(8)
    ]

    for n, future in enumerate(futures):
        if n != 3:
            assert future.result(HANG_S) == n
    error = futures[3].exception(HANG_S)
    assert isinstance(error, WorkerCrashError)
    assert error.exit_code == 3
    assert pool.submit(abs, -9).result(HANG_S) == 9


def test_an_idle_death_costs_nothing(pool: SmartPool) -> None:
    """A worker that is killed while it waits is replaced when it is needed."""
    pid = pool.submit(os.getpid).result(HANG_S)
    os.kill(pid, signal.SIGKILL)

    for _ in range(20):
        assert pool.submit(abs, -1).result(HANG_S) == 1
    assert pool.submit(os.getpid).result(HANG_S) != pid


def test_many_threads_submit(pool: SmartPool) -> None:
    """Each of them gets its own results."""
    failures: list[object] = []

    def use(number: int) -> None:
        futures = [pool.submit(submitted.add, number, n) for n in range(50)]
        results = [future.result(HANG_S) for future in futures]
        if results != [number + n for n in range(50)]:
            failures.append(results)

    threads = [threading.Thread(target=use, args=(1000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)

    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def test_a_run_and_calls_side_by_side(pool: SmartPool) -> None:
    """Both go on, and neither waits for the end of the other.

    The run has items until the call has been answered: were the call to wait
    for the run's end, neither would ever end.
    """
    begun, answered = threading.Event(), threading.Event()
    given: list[int] = []
    results: list[Any] = []

    def items() -> Iterator[int]:
        while not answered.is_set() or len(given) < 200:
            given.append(len(given))
            if len(given) == 100:
                begun.set()
            yield given[-1]

    run = threading.Thread(
        target=lambda: results.append(
            pool.run_parallel(submitted.a_millisecond, items(), hint="cpu")
        )
    )
    run.start()
    try:
        assert begun.wait(HANG_S)
        assert pool.submit(abs, -1).result(HANG_S) == 1
        assert run.is_alive()
    finally:
        answered.set()
        run.join(HANG_S)

    assert results == [given]


def test_a_function_that_changes_is_sent_anew(pool: SmartPool) -> None:
    """What is bound to it is as it is at each call; and so is its code."""
    table = {"x": 1}
    look = partial(submitted.look_up, table, "x")
    assert pool.submit(look).result(HANG_S) == 1
    table["x"] = 2
    assert pool.submit(look).result(HANG_S) == 2


def test_more_functions_than_are_kept(
    pool: SmartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were used longest ago are made ready again."""
    monkeypatch.setattr(jobs, "KEPT", 2)
    for _ in range(3):
        assert pool.submit(abs, -1).result(HANG_S) == 1
        assert pool.submit(len, "ab").result(HANG_S) == 2
        assert pool.submit(max, 1, 3).result(HANG_S) == 3
        assert pool.submit(submitted.add, 1, 3).result(HANG_S) == 4


def test_the_directory_of_the_caller(
    pool: SmartPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warm worker calls in the directory that the caller is in at each submit."""
    before = pool.submit(os.getcwd).result(HANG_S)
    monkeypatch.chdir(tmp_path)
    assert pool.submit(os.getcwd).result(HANG_S) == str(tmp_path)
    monkeypatch.undo()
    assert pool.submit(os.getcwd).result(HANG_S) == before


def test_context_variables_on_threads() -> None:
    """A call on a thread sees those of whoever submitted it."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    def submit_twice() -> None:
        with SmartPool(2, backend="threads") as pool:
            variable.set(1)
            first = pool.submit(variable.get)
            variable.set(2)
            second = pool.submit(variable.get)
            assert (first.result(HANG_S), second.result(HANG_S)) == (1, 2)

    contextvars.copy_context().run(submit_twice)


WRONG: dict[str, Any] = {
    "initializer": {"initializer": 3},
    "initargs": {"initargs": [1]},
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda pool: pool.submit(3), "fn must be callable, not 3"),
        (lambda pool: pool.map(abs, 3), "iterables must be iterable"),
        (lambda pool: pool.map(abs, [], chunksize=0), "chunksize must be greater"),
        (
            lambda pool: pool.map(abs, [], buffersize=0),
            "buffersize must be None or > 0",
        ),
        (lambda pool: pool.map(abs, [], timeout="1"), "timeout must be a number"),
        (lambda pool: pool.shutdown(1), "wait must be True or False"),
        (lambda _: SmartPool(**WRONG["initializer"]), "initializer must be callable"),
        (lambda _: SmartPool(**WRONG["initargs"]), "initargs must be a tuple"),
        (lambda _: SmartPool(max_tasks_per_child=0), "must be greater than 0"),
        (
            lambda _: SmartPool(backend="threads", max_tasks_per_child=2),
            "max_tasks_per_child is for worker processes",
        ),
        (
            lambda _: SmartPool(backend="serial", initializer=print),
            "initializer is for workers",
        ),
        (
            lambda _: SmartPool(initializer=print, initargs=(threading.Lock(),)),
            "cannot be pickled",
        ),
    ],
)
def test_wrong_arguments(wrong: Callable[[Any], object], message: str) -> None:
    """They are refused at the call, in words."""
    with (
        SmartPool(2) as pool,
        pytest.raises((TypeError, ValueError), match=message),
    ):
        wrong(pool)


# -- map -------------------------------------------------------------------------------


@places
@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_map(backend: Any, chunksize: int) -> None:
    """Results come in input order, whatever travels together."""
    with SmartPool(2, backend=backend) as pool:
        results = pool.map(pow, range(10), range(10), chunksize=chunksize)
        assert list(results) == list(map(pow, range(10), range(10)))


def test_an_error_in_a_map_comes_when_its_turn_does(pool: SmartPool) -> None:
    """What came before is there, also of the same chunk."""
    results = pool.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5], chunksize=4)

    assert [next(results), next(results)] == [(0, 1), (0, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_death_in_a_chunk_of_a_map(pool: SmartPool) -> None:
    """Of the chunk that travelled together, one item fails; the others are there."""
    results = pool.map(submitted.exit_at_3, range(3), chunksize=8)
    assert list(results) == [0, 1, 2]
    futures = pool._pool.submitting.submit(
        submitted.exit_at_3, [((n,), None) for n in range(8)]
    )
    outcomes = [future.exception(HANG_S) or future.result() for future in futures]
    assert isinstance(outcomes.pop(3), WorkerCrashError)
    assert outcomes == [0, 1, 2, 4, 5, 6, 7]


def test_an_endless_map(pool: SmartPool) -> None:
    """With a buffer, only so many items are taken as are not yielded yet."""
    numbers = count()
    results = pool.map(str, numbers, buffersize=4)
    assert next(numbers) == 4
    assert [next(results), next(results)] == ["0", "1"]
    assert next(numbers) == 7  # 5 and 6 were taken for those two
    results.close()  # type: ignore[attr-defined]


def test_a_map_that_takes_too_long(pool: SmartPool, tmp_path: Path) -> None:
    """The iterator raises, and what is not over is ended."""
    began, release = str(tmp_path / "began"), str(tmp_path / "release")
    wait_long = partial(workloads.mark_and_wait, began, release)
    results = pool.map(wait_long, range(2), timeout=0.2)

    with pytest.raises(TimeoutError):
        next(results)
    assert pool.submit(abs, -1).result(HANG_S) == 1


# -- cancelling ------------------------------------------------------------------------


def running_call(pool: SmartPool, tmp_path: Path) -> Future[Any]:
    """Submit a call that waits, and return when it has begun."""
    began, release = tmp_path / "began", tmp_path / "release"
    future = pool.submit(workloads.mark_and_wait, str(began), str(release), 1)
    workloads.wait_until(began.exists)
    return future


def test_cancel_a_call_that_runs(pool: SmartPool, tmp_path: Path) -> None:
    """Its worker is killed, at once; the next call gets another one."""
    future = running_call(pool, tmp_path)
    workloads.wait_until(future.running)
    pids = processes_of(pool).worker_pids()

    began_s = time.monotonic()
    assert future.cancel()
    assert future.cancelled()
    assert not future.running()
    workloads.wait_until(lambda: processes_of(pool).worker_pids() != pids)
    assert time.monotonic() - began_s < SOON_S
    with pytest.raises(CancelledError):
        future.result(HANG_S)
    assert pool.submit(abs, -1).result(HANG_S) == 1


def test_cancel_what_waits(pool: SmartPool, tmp_path: Path) -> None:
    """It is never called, and those who wait for several hear of it."""
    with SmartPool(1) as one:
        first = running_call(one, tmp_path)
        second = one.submit(submitted.mark, str(tmp_path / "second"))
        third = one.submit(abs, -3)
        assert second.cancel()
        assert second.cancel()  # twice is no more
        assert set(as_completed([second], timeout=HANG_S)) == {second}
        (tmp_path / "release").touch()
        assert third.result(HANG_S) == 3
        assert first.done()
    assert not (tmp_path / "second").exists()


def test_a_call_on_a_thread_cannot_be_cancelled(tmp_path: Path) -> None:
    """As everywhere: it says so, and goes on."""
    with SmartPool(1, backend="threads") as pool:
        future = running_call(pool, tmp_path)
        assert not future.cancel()
        (tmp_path / "release").touch()
        assert future.result(HANG_S) == 1


def test_cancel_a_coroutine(pool: SmartPool) -> None:
    """It is cancelled where it waits."""
    began, ended = threading.Event(), threading.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = pool.submit(forever)
    assert began.wait(HANG_S)
    assert future.cancel()
    assert ended.wait(HANG_S)


def test_waiting_for_the_first_error(pool: SmartPool, tmp_path: Path) -> None:
    """`wait` sees an error when it comes, though it is loaded later."""
    slow = running_call(pool, tmp_path)
    failing = pool.submit(fail, ValueError)
    done = wait([slow, failing], timeout=HANG_S, return_when=FIRST_EXCEPTION).done
    (tmp_path / "release").touch()

    assert done == {failing}
    assert slow.result(HANG_S) == 1


def test_awaited_by_asyncio(pool: SmartPool) -> None:
    """`run_in_executor` and `wrap_future` work; cancelling the task ends the call."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, pow, 2, 8) == 256
        with pytest.raises(ValueError, match="on purpose"):
            await loop.run_in_executor(pool, fail, ValueError)
        future = pool.submit(time.sleep, 3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), 0.2)
        assert future.cancelled()
        assert await loop.run_in_executor(pool, abs, -1) == 1

    asyncio.run(main())


# -- callbacks -------------------------------------------------------------------------


def test_submitting_from_a_callback(pool: SmartPool) -> None:
    """It runs on a thread of its own, and may use the pool, and wait for it."""
    seen: list[Any] = []
    done = threading.Event()

    def then(future: Future[int]) -> None:
        seen.append(threading.current_thread().name)
        seen.append(pool.submit(abs, -future.result()).result(HANG_S))
        done.set()

    pool.submit(abs, -5).add_done_callback(then)

    assert done.wait(HANG_S)
    assert seen == ["smartpool-callbacks", 5]


def test_a_callback_of_what_is_over(pool: SmartPool) -> None:
    """It is called at once, right here."""
    future = pool.submit(abs, -5)
    future.result(HANG_S)
    seen: list[threading.Thread] = []

    future.add_done_callback(lambda _: seen.append(threading.current_thread()))

    assert seen == [threading.current_thread()]


def test_a_callback_that_raises(
    pool: SmartPool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged where the standard library logs it, and the next is called."""
    done = threading.Event()

    def wrong(_: object) -> None:
        raise ValueError("in a callback")

    # Held back until both are added: the call must not be over before.
    with SmartPool(1, backend="threads") as threads:
        gate = threading.Event()
        future = threads.submit(gate.wait, HANG_S)
        future.add_done_callback(wrong)
        future.add_done_callback(lambda _: done.set())
        gate.set()
        assert done.wait(HANG_S)

    assert "exception calling callback" in caplog.text
    assert "in a callback" in caplog.text


# -- initializer, and workers that are replaced --------------------------------------------


@places
def test_an_initializer(backend: Any) -> None:
    """It is called once in each worker, before anything else."""
    with SmartPool(
        2, backend=backend, initializer=submitted.set_state, initargs=("ready",)
    ) as pool:
        assert {pool.submit(submitted.get_state).result(HANG_S) for _ in range(4)} == {
            "ready"
        }
        assert set(pool.map(submitted.get_state, range(10))) == {"ready"}
    submitted.set_state("")


def test_workers_that_take_long_to_start_do_not_wait_for_each_other(
    tmp_path: Path,
) -> None:
    """Each of these has begun only when all have: more of them than CPUs."""
    workers = 2 * machine().cpus + 1
    begun = str(tmp_path / "begun")
    with SmartPool(
        workers,
        backend="processes",
        initializer=submitted.begin_together,
        initargs=(begun, workers),
    ) as pool:
        futures = [pool.submit(submitted.meet, begun, workers) for _ in range(workers)]
        pids = {future.result(60) for future in futures}

    assert len(pids) == workers


def test_runs_are_called_where_the_initializer_was(tmp_path: Path) -> None:
    """No item of a run is called in this process, which was not initialized."""
    with SmartPool(2, initializer=submitted.set_state, initargs=("ready",)) as pool:
        results = pool.run_parallel(submitted.pid_and_state, range(20))

    assert os.getpid() not in {pid for pid, _ in results}
    assert {state for _, state in results} == {"ready"}
    assert results.report.backend == "processes"


@places
def test_an_initializer_that_fails(
    backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The pool is broken: whatever it is asked for raises, with the reason."""
    with SmartPool(
        2, backend=backend, initializer=fail, initargs=(LookupError,)
    ) as pool:
        error = pool.submit(abs, -1).exception(HANG_S)
        assert isinstance(error, WorkerCrashError)
        assert isinstance(error.__cause__, LookupError)
        assert "on purpose" in str(error)
        assert pool._broken
        with pytest.raises(WorkerCrashError, match="on purpose"):
            pool.submit(abs, -1)
        with pytest.raises(WorkerCrashError, match="on purpose"):
            pool.run_parallel(abs, range(10))
    assert "Exception in initializer" in caplog.text


def test_workers_that_are_replaced() -> None:
    """None calls more than it may: also where a chunk is larger than that."""
    with SmartPool(1, max_tasks_per_child=3) as pool:
        pids = [pool.submit(os.getpid).result(HANG_S) for _ in range(7)]
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
        run = pool.run_parallel(
            submitted.pid_of, range(20), backend="processes", chunksize=10
        )
        assert len(run) == 20
        assert max(run.count(pid) for pid in set(run)) <= 3


def test_idle_workers_leave_and_come_back(pool: SmartPool) -> None:
    """After a while without work they are gone, and so is the engine's thread."""
    pool._pool = Pool(Setup(2, idle_s=0.2))
    assert pool.submit(abs, -1).result(HANG_S) == 1
    workloads.wait_until(lambda: not processes_of(pool).worker_pids())
    workloads.wait_until(
        lambda: "smartpool-engine" not in {one.name for one in threading.enumerate()}
    )
    assert pool.submit(abs, -2).result(HANG_S) == 2


# -- the end -----------------------------------------------------------------------------


@places
def test_shutdown_waits(backend: Any) -> None:
    """All that was submitted is over then, and nothing more is taken."""
    pool = SmartPool(2, backend=backend)
    futures = [pool.submit(submitted.a_millisecond, n) for n in range(50)]
    pool.shutdown()

    assert all(future.done() for future in futures)
    with pytest.raises(PoolClosedError):
        pool.submit(abs, 1)
    with pytest.raises(PoolClosedError):
        pool.run_parallel(abs, [1])
    pool.shutdown()


@places
def test_shutdown_does_not_wait(backend: Any, tmp_path: Path) -> None:
    """If asked not to: what goes on goes on, and then nothing is left."""
    pool = SmartPool(1, backend=backend)
    future = running_call(pool, tmp_path)
    waiting = pool.submit(abs, -2)
    pool.shutdown(wait=False)
    with pytest.raises(PoolClosedError):
        pool.submit(abs, 1)
    (tmp_path / "release").touch()

    assert (future.result(HANG_S), waiting.result(HANG_S)) == (1, 2)


@places
def test_shutdown_cancels(backend: Any, tmp_path: Path) -> None:
    """What has not begun is cancelled; what has is waited for."""
    pool = SmartPool(1, backend=backend)
    future = running_call(pool, tmp_path)
    waiting = [pool.submit(abs, -2) for _ in range(5)]
    threading.Timer(0.1, (tmp_path / "release").touch).start()
    pool.shutdown(cancel_futures=True)

    assert future.result(0) == 1
    assert all(one.cancelled() for one in waiting)


def test_close_ends_all_at_once(tmp_path: Path) -> None:
    """Calls that go on fail, and those that wait."""
    pool = SmartPool(1)
    futures = [running_call(pool, tmp_path), pool.submit(abs, -2)]
    pool.close()

    for future in futures:
        assert isinstance(future.exception(0), PoolClosedError)


def test_nobody_has_the_pool_any_more() -> None:
    """A future that is not over keeps it; then it goes, and its workers with it."""
    pool = SmartPool(1)
    gone = weakref.ref(pool._pool)
    future = pool.submit(submitted.a_millisecond, 1)
    del pool

    assert future.result(HANG_S) == submitted.a_millisecond(1)
    workloads.wait_until(lambda: (gc.collect(), gone() is None)[1])


def test_no_reference_is_kept(pool: SmartPool) -> None:
    """Arguments go with their call, and results with their future."""
    table = submitted.Weak()
    gone = weakref.ref(table)
    pool.submit(submitted.same, table).result(HANG_S)
    del table
    workloads.wait_until(lambda: (gc.collect(), gone() is None)[1])

    result = weakref.ref(pool.submit(submitted.Weak).result(HANG_S))
    workloads.wait_until(lambda: (gc.collect(), result() is None)[1])


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_while_a_call_runs(pool: SmartPool, tmp_path: Path) -> None:
    """In the child its future fails, at once; in the parent it goes on."""
    future = running_call(pool, tmp_path)
    pid = os.fork()
    if pid == 0:
        ok = isinstance(future.exception(HANG_S), PoolClosedError)
        ok = ok and pool.submit(abs, -1).result(HANG_S) == 1
        pool.close()
        os._exit(0 if ok else 1)
    (tmp_path / "release").touch()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert future.result(HANG_S) == 1


def run_script(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        **options,
    )


@pytest.mark.parametrize("backend", [None, "threads"])
def test_the_end_of_the_program_waits_for_what_was_submitted(backend: Any) -> None:
    """As the standard library does: nothing that was taken is dropped."""
    code = (
        "from smartpool import SmartPool\n"
        f"pool = SmartPool(1, backend={backend!r})\n"
        "for n in range(3): pool.submit(print, n, flush=True)\n"
        "pool.submit(abs, -1).add_done_callback(lambda f: print('then', f.result()))\n"
    )
    with ThreadPoolExecutor(4) as threads:  # a busy machine has them all end too early
        ended = list(threads.map(run_script, [code] * 8))

    for done in ended:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == ["0", "1", "2", "then", "1"]


@pytest.mark.parametrize("backend", [None, "threads"])
@pytest.mark.parametrize("where", ["result", "shutdown", "exit"])
def test_an_interrupt(backend: Any, where: str, tmp_path: Path) -> None:
    """One Ctrl-C ends it all, with one traceback, also at the end of the program."""
    began = tmp_path / "began"
    code = (
        "from smartpool import SmartPool\n"
        "from tests.workloads import mark_and_wait\n"
        f"pool = SmartPool(1, backend={backend!r})\n"
        f"future = pool.submit(mark_and_wait, {str(began)!r}, {str(tmp_path / 'no')!r}, 1)\n"
        f"if {where!r} == 'result':\n"
        "    with pool: future.result()\n"
        f"if {where!r} == 'shutdown': pool.shutdown()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    workloads.wait_until(began.exists)
    time.sleep(0.2)  # until it waits; if it does not yet, that is interrupted as well
    began_s = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=HANG_S)

    assert time.monotonic() - began_s < SOON_S
    assert err.count("Traceback (most recent call last)") <= 1, err
    assert "KeyboardInterrupt" in err


def test_setup_is_what_was_asked_for() -> None:
    """What libraries read of other executors is there."""
    with SmartPool(3) as pool:
        assert pool._max_workers == 3
        assert not pool._broken
        assert pool._pool.setup == Setup(max_workers=3)
