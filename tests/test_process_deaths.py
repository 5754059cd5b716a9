"""Contract, special to processes: what the death of a worker costs, at every stage."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smartpool._backends._processes import ending, start, worker
from smartpool._backends.processes import Processes
from smartpool._crash import WorkerCrashError
from smartpool._errors import SmartPoolError
from smartpool._outcome import Error, Value
from tests import called
from tests.hosts import Bench

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")

Deadly = Callable[[Any], Any]

DEATHS: list[tuple[Deadly, int | None, str | None]] = [
    (called.sigkill, None, "SIGKILL"),
    (called.segfault, None, "SIGSEGV"),
    (called.exit_at_once, 7, None),
]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(lambda host: Processes(host, cpus=1))
    yield bench
    bench.close()


def marks(path: Path) -> list[str]:
    return path.read_text().split()


def crash(outcome: Value | Error) -> WorkerCrashError:
    assert isinstance(outcome, Error)
    assert isinstance(outcome.error, WorkerCrashError)
    return outcome.error


@pytest.mark.parametrize(("death", "code", "name"), DEATHS)
def test_costs_one_item(
    bench: Bench, tmp_path: Path, death: Deadly, code: int | None, name: str | None
) -> None:
    """Results before it are kept, it alone fails, those after it are not called."""
    path = tmp_path / "calls"

    def fn(x: int) -> Any:
        called.count(str(path), x)
        return death(x) if x == 3 else x

    chunk = bench.chunk(fn, *range(6))

    *values, last = bench.outcomes(chunk)

    assert [value.value for value in values] == [0, 1, 2]  # type: ignore[union-attr]
    error = crash(last)
    assert (error.index, error.exit_code, error.signal) == (3, code, name)
    assert marks(path) == ["0", "1", "2", "3"]
    assert bench.wait(chunk).calls == 4


@pytest.mark.parametrize("stage", ["arguments", "result"])
@pytest.mark.parametrize(("death", "code", "name"), DEATHS)
def test_in_pickling_costs_one_item(
    bench: Bench, stage: str, death: Deadly, code: int | None, name: str | None
) -> None:
    """A crash while arguments are loaded, or the result is pickled, is the item's."""
    if stage == "arguments":
        chunk = bench.chunk(called.same, 1, called.Bad("loads", death), 3)
    else:
        chunk = bench.chunk(called.at(1, partial(on_second, death)), 0, 1, 2)

    first, second = bench.outcomes(chunk)

    assert not first.failed
    assert crash(second).index == 1
    assert (crash(second).exit_code, crash(second).signal) == (code, name)


def on_second(death: Deadly, _: int) -> Any:
    return called.bad_result(death)


@pytest.mark.parametrize("size", [10, 100_000, 200_000, 300_000, 3_000_000])
def test_results_before_it_are_whole(bench: Bench, size: int) -> None:
    """Whatever their size, each is reported once and intact."""

    def fn(x: int) -> Any:
        return bytes([x]) * size if x < 5 else called.sigkill(x)

    *values, last = bench.outcomes(bench.chunk(fn, *range(8)))

    assert [v.value for v in values] == [bytes([x]) * size for x in range(5)]  # type: ignore[union-attr]
    assert crash(last).index == 5


def test_the_next_chunk_gets_another_worker(bench: Bench) -> None:
    """A dead worker is replaced when there is work for it."""
    bench.outcomes(bench.chunk(called.sigkill, 0))

    assert bench.map(called.same, 1) == [1]


def test_of_an_idle_worker_costs_nothing(bench: Bench) -> None:
    """It is noticed, and the next chunk is called elsewhere."""
    for _ in range(5):
        (pid,) = bench.map(called.pid, 0)
        os.kill(pid, signal.SIGKILL)
        (other,) = bench.map(called.pid, 0)
        assert other != pid


def test_of_a_stopped_idle_worker_costs_nothing(bench: Bench) -> None:
    """A chunk that it was sent and never began goes to another."""
    (pid,) = bench.map(called.pid, 0)
    os.kill(pid, signal.SIGSTOP)
    chunk = bench.chunk(called.pid, 0)
    os.kill(pid, signal.SIGKILL)

    (outcome,) = bench.outcomes(chunk)

    assert isinstance(outcome, Value)
    assert outcome.value != pid


def test_of_a_starting_worker_costs_nothing(bench: Bench) -> None:
    """Workers that die before they are up are replaced."""
    chunk = bench.chunk(called.pid, 0)
    backend = bench.backend
    assert isinstance(backend, Processes)
    (pid,) = bench.host.do(backend.worker_pids)
    os.kill(pid, signal.SIGKILL)

    (outcome,) = bench.outcomes(chunk)

    assert isinstance(outcome, Value)


@pytest.mark.parametrize(("death", "code", "name"), DEATHS)
def test_in_loading_the_function_ends(
    bench: Bench, death: Deadly, code: int | None, name: str | None
) -> None:
    """A function that kills every worker fails its item after a few, not never."""
    fn = partial(called.same, called.Bad("loads", death))

    chunk = bench.chunk(fn, 1, 2)
    (outcome,) = bench.outcomes(chunk)

    error = crash(outcome)
    assert (error.index, error.exit_code, error.signal) == (None, code, name)
    assert bench.map(called.same, 1) == [1]


