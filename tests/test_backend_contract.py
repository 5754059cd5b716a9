"""Contract: what every backend owes to the engine, over all of the registry."""

from __future__ import annotations

import contextvars
import gc
import os
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from smartpool._backends.base import Backend, Chunk, Item, Job
from smartpool._decide.facts import BackendName
from smartpool._makers import _MAKERS, Setup
from smartpool._outcome import Error, Value
from smartpool._run.engine import Engine
from tests import workloads
from tests.hosts import Bench, SelectorHost

KILLED_S = 5.0


class ContractBench(Bench):
    """One backend of the registry, and how it is asked to call a plain function."""

    def __init__(self, name: BackendName) -> None:
        self.name = name
        super().__init__(self._make)

    def _make(self, host: SelectorHost) -> Backend:
        host.cpus = 1  # type: ignore[attr-defined]  # all that makers look at
        return _MAKERS[self.name](Setup(), cast("Engine", host))

    def job_of(self, fn: Callable[..., Any], **options: Any) -> Job:
        """Make a job that calls a plain function, whatever the backend calls."""
        is_async = self.name == "event_loop"
        return self.job(workloads.on(self.name, fn), is_async=is_async, **options)

    def waiting_job(self, began: Path, release: Path, **options: Any) -> Job:
        """Make a job whose calls say that they have begun, and wait."""
        is_async = self.name == "event_loop"
        fn = workloads.mark_and_wait_async if is_async else workloads.mark_and_wait
        bound = partial(fn, str(began), str(release))
        return self.job(bound, is_async=is_async, **options)

    def place(self, job: Job, *args: Any) -> Chunk:
        return self.chunk(job, *args)

    def until_finished(self, *chunks: Chunk) -> None:
        self.host.wait_for(lambda: all(one.id in self.host.usages for one in chunks))


@pytest.fixture(params=list(_MAKERS))
def bench(request: pytest.FixtureRequest) -> Iterator[ContractBench]:
    bench = ContractBench(request.param)
    yield bench
    bench.close()


@pytest.fixture
def placing(bench: ContractBench) -> ContractBench:
    """A backend whose `place` returns before the calls are over."""
    if bench.name == "serial":
        pytest.skip("calls the items while they are placed: none is ever in flight")
    return bench


def values(outcomes: list[Value | Error]) -> list[Any]:
    assert all(isinstance(one, Value) for one in outcomes), outcomes
    return [one.value for one in outcomes if isinstance(one, Value)]


def test_knows_its_name(bench: ContractBench) -> None:
    """The registry's name for it is its own."""
    assert bench.backend.name == bench.name


def test_outcomes_come_in_order(bench: ContractBench) -> None:
    """Each item has one outcome, in the order of the items; the chunk is over once."""
    job = bench.job_of(workloads.same)

    chunk = bench.place(job, *range(100))

    assert values(bench.outcomes(chunk)) == list(range(100))
    usage = bench.wait(chunk)
    assert usage.calls == 100
    assert usage.wall_s >= 0
    assert usage.cpu_s >= 0
    assert not usage.let_go


def test_many_chunks(bench: ContractBench) -> None:
    """Any number of chunks of several jobs may be placed; each is finished once."""
    jobs = [bench.job_of(partial(workloads.add, k)) for k in (0, 1000)]
    chunks = [bench.place(jobs[n % 2], n, n + 1, n + 2) for n in range(200)]

    bench.until_finished(*chunks)

    for n, chunk in enumerate(chunks):
        base = 1000 * (n % 2) + n
        assert values(bench.outcomes(chunk)) == [base, base + 1, base + 2]


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit]
)
def test_an_error_ends_the_chunk(
    bench: ContractBench, tmp_path: Path, error: type[BaseException]
) -> None:
    """Where the job says so: the error is the last outcome, and nothing is called."""
    path = str(tmp_path / "calls")

    def fn(x: int) -> int:
        return workloads.fail_at(2, error, workloads.marked(path, x))

    *before, last = bench.outcomes(bench.place(bench.job_of(fn), *range(5)))

    assert values(before) == [0, 1]
    assert isinstance(last, Error)
    assert isinstance(last.error, error)
    assert workloads.lines(path) == ["0", "1", "2"]


def test_an_error_does_not_end_the_chunk(bench: ContractBench) -> None:
    """Where the job says that it does not: the items after it are called."""
    fn = partial(workloads.fail_at, 1, ValueError)
    job = bench.job_of(fn, stop_on_error=False)

    first, second, third = bench.outcomes(bench.place(job, 0, 1, 2))

    assert values([first, third]) == [0, 2]
    assert isinstance(second, Error)


def test_cancel_begins_no_further_call(placing: ContractBench, tmp_path: Path) -> None:
    """What runs goes on and is reported; what has not begun is not called."""
    began, release = tmp_path / "began", tmp_path / "release"
    job = placing.waiting_job(began, release)
    chunk = placing.place(job, 0, 1, 2)
    workloads.wait_until(began.exists)

    placing.host.do(lambda: placing.backend.cancel(job))
    release.touch()

    assert values(placing.outcomes(chunk)) == [0]
    assert workloads.lines(began) == ["0"]


