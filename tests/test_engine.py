"""Unit: whatever happens to a run, it ends, says so, and keeps no other from going on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from smartpool import SmartPool, SmartPoolError
from smartpool._backends import threads
from smartpool._backends.base import Backend, Chunk, Item, Job
from smartpool._backends.threads import Threads, _Thread
from smartpool._decide.facts import BackendName
from smartpool._decide.plan import Plan, Reason
from smartpool._run.engine import Engine
from smartpool._run.messages import Message, Outcomes, Over, Returned, Want
from smartpool._run.run import Run
from tests import workloads
from tests.hosts import Bench

LIMIT_S = 30.0
"""No wait of these tests is longer: then they fail."""


class Travelling(Threads):
    """Threads that take only items which were encoded, as processes do."""

    name: ClassVar[BackendName] = "processes"
    travels: ClassVar[bool] = True

    def encode(self, item: Item) -> None:
        item.payload = b"encoded"


class Failing(Threads):
    """Threads of which some steps raise, as many times as is said."""

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.failing: dict[str, int] = {}

    def step(self, name: str) -> None:
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            raise ValueError(f"{name} went wrong")

    def place(self, chunk: Chunk) -> None:
        self.step("place")
        super().place(chunk)

    def cancel(self, job: Job) -> None:
        super().cancel(job)
        self.step("cancel")

    def forget(self, job: Job) -> None:
        super().forget(job)
        self.step("forget")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Make an engine for one CPU, and close it."""
    engine = Engine(1, {"threads": Failing, "processes": Travelling, "serial": Threads})
    yield engine
    engine.close()


def plan(backend: BackendName, workers: int = 1) -> Plan:
    reasons = (Reason("asked", "for a test"),)
    return Plan(backend, workers, workers, workers, "cpu", 1, reasons)


def begin(
    engine: Engine, fn: Callable[..., Any], count: int, *, last: bool = True
) -> tuple[Run, list[Item]]:
    """Start a run on threads, and feed it items."""
    backend = engine.backend("threads")
    run = Run(Job(fn), plan("threads"), backend, count, engine.cpus)
    items = [Item(index, (index,)) for index in range(count)]
    engine.start(run)
    engine.feed(run, items, last=last)
    return run, items


def next_of(run: Run, kind: type[Message]) -> Any:
    """Read messages up to one of that kind, and return it."""
    while not isinstance(message := run.inbox.get(timeout=LIMIT_S), kind):
        assert not isinstance(message, Over), message
    return message


def results(run: Run) -> tuple[list[int], BaseException | None]:
    """Read a run to its end: indices of its results, and its error."""
    indices: list[int] = []
    while not isinstance(message := run.inbox.get(timeout=LIMIT_S), Over):
        if isinstance(message, Outcomes):
            indices += [item.index for item, _ in message.outcomes]
    return indices, message.error


def failing(engine: Engine) -> Failing:
    backend = engine.backend("threads")
    assert isinstance(backend, Failing)
    return backend


def test_the_end_of_the_input_waits_for_what_was_given_back(engine: Engine) -> None:
    """A caller that takes an older `Want` first says "the last" too early."""
    release = threading.Event()

    def fn(x: int) -> int:
        release.wait(LIMIT_S)
        return x

    run, _ = begin(engine, fn, 4, last=False)
    backend = engine.backend("processes")
    engine.switch(run, plan("processes"), backend)
    back = next_of(run, Returned).items
    assert [item.index for item in back] == [1, 2, 3]

    rest = [Item(4, (4,), b"encoded"), Item(5, (5,), b"encoded")]
    engine.feed(run, rest, last=True)
    release.set()
    workloads.wait_until(lambda: run.dispatcher.settled == 3)
    for item in back:
        backend.encode(item)
    engine.feed(run, back, last=True, taken_back=3)

    indices, error = results(run)
    assert (sorted(indices), error) == ([0, 1, 2, 3, 4, 5], None)


def test_it_asks_again_only_when_all_has_been_answered(engine: Engine) -> None:
    """Else a caller that feeds item by item gets a `Want` for each of them."""
    run, _ = begin(engine, workloads.same, 0, last=False)
    next_of(run, Want)

    for index in range(5):
        engine.feed(run, [Item(index, (index,))], more=True)
    workloads.wait_until(lambda: run.dispatcher.settled == 5)
    assert run.asked
    engine.feed(run, [])
    next_of(run, Want)
    engine.feed(run, [], last=True)

    assert results(run) == ([], None)


