"""End to end: pools, warm and shared, closed, forked, nested."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import PoolClosedError, SmartPool, run_parallel, stream_parallel
from smartpool._backends.processes import Processes
from smartpool._backends.threads import Threads
from smartpool._makers import _MAKERS
from smartpool._pool import _pools
from smartpool._run import closing, engine, relief, switching
from smartpool._worker import cloud
from tests import workloads
from tests.heavy import and_heavy
from tests.leaks import Snapshot, left_behind

ROOT = Path(smartpool.__file__).parent.parent
BACKENDS: list[Any] = [*_MAKERS, None]
HANG_S = 30.0
SOON_S = 2.5
"""Far less than what is waited for at worst; the machine may be busy."""

each_backend = pytest.mark.parametrize("backend", BACKENDS)
in_flight = pytest.mark.parametrize("backend", ["threads", "processes", "event_loop"])
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def processes_of(pool: SmartPool) -> Processes:
    backend = pool._pool.engine().backend("processes")
    assert isinstance(backend, Processes)
    return backend


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Other threads of the user's, from which calls are made."""
    with ThreadPoolExecutor(4) as executor:
        yield executor


@contextmanager
def held_on_another_thread(
    elsewhere: ThreadPoolExecutor, *contexts: AbstractContextManager[object]
) -> Iterator[None]:
    """Have a thread of the user's be inside of all these meanwhile."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            held.set()
            assert release.wait(HANG_S)

    future = elsewhere.submit(hold)
    assert held.wait(HANG_S)
    try:
        yield
    finally:
        release.set()
    future.result(HANG_S)


# -- warm ---------------------------------------------------------------------------------


def test_warm() -> None:
    """Two runs of one pool are called by the same processes."""
    with SmartPool(max_workers=2, backend="processes") as pool:
        first = set(pool.run_parallel(workloads.pid_after_a_while, range(20)))
        second = set(pool.run_parallel(workloads.pid_after_a_while, range(20)))

    assert second <= first
    assert len(first) == 2
    assert os.getpid() not in first


def test_the_default_pool_is_warm() -> None:
    """Functions without a pool share one."""
    options: Any = {"backend": "processes", "max_workers": 1}

    first = set(run_parallel(workloads.pid, range(4), **options))
    with stream_parallel(workloads.pid, range(4), **options) as stream:
        second = set(stream)

    assert first == second


def test_sent_once() -> None:
    """A function that holds a megabyte goes to each worker once, for all runs."""
    big = os.urandom(1_000_000)

    def fn(x: int) -> int:
        return len(big) + x

    with SmartPool(max_workers=2, backend="processes") as pool:
        pool.run_parallel(workloads.pid_after_a_while, range(8), chunksize=1)
        workers, before = processes_of(pool), processes_of(pool).bytes_sent()
        for _ in range(3):
            results = pool.run_parallel(fn, range(20), chunksize=1)
            assert results == [len(big) + x for x in range(20)]
        sent = workers.bytes_sent() - before
        pids = workers.worker_pids()

    assert len(pids) == 2
    assert len(big) <= sent < 2.1 * len(big)


# -- shared -----------------------------------------------------------------------------


@in_flight
def test_two_runs_at_once_both_go_on(
    backend: Any, tmp_path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    """An item of each is called at the same time, on two workers."""
    fn = partial(workloads.meet, str(tmp_path))
    with SmartPool(max_workers=2, backend=backend) as pool:

        def run(first: int) -> list[int]:
            if backend == "event_loop":
                return pool.run_parallel(meet_async, [(tmp_path, first)])
            return pool.run_parallel(fn, [first], [2])

        futures = [elsewhere.submit(run, n) for n in (1, 2)]
        results = [future.result(HANG_S) for future in futures]

    assert results == [[1], [2]]


async def meet_async(both: tuple[Path, int]) -> int:
    folder, x = both
    path = str(folder / "here")
    workloads.append(path, x)
    while len(workloads.lines(path)) < 2:  # noqa: ASYNC110 - two runs share a file
        await asyncio.sleep(workloads.POLL_S)
    return x


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_late_small_run_need_not_wait(
    backend: Any, tmp_path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    """On a busy pool it is over long before the big run that came first."""
    path = str(tmp_path / "big")

    def big(x: int) -> int:
        workloads.append(path, x)
        time.sleep(0.01)
        return x

    with SmartPool(max_workers=2, backend=backend) as pool:
        future = elsewhere.submit(pool.run_parallel, big, range(300), chunksize=2)
        workloads.wait_until(lambda: len(workloads.lines(path)) > 10)

        assert pool.run_parallel(workloads.same, range(4), chunksize=1) == [0, 1, 2, 3]

        assert len(workloads.lines(path)) < 150
        assert not future.done()
        assert future.result(HANG_S) == list(range(300))


@each_backend
def test_many_threads_share_a_pool(backend: Any, elsewhere: ThreadPoolExecutor) -> None:
    """Each caller gets its own results."""
    fn = workloads.on(backend, workloads.add)
    with SmartPool(max_workers=2, backend=backend) as pool:
        futures = [
            elsewhere.submit(pool.run_parallel, fn, range(50), [k] * 50)
            for k in range(12)
        ]
        for k, future in enumerate(futures):
            assert future.result(HANG_S) == [k + x for x in range(50)]


def test_an_error_of_one_run_leaves_the_other_alone(
    elsewhere: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Runs share workers, and nothing else."""
    release = tmp_path / "release"
    fn = partial(workloads.mark_and_wait, str(tmp_path / "began"), str(release))
    for backend in ("threads", "processes"):
        release.unlink(missing_ok=True)
        with SmartPool(max_workers=2, backend=backend) as pool:
            future = elsewhere.submit(pool.run_parallel, fn, [1])
            workloads.wait_until((tmp_path / "began").exists)
            with pytest.raises(ValueError, match="bad"):
                pool.run_parallel(
                    partial(workloads.fail_at, 0, partial(ValueError, "bad")), [0]
                )
            release.touch()
            assert future.result(HANG_S) == [1]