def test_with_a_child_that_holds_its_descriptors(bench: Bench, tmp_path: Path) -> None:
    """A grandchild from `fork` neither hides the death nor lives on."""
    path = tmp_path / "grandchild"
    (outcome,) = bench.outcomes(bench.chunk(called.fork_and_die, str(path)))

    assert crash(outcome).exit_code == 3


def test_where_sigchld_is_ignored(bench: Bench) -> None:
    """Nothing hangs; how the worker ended is not known."""
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        (outcome,) = bench.outcomes(bench.chunk(called.exit_at_once, 0))
        assert bench.map(called.same, 1) == [1]
        bench.host.do(bench.backend.close)
    finally:
        signal.signal(signal.SIGCHLD, before)

    error = crash(outcome)
    assert (error.index, error.exit_code, error.signal) == (0, None, None)


def test_where_the_worker_closes_everything(bench: Bench) -> None:
    """An item that closes descriptors which are not its own costs itself at most."""
    fn = called.at(2, lambda _: os.closerange(0, 256))

    *values, last = bench.outcomes(bench.chunk(fn, 0, 1, 2))

    assert [value.value for value in values] == [0, 1]  # type: ignore[union-attr]
    assert last.failed is False or crash(last).index == 2
    assert bench.map(called.same, 1) == [1]


def test_where_no_worker_can_be_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few tries the item fails, and says why."""
    monkeypatch.setattr(start, "interpreter", lambda: None)

    (outcome,) = bench.outcomes(bench.chunk(called.same, 1))

    assert isinstance(outcome, Error)
    assert "no Python interpreter" in str(outcome.error)


def test_where_a_start_fails_in_another_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, the item fails and says why, and the next one is called."""

    def refuse(*_: object) -> None:
        raise ValueError("embedded null byte")

    with monkeypatch.context() as patched:
        patched.setattr(worker, "start", refuse)
        (outcome,) = bench.outcomes(bench.chunk(called.same, 1))

    assert isinstance(outcome, Error)
    assert isinstance(outcome.error, SmartPoolError)
    assert "embedded null byte" in str(outcome.error)
    assert bench.map(called.same, 1) == [1]


def test_of_a_worker_that_cannot_be_listened_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would hear of its end: it is killed, and another one is started."""
    greet, refused = worker.Worker.greet, list[int]()

    def refuse_once(one: worker.Worker) -> None:
        if not refused:
            refused.append(one.pid)
            raise OSError(28, "no space left for one more watch")
        greet(one)

    monkeypatch.setattr(worker.Worker, "greet", refuse_once)

    assert bench.map(called.pid, 0) != refused
    assert len(refused) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(refused[0], 0)


def test_anywhere_loses_nothing(bench: Bench) -> None:
    """Workers killed from outside, again and again: each chunk ends, in order."""
    backend = bench.backend
    assert isinstance(backend, Processes)
    job = bench.job(called.same)
    crashes = 0
    for _ in range(30):
        chunk = bench.chunk(job, *range(300))
        for pid in bench.host.do(backend.worker_pids):
            with contextlib.suppress(ProcessLookupError):  # it died of the last one
                os.kill(pid, signal.SIGKILL)
        *values, last = bench.outcomes(chunk) or [Value(None)]
        assert [v.value for v in values] == list(range(len(values)))  # type: ignore[union-attr]
        if last.failed:
            crashes += 1
            assert crash(last).index == len(values)
    assert crashes <= 30


@pytest.fixture(params=["no pidfd", "an older kernel"])
def lacking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what only newer systems have."""
    if request.param == "no pidfd":
        monkeypatch.setattr(start, "_pidfd", lambda _: -1)
    else:
        monkeypatch.setattr(ending, "_TO_GROUP", 1 << 20)


@pytest.mark.usefixtures("lacking")
def test_on_other_systems(tmp_path: Path) -> None:
    """Deaths, kills and the end are dealt with by the end of the socket and by pid."""
    bench = Bench(lambda host: Processes(host, cpus=1))
    begun = tmp_path / "begun"
    (outcome,) = bench.outcomes(bench.chunk(called.exit_at_once, 0))
    assert crash(outcome).exit_code == 7
    path = tmp_path / "grandchild"
    (outcome,) = bench.outcomes(bench.chunk(called.fork_and_die, str(path)))
    assert crash(outcome).exit_code == 3
    job = bench.job(called.touch_and_wait)
    chunk = bench.chunk(job, str(begun))
    called.until_exists(str(begun))
    bench.host.do(lambda: bench.backend.kill(job))
    assert crash(bench.outcomes(chunk)[0]).signal == "SIGKILL"
    (pid,) = bench.map(called.pid, 0)
    os.kill(pid, signal.SIGKILL)
    assert bench.map(called.pid, 0) != [pid]
    bench.close()