def broken_step() -> None:
    raise ValueError("ours")


@pytest.mark.parametrize("also", [(), ("cancel",), ("forget",), ("cancel", "forget")])
def test_a_step_that_raises_costs_the_runs_there_are(
    engine: Engine, also: tuple[str, ...]
) -> None:
    """They end with its error, whatever else raises; the next run has all the room."""
    running, release = threading.Event(), threading.Event()
    calls: list[int] = []

    def fn(x: int) -> int:
        calls.append(x)
        running.set()
        release.wait(LIMIT_S)
        return x

    stopping, _ = begin(engine, fn, 3)
    assert running.wait(LIMIT_S)
    engine.cancel(stopping, LIMIT_S)
    waiting, _ = begin(engine, fn, 1)
    workloads.wait_until(lambda: waiting.dispatcher.pending == 1)
    failing(engine).failing = dict.fromkeys(also, 1)

    engine.post(broken_step)

    assert [str(results(run)[1]) for run in (stopping, waiting)] == ["ours", "ours"]
    assert getattr(stopping.grace, "callback", 0) is None, "its timer is still there"
    assert failing(engine)._cancelled == set()
    again, _ = begin(engine, workloads.same, 3)
    assert results(again) == ([0, 1, 2], None)
    release.set()
    engine.close()
    assert calls == [0], "an item was called after the end of its run"


def test_a_chunk_that_cannot_be_placed(engine: Engine) -> None:
    """Its lease is given back, though nobody will ever finish it."""
    failing(engine).failing = {"place": 1}

    run, _ = begin(engine, workloads.same, 3)
    assert str(results(run)[1]) == "place went wrong"

    again, _ = begin(engine, workloads.same, 3)
    assert results(again) == ([0, 1, 2], None)