# -- closed ------------------------------------------------------------------------------


@each_backend
def test_a_closed_pool(backend: Any) -> None:
    """It says so, whether it was ever used or not; closing again does nothing."""
    for used in (False, True):
        pool = SmartPool(backend=backend)
        fn = workloads.on(backend, abs)
        if used:
            assert pool.run_parallel(fn, [-1]) == [1]
        pool.close()
        pool.close()
        with pytest.raises(PoolClosedError):
            pool.run_parallel(fn, [1])
        with pytest.raises(PoolClosedError):
            pool.stream_parallel(fn, [1])


@in_flight
def test_closing_during_a_run(
    backend: Any, tmp_path: Path, elsewhere: ThreadPoolExecutor
) -> None:
    """The run ends with `PoolClosedError`, soon, though its items do not."""
    began, release = tmp_path / "began", tmp_path / "release"
    waiting: Callable[..., Any] = workloads.mark_and_wait
    if backend == "event_loop":
        waiting = workloads.mark_and_wait_async
    fn = partial(waiting, str(began), str(release))
    pool = SmartPool(max_workers=2, backend=backend)

    future = elsewhere.submit(pool.run_parallel, fn, range(10))
    workloads.wait_until(began.exists)
    try:
        pool.close()
        with pytest.raises(PoolClosedError):
            future.result(HANG_S)
    finally:
        release.touch()


@pytest.mark.parametrize("backend", ["serial", None])
def test_closing_during_a_run_here(backend: Any, elsewhere: ThreadPoolExecutor) -> None:
    """What is called on the caller's own thread ends before its next items."""
    calls, reached = list[int](), threading.Event()

    def fn(x: int) -> int:
        calls.append(x)
        if x == 100:
            reached.set()
        workloads.spin(0.002)
        return x

    pool = SmartPool(max_workers=1, backend=backend)
    future = elsewhere.submit(pool.run_parallel, fn, range(2000))
    assert reached.wait(HANG_S)
    before = len(calls)

    pool.close()

    with pytest.raises(PoolClosedError):
        future.result(HANG_S)
    # A block of items goes on, and each step here waits its turn for the GIL.
    assert len(calls) < before + 200


@each_backend
def test_closing_while_a_stream_is_read(backend: Any) -> None:
    """The reader hears of it before long; closing the stream then is harmless."""
    pool = SmartPool(max_workers=2, backend=backend)
    stream = pool.stream_parallel(workloads.on(backend, abs), range(10**6))
    next(stream)

    pool.close()

    with pytest.raises(PoolClosedError):
        deque(stream, maxlen=0)
    stream.close()