def test_cancel_leaves_other_jobs_alone(placing: ContractBench, tmp_path: Path) -> None:
    """Their chunks are called to the end, those that wait for a worker included."""
    began, release = tmp_path / "began", tmp_path / "release"
    job, other = placing.waiting_job(began, release), placing.job_of(workloads.same)
    chunk = placing.place(job, 0, 1)
    workloads.wait_until(began.exists)
    others = [placing.place(other, n) for n in range(5)]

    placing.host.do(lambda: placing.backend.cancel(job))
    release.touch()

    placing.until_finished(chunk, *others)
    assert [values(placing.outcomes(one)) for one in others] == [[n] for n in range(5)]


def test_kill_ends_or_lets_go(placing: ContractBench, tmp_path: Path) -> None:
    """All chunks of the job finish soon, whatever their calls do."""
    began, release = tmp_path / "began", tmp_path / "release"
    job = placing.waiting_job(began, release)
    chunks = [placing.place(job, n, n + 10) for n in range(3)]
    workloads.wait_until(began.exists)

    def kill() -> None:
        placing.backend.cancel(job)
        placing.backend.kill(job)

    placing.host.do(kill)
    placing.until_finished(*chunks)

    release.touch()  # for the threads that were let go
    called = [index for one in chunks for index in range(placing.wait(one).calls)]
    assert len(called) <= 3
    assert values(placing.outcomes(placing.place(placing.job_of(abs), -3))) == [3]


def test_what_was_let_go_begins_no_further_call(
    placing: ContractBench, tmp_path: Path
) -> None:
    """A call that cannot be ended is the last of its chunk, after `forget`, too."""
    began, release = tmp_path / "began", tmp_path / "release"
    job = placing.job_of(partial(workloads.mark_and_wait, str(began), str(release)))
    chunk = placing.place(job, 0, 1, 2)
    workloads.wait_until(lambda: workloads.lines(began) == ["0"])

    placing.host.do(lambda: placing.backend.cancel(job))
    placing.host.do(lambda: placing.backend.kill(job))
    placing.until_finished(chunk)  # the event loop itself waits: it is let go
    placing.host.do(lambda: placing.backend.forget(job))
    release.touch()

    workloads.wait_until(lambda: placing.host.do(placing.backend.ready) >= 0)
    after = placing.place(placing.job_of(abs), -3)
    assert values(placing.outcomes(after)) == [3]
    placing.host.do(placing.backend.close)
    assert workloads.lines(began) == ["0"]


def test_forget_drops_the_function(bench: ContractBench) -> None:
    """After the run, nothing of the backend keeps the function or the items alive."""

    class Big:
        def __call__(self, x: Any) -> int:
            return 1

    fn, item = Big(), Big()
    kept = [weakref.ref(fn), weakref.ref(item)]

    def go(fn: Any, item: Any) -> None:
        job = bench.job_of(fn)
        chunk = bench.place(job, item, item)
        assert values(bench.outcomes(chunk)) == [1, 1]
        bench.host.do(lambda: bench.backend.forget(job))
        bench.host.outcomes.clear()

    go(fn, item)
    del fn, item

    workloads.wait_until(lambda: gc.collect() >= 0 and not any(r() for r in kept))


def test_ready_counts_who_waits(bench: ContractBench) -> None:
    """Never negative; after a chunk there is somebody who could take the next."""
    assert bench.host.do(bench.backend.ready) >= 0

    bench.outcomes(bench.place(bench.job_of(abs), 1))

    workloads.wait_until(lambda: bench.host.do(bench.backend.ready) >= 1)


def test_close_twice(bench: ContractBench) -> None:
    """It leaves nothing behind, and a second time does nothing."""
    bench.outcomes(bench.place(bench.job_of(abs), 1))

    bench.host.do(bench.backend.close)
    bench.host.do(bench.backend.close)


def test_close_before_any_use(bench: ContractBench) -> None:
    """It was never asked for anything, and leaves nothing behind."""
    bench.host.do(bench.backend.close)


def test_close_during_a_call(placing: ContractBench, tmp_path: Path) -> None:
    """It does not wait for calls that do not end."""
    began, release = tmp_path / "began", tmp_path / "release"
    job = placing.waiting_job(began, release)
    placing.place(job, 0)
    workloads.wait_until(began.exists)

    try:
        placing.host.do(placing.backend.close)
    finally:
        release.touch()


@pytest.mark.parametrize("name", ["threads", "event_loop"])
def test_calls_see_the_context(name: BackendName) -> None:
    """Each call has a copy of the job's context: changes reach nobody else."""
    bench = ContractBench(name)
    context = contextvars.copy_context()
    context.run(workloads.VAR.set, "the caller's")
    try:
        job = bench.job_of(workloads.swap_var, context=context)
        seen = values(bench.outcomes(bench.place(job, *range(4))))
    finally:
        bench.close()

    assert seen == ["the caller's"] * 4
    assert context[workloads.VAR] == "the caller's"


def test_encode_does_not_change_the_item(bench: ContractBench) -> None:
    """Arguments stay as they are; only the form in which they travel is added."""
    item = Item(3, ("a", [1]))

    bench.backend.prepare(bench.job_of(abs))
    bench.backend.encode(item)

    assert (item.index, item.args) == (3, ("a", [1]))
    assert (item.payload is not None) == bench.backend.travels


def test_where_items_are_called(bench: ContractBench) -> None:
    """A backend says whether items leave this process, and keeps to it."""
    (pid,) = values(bench.outcomes(bench.place(bench.job_of(workloads.pid), 0)))

    assert (pid != os.getpid()) == bench.backend.travels