def test_a_run_ends_while_a_backend_is_made(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers on other threads make backends at any moment."""
    made: list[Backend] = []

    def forget(_: Threads, __: Job) -> None:
        made.append(engine.backend("serial"))

    monkeypatch.setattr(Failing, "forget", forget)
    run, _ = begin(engine, workloads.same, 2)

    assert results(run) == ([0, 1], None)
    assert made


def test_a_run_ends_even_if_it_cannot_be_forgotten(engine: Engine) -> None:
    """Its caller hears of the end first; others that run then end with the error."""
    run, _ = begin(engine, workloads.same, 0, last=False)
    failing(engine).failing = {"forget": 1}
    engine.feed(run, [], last=True)

    assert results(run) == ([], None)

    again, _ = begin(engine, workloads.same, 2)
    assert results(again) == ([0, 1], None)


def test_an_error_stops_the_run_though_nobody_listens(engine: Engine) -> None:
    """The caller may be long at its input, or at what it has read: nothing new begins."""
    calls: list[int] = []

    def fn(x: int) -> int:
        calls.append(x)
        return 1 // (x - 2)

    run, _ = begin(engine, fn, 9, last=False)

    assert results(run) == ([0, 1, 2], None)
    assert calls == [0, 1, 2]


def test_an_error_that_is_a_result_stops_nothing(engine: Engine) -> None:
    """With `return_exceptions` all items are called."""
    backend = engine.backend("threads")
    job = Job(lambda x: 1 // x, stop_on_error=False)
    run = Run(job, plan("threads"), backend, 3, engine.cpus)
    engine.start(run)
    engine.feed(run, [Item(index, (index,)) for index in range(3)], last=True)

    assert results(run) == ([0, 1, 2], None)


# -- where there can be no more threads -----------------------------------------------


class Allowed:
    """How many threads can still be started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        start = _Thread.start

        def start_if_allowed(thread: _Thread) -> None:
            if self.count == 0:
                raise RuntimeError("can't start new thread")
            self.count -= 1
            start(thread)

        monkeypatch.setattr(_Thread, "start", start_if_allowed)


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> Allowed:
    """Allow no threads but those that the test allows."""
    return Allowed(monkeypatch)


@pytest.mark.parametrize("count", [1, 2])
def test_with_fewer_threads_than_planned(allowed: Allowed, count: int) -> None:
    """The run goes on with those, however long their items take; nothing is lost."""
    allowed.count = count
    names: set[str] = set()

    def fn(x: int) -> int:
        names.add(threading.current_thread().name)
        if x == 0:
            wait_out_the_patience()
        return x

    with SmartPool() as pool:
        results = pool.run_parallel(
            fn, range(30), backend="threads", max_workers=6, chunksize=1
        )

    assert results == list(range(30))
    assert allowed.count == 0


def wait_out_the_patience() -> None:
    end = time.monotonic() + 2 * threads.PATIENCE_S
    workloads.wait_until(lambda: time.monotonic() > end)


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_without_any_thread(allowed: Allowed, return_exceptions: bool) -> None:
    """The items fail and say why; when there are threads again, the pool has them."""
    options: Any = {"backend": "threads", "return_exceptions": return_exceptions}

    with SmartPool(max_workers=2) as pool:
        if return_exceptions:
            errors = [*pool.run_parallel(workloads.same, range(40), **options)]
        else:
            with pytest.raises(SmartPoolError) as caught:
                pool.run_parallel(workloads.same, range(40), **options)
            errors = [caught.value]
        allowed.count = 2
        assert pool.run_parallel(workloads.same, range(9), **options) == list(range(9))

    assert len(errors) == (40 if return_exceptions else 1)
    for error in errors:
        assert isinstance(error, SmartPoolError)
        assert str(error) == "no thread could be started: can't start new thread"
        assert isinstance(error.__cause__, RuntimeError)


def test_a_nested_run_does_not_wait_for_the_thread_that_waits_for_it(
    allowed: Allowed,
) -> None:
    """It fails instead, and its caller hears of it."""
    allowed.count = 1
    with SmartPool() as pool:

        def outer(x: int) -> list[int]:
            return pool.run_parallel(workloads.same, range(x), backend="threads")

        with pytest.raises(SmartPoolError, match="no thread could be started"):
            pool.run_parallel(outer, [3, 4, 5], backend="threads", chunksize=1)


def test_a_run_waits_a_while_for_the_threads_of_another(allowed: Allowed) -> None:
    """They come free before long, as a rule."""
    allowed.count = 1
    begun, release = threading.Event(), threading.Event()
    others: list[Any] = []

    def busy(x: int) -> int:
        begun.set()
        release.wait(LIMIT_S)
        return x

    with SmartPool() as pool:

        def other() -> None:
            others.extend(pool.run_parallel(busy, [1], backend="threads"))

        thread = threading.Thread(target=other)
        thread.start()
        assert begun.wait(LIMIT_S)
        backend = pool._pool.engine().backend("threads")
        assert isinstance(backend, Threads)

        def release_when_it_waits() -> None:
            workloads.wait_until(lambda: len(backend._waiting) > 0)
            release.set()

        releasing = threading.Thread(target=release_when_it_waits)
        releasing.start()
        results = pool.run_parallel(workloads.same, range(9), backend="threads")
        thread.join(LIMIT_S)
        releasing.join(LIMIT_S)

    assert (results, others) == (list(range(9)), [1])


def test_chunks_that_wait_for_a_thread_end_with_their_run(allowed: Allowed) -> None:
    """They are not called later, and were no calls that had to be let go."""
    allowed.count = 1
    bench = Bench(Threads)
    begun, release = threading.Event(), threading.Event()
    calls: list[int] = []

    def fn(x: int) -> int:
        calls.append(x)
        begun.set()
        release.wait(LIMIT_S)
        return x

    job = bench.job(fn)
    chunks = [bench.chunk(job, number) for number in range(3)]
    assert begun.wait(LIMIT_S)

    bench.host.do(lambda: bench.backend.cancel(job))
    waited = [bench.wait(chunk) for chunk in chunks[1:]]
    bench.host.do(lambda: bench.backend.kill(job))
    running = bench.wait(chunks[0])
    release.set()

    assert [usage.let_go for usage in waited] == [False, False]
    assert running.let_go
    assert bench.map(workloads.same, 5) == [5]
    bench.close()
    assert calls == [0]