@each_backend
def test_closing_the_pool_before_the_stream(backend: Any) -> None:
    """In either order nothing is left behind, and nothing is raised."""
    with SmartPool(max_workers=2, backend=backend) as pool:
        stream = pool.stream_parallel(workloads.on(backend, abs), range(10**7))
        next(stream)
    stream.close()


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let SIGINT raise here, whatever the tests were started under."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_while_a_pool_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the wait; closing again waits for the rest, and all is given back."""
    reached, go_on, real = threading.Event(), threading.Event(), Processes.close

    def close(self: Processes) -> None:
        reached.set()
        assert go_on.wait(HANG_S)
        real(self)

    def interrupt() -> None:
        assert reached.wait(HANG_S)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)

    monkeypatch.setattr(Processes, "close", close)
    before = Snapshot()
    pool = SmartPool(max_workers=2)
    pool.run_parallel(abs, range(4), backend="processes")
    processes = processes_of(pool)
    thread = threading.Thread(target=interrupt)
    thread.start()

    with pytest.raises(KeyboardInterrupt):
        pool.close()
    assert processes.worker_pids()
    thread.join(HANG_S)
    go_on.set()
    pool.close()

    assert processes.worker_pids() == []
    assert left_behind(before) == []


TOO_LATE = 5
"""So many interrupts in a row that come too late: it has been interrupted everywhere."""


class Interrupted:
    """Interrupts what is called in it, at the n-th place where a signal could."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __enter__(self) -> None:
        sys.setprofile(self.look)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def look(self, _frame: object, event: str, _arg: object) -> None:
        # Python looks for signals when a function of its own begins, and when one in
        # C is over (and in loops, each round of which calls something here).
        self.left -= event in ("call", "c_return")
        if self.left == 0:
            sys.setprofile(None)
            raise KeyboardInterrupt


def interrupts_later_and_later(step: int) -> Iterator[tuple[int, Interrupted]]:
    """Yield interrupts, each with its number, until `TOO_LATE` in a row come too late.

    A few may: what they are to interrupt goes a shorter way at times.
    """
    at, late = 1, 0
    while late < TOO_LATE:
        moment = Interrupted(at)
        yield at, moment
        late = late + 1 if moment.left > 0 else 0
        at += step


def test_an_interrupt_at_any_moment_of_a_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no thread is to be had for it: a second one does what was left."""
    monkeypatch.setattr(closing, "_aside", refuse)
    at, step = 0, 5
    for at, moment in interrupts_later_and_later(step):
        before = Snapshot()
        pool = SmartPool(max_workers=1)
        pool.run_parallel(abs, range(2), backend="processes")

        try:
            with moment:
                pool.close()
        except KeyboardInterrupt:
            pass
        pool.close()

        assert not left_behind(before), at
    assert at > (10 + TOO_LATE) * step  # it was interrupted at many of them


def refuse(*_: object) -> Any:
    raise RuntimeError("can't start new thread")


def test_a_backend_that_cannot_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is raised; the others have been closed."""
    real = Threads.close

    def close(self: Threads) -> None:
        real(self)
        raise OSError("not today")

    monkeypatch.setattr(Threads, "close", close)
    pool = SmartPool(max_workers=1)
    pool.run_parallel(abs, range(2), backend="threads")
    pool.run_parallel(abs, range(2), backend="processes")
    processes = processes_of(pool)

    with pytest.raises(OSError, match="not today"):
        pool.close()

    assert processes.worker_pids() == []
    pool._pool._engine = None  # closed, but for what cannot be


def test_a_closed_engine_makes_no_backend() -> None:
    """Nobody would close that."""
    pool = SmartPool()
    engine = pool._pool.engine()
    pool.close()

    with pytest.raises(PoolClosedError):
        engine.backend("event_loop")


# -- dropped -----------------------------------------------------------------------------


@each_backend
def test_a_pool_that_nobody_has_any_more(backend: Any) -> None:
    """It closes itself."""
    before = Snapshot()
    pool = SmartPool(max_workers=2)
    pool.run_parallel(workloads.on(backend, abs), range(4), backend=backend)

    del pool

    assert left_behind(before) == []


@each_backend
def test_a_stream_keeps_its_pool(backend: Any) -> None:
    """Who reads it need not hold the pool; without the stream that is closed."""
    before = Snapshot()
    stream = SmartPool(max_workers=2).stream_parallel(
        workloads.on(backend, workloads.same), range(50), backend=backend
    )
    gc.collect()

    assert list(stream) == list(range(50))

    del stream
    assert left_behind(before) == []


def test_dropping_a_pool_waits_for_nothing(elsewhere: ThreadPoolExecutor) -> None:
    """It may happen at any moment, also while somebody holds what closing needs."""
    elsewhere.submit(int).result()  # its thread is there, and not this test's to end
    before = Snapshot()
    pool = SmartPool(max_workers=1)
    pool.run_parallel(abs, range(4), backend="processes")
    engine = pool._pool.engine()
    locks = (
        engine._closing.lock,
        engine._backends.lock,
        engine._reactor.stepping,
        engine._reactor._life,
        _pools.lock,
        threading._active_limbo_lock,  # type: ignore[attr-defined]
    )

    with held_on_another_thread(elsewhere, *locks):
        del pool
    del engine
    assert left_behind(before) == []


def test_a_closed_pool_is_not_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when it is dropped, nor at the end of the program."""
    closed = list[object]()
    real = engine.Engine._close

    def close(self: engine.Engine) -> None:
        closed.append(self)
        real(self)

    monkeypatch.setattr(engine.Engine, "_close", close)
    pool = SmartPool()
    pool.run_parallel(abs, range(4))

    pool.close()
    pool.close()
    dropped = pool._pool._dropped
    del pool

    assert dropped is not None
    assert not dropped.alive
    assert len(closed) == 1


# -- nested -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["serial", "threads", "processes", None])
@pytest.mark.parametrize("depth", and_heavy([2], [3]))
def test_nested(backend: Any, depth: int) -> None:
    """Runs in items of runs: each gets its results, and none waits for ever."""
    assert tree(depth, backend, 0) == sum(range(3**depth))


def tree(depth: int, backend: Any, x: int) -> int:
    if depth == 0:
        return x
    fn = partial(tree, depth - 1, backend)
    return sum(run_parallel(fn, range(3 * x, 3 * x + 3), backend=backend))


@pytest.mark.parametrize("backend", ["threads", None])
def test_nested_in_the_same_pool(backend: Any) -> None:
    """More outer items than workers: the inner runs are called nevertheless."""
    with SmartPool(max_workers=2) as pool:

        def fn(x: int) -> int:
            workloads.spin(0.001)
            return sum(pool.run_parallel(abs, [x, -x], backend=backend))

        results = pool.run_parallel(fn, range(40), backend=backend, chunksize=4)

    assert results == [2 * x for x in range(40)]


@pytest.mark.parametrize("depth", [1, 2])
def test_nested_where_nobody_can_see_it(
    depth: int, elsewhere: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run on a thread of the user's, for which calls wait that have all leases."""
    monkeypatch.setattr(relief, "RELIEF_S", 0.1)

    def fn(depth: int, x: int) -> list[Any]:
        if depth == 0:
            return [x]
        with ThreadPoolExecutor(1) as executor:  # its threads inherit no context
            inner = partial(fn, depth - 1)
            return list(executor.submit(run, inner, range(3)).result())

    with SmartPool(max_workers=2) as pool:
        run = partial(pool.run_parallel, backend="threads", hint="nogil")
        results = elsewhere.submit(run, partial(fn, depth), range(4)).result(HANG_S)

    expected: list[Any] = [[0], [1], [2]]
    for _ in range(depth - 1):
        expected = [expected] * 3
    assert results == [expected] * 4


NESTED_ON_THE_LOOP = """\
from smartpool import run_parallel

async def inner(x):
    return x + 1

async def outer(x):
    return list(run_parallel(inner, [x, x + 1]))

print(run_parallel(outer, [1, 10]))
"""


def test_nested_on_the_event_loop() -> None:
    """A coroutine that calls `run_parallel` blocks its loop, and must not for ever."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NESTED_ON_THE_LOOP],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=HANG_S,
    )

    assert done.stdout.strip() == "[[2, 3], [11, 12]]"


def test_nested_in_threads_of_the_event_loop() -> None:
    """A run of coroutines from a thread that a coroutine waits for."""

    def inner(x: int) -> int:
        return sum(run_parallel(workloads.same_async, [x, x + 1]))

    async def outer(x: int) -> int:
        return await asyncio.to_thread(inner, x)

    assert run_parallel(outer, range(10)) == [2 * x + 1 for x in range(10)]


@each_backend
def test_on_a_thread_with_a_running_loop(backend: Any) -> None:
    """In a notebook, say: it blocks that loop for a while, and works."""
    fn = workloads.on(backend, workloads.same)

    async def main() -> list[Any]:
        return list(run_parallel(fn, range(20), backend=backend))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it blocks the loop is said elsewhere
        assert asyncio.run(main()) == list(range(20))


# -- forked ------------------------------------------------------------------------------


def in_a_fork(do: Callable[[], bool]) -> None:
    """Call `do` in a child made by `fork`; fail unless it returned true in time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that fork and threads do not mix is known
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if do() else 2
        finally:
            os._exit(code)
    status: list[int] = []

    def over() -> bool:
        pid, value = os.waitpid(child, os.WNOHANG)
        if pid:
            status.append(os.waitstatus_to_exitcode(value))
        return bool(pid)

    try:
        workloads.wait_until(over, HANG_S)
    except TimeoutError:
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise
    assert status == [0]


@forks
@each_backend
def test_a_fork_starts_afresh(backend: Any) -> None:
    """A child can use the pool that it inherited; the parent's workers are unharmed."""
    fn = workloads.on(backend, workloads.pid_after_a_while)
    with SmartPool(max_workers=2) as pool:
        ours = set(pool.run_parallel(fn, range(8), backend=backend))
        ours.update(processes_of(pool).worker_pids())  # one may have come too late

        def in_the_child() -> bool:
            theirs = set(pool.run_parallel(fn, range(8), backend=backend))
            pool.close()
            also = run_parallel(workloads.on(backend, abs), [-1], backend=backend)
            smartpool._pool.close_default_pool()
            return not theirs & ours and also == [1]

        in_a_fork(in_the_child)

        after = set(pool.run_parallel(fn, range(8), backend=backend))
        assert after <= ours


@forks
def test_a_fork_during_a_run(elsewhere: ThreadPoolExecutor, tmp_path: Path) -> None:
    """The child is not in it, and can start one of its own."""
    path, release = tmp_path / "began", tmp_path / "release"
    fn = partial(workloads.mark_and_wait, str(path), str(release))
    with SmartPool(max_workers=2, backend="processes") as pool:
        future = elsewhere.submit(pool.run_parallel, fn, range(6))
        workloads.wait_until(path.exists)

        def in_the_child() -> bool:
            ok = pool.run_parallel(abs, [-2, 3]) == [2, 3]
            pool.close()
            return ok

        in_a_fork(in_the_child)

        release.touch()
        assert future.result(HANG_S) == list(range(6))


@forks
@in_flight
def test_a_fork_while_a_stream_is_open(backend: Any) -> None:
    """In the child it is over, at once; in the parent it goes on."""
    fn = workloads.on(backend, workloads.same)
    with (
        SmartPool(max_workers=2) as pool,
        pool.stream_parallel(fn, range(100), backend=backend, buffersize=8) as stream,
    ):
        first = next(stream)

        def read_in_the_child() -> bool:
            since = time.monotonic()
            with pytest.raises(PoolClosedError, match="in the parent"):
                deque(stream, maxlen=0)
            return time.monotonic() - since < SOON_S

        def left_in_the_child() -> bool:
            since = time.monotonic()
            stream.close()
            pool.close()
            return time.monotonic() - since < SOON_S

        in_a_fork(read_in_the_child)
        in_a_fork(left_in_the_child)

        assert [first, *stream] == list(range(100))


@forks
def test_a_fork_while_our_locks_are_held(elsewhere: ThreadPoolExecutor) -> None:
    """By threads that are not in the child: nobody would let go of them there."""
    with (
        SmartPool(max_workers=2) as pool,
        pool.stream_parallel(
            abs, range(100), backend="threads", buffersize=8
        ) as stream,
    ):
        next(stream)
        engine = pool._pool.engine()
        locks = (
            engine._backends.lock,
            engine._closing.lock,
            engine._reactor.stepping,
            engine._reactor._life,
            pool._pool._making,
            switching._quick._lock,
            cloud._registering.lock,
        )

        def in_the_child() -> bool:
            with pytest.raises(PoolClosedError):
                deque(stream, maxlen=0)
            with switching.quick_switches():
                cloud.dumps(in_a_fork, ["tests.test_pool"], 5)
            ok = pool.run_parallel(abs, [-1], backend="threads") == [1]
            pool.close()
            return ok

        with held_on_another_thread(elsewhere, *locks):
            in_a_fork(in_the_child)
        # A worker thread that had something to tell left it to who held `stepping`.
        engine._reactor.look_again()
        deque(stream, maxlen=0)


@forks
def test_a_fork_while_switches_are_quick(elsewhere: ThreadPoolExecutor) -> None:
    """The child has the interval that was set before; its own block ends as well."""
    before = sys.getswitchinterval()

    def is_back() -> bool:
        return sys.getswitchinterval() == pytest.approx(before)

    def in_the_child() -> bool:
        at_first = is_back()
        with switching.quick_switches():
            quick = not is_back()
        return at_first and quick and is_back()

    with held_on_another_thread(elsewhere, switching.quick_switches()):
        in_a_fork(in_the_child)
    assert is_back()

    leaves = ExitStack()
    leaves.enter_context(switching.quick_switches())

    def left_in_the_child() -> bool:
        leaves.close()
        return is_back() and in_the_child()

    in_a_fork(left_in_the_child)
    leaves.close()
    assert is_back()


# -- threads of the pool ----------------------------------------------------------------------


def test_an_idle_pool_has_no_engine_thread() -> None:
    """The engine's thread is there while there are runs, and only then."""
    with SmartPool(max_workers=2) as pool:
        pool.run_parallel(abs, range(10), backend="threads")
        workloads.wait_until(
            lambda: (
                "smartpool-engine"
                not in {thread.name for thread in threading.enumerate()}
            )
        )
        assert pool.run_parallel(abs, [-1], backend="threads") == [1]


def test_a_pool_that_is_dropped(tmp_path: Path) -> None:
    """A program may end without `close`: it ends at once, and leaves nothing."""
    code = (
        "import os\nfrom smartpool import SmartPool\n"
        "pool = SmartPool(max_workers=2, backend='processes')\n"
        "print(*set(pool.run_parallel(lambda x: os.getpid(), range(4))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )

    assert done.returncode == 0
    assert done.stderr == ""
    for pid in map(int, done.stdout.split()):
        workloads.wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]


# -- the end of the program -------------------------------------------------------------------

LATE = """
import atexit, sys, threading, time
from smartpool import PoolClosedError, SmartPool, run_parallel

USED, WHERE = sys.argv[1:]
pool = SmartPool()
if USED == "used":
    run_parallel(abs, [1], backend="threads")
    pool.run_parallel(abs, [1])

def late():
    for run in (run_parallel, pool.run_parallel, SmartPool().run_parallel):
        for backend in (None, "serial", "threads", "processes"):
            try:
                run(abs, [1, 2], backend=backend)
            except Exception as exc:
                print(f"{type(exc).__name__}: {exc}")

def refuses(run):
    try:
        run(abs, [1])
    except PoolClosedError:
        return True

def later():
    threading.main_thread().join()
    for run in (run_parallel, pool.run_parallel):
        while not refuses(run):  # until the interpreter has called what it calls then
            time.sleep(0.01)
    late()

if WHERE == "atexit":
    atexit.register(late)
else:
    threading.Thread(target=later).start()
"""


@pytest.mark.parametrize("used", ["used", "unused"])
@pytest.mark.parametrize("where", ["atexit", "thread"])
def test_a_run_when_the_program_is_ending(used: str, where: str) -> None:
    """It says so: there is no pool that could be made anew."""
    done = subprocess.run(
        [sys.executable, "-c", LATE, used, where],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )

    assert (done.returncode, done.stderr) == (0, "")
    said = "PoolClosedError: the program is ending: no more runs can begin"
    assert done.stdout.splitlines() == [said] * 12
