"""Contract, special to processes: functions, arguments, results, placing, the end."""

import functools
import math
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smartpool._backends.base import Chunk, Item
from smartpool._backends.processes import Processes
from smartpool._errors import NotPicklableError, SmartPoolError
from smartpool._outcome import Error
from smartpool._worker.raised import RemoteTraceback
from tests import called
from tests.hosts import Bench

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")


class ProcessBench(Bench):
    def __init__(self) -> None:
        super().__init__(lambda host: Processes(host, cpus=1))

    @property
    def processes(self) -> Processes:
        assert isinstance(self.backend, Processes)
        return self.backend


@pytest.fixture
def bench() -> Iterator[ProcessBench]:
    bench = ProcessBench()
    yield bench
    bench.close()


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def double(self, y: int) -> int:
        return 2 * self.x * y


def in_main(*things: Any) -> Any:
    """Let functions and classes be of `__main__`, as a script's are."""
    for thing in things:
        thing.__module__ = "__main__"
    return things[0]


class TestFunctions:
    def test_by_reference(self, bench: ProcessBench) -> None:
        """A function that can be imported is called; results come in order."""
        assert bench.map(called.same, 1, "b", None) == [1, "b", None]

    @pytest.mark.parametrize(
        ("fn", "arg", "expected"),
        [
            (lambda x: x + 1, 1, 2),
            (called.at(1, called.same), 1, 1),
            (functools.partial(pow, 2), 5, 32),
            (functools.partial(lambda a, b: a - b, 7), 5, 2),
            (Point(3).double, 2, 12),
            (called.Adder(10), 1, 12),
            (called.Adder(10).add, 1, 12),
            (math.sqrt, 9.0, 3.0),
            ("abc".find, "c", 2),
            (int, "7", 7),
            (functools.lru_cache(lambda x: -x), 4, -4),
            (called.wait_a_moment, 1, 2),
        ],
    )
    def test_every_sort(
        self, bench: ProcessBench, fn: Any, arg: Any, expected: Any
    ) -> None:
        """Lambdas, closures, partials, methods, callables, builtins, classes."""
        is_async = fn is called.wait_a_moment

        assert bench.map(bench.job(fn, is_async=is_async), arg) == [expected]

    def test_a_cached_function_that_calls_itself(self, bench: ProcessBench) -> None:
        """One of `__main__` under `lru_cache` travels, and its cache is one."""

        @functools.lru_cache(maxsize=500)
        def fibonacci(n: int) -> int:
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        assert bench.map(fibonacci, 80) == [23416728348467685]

    def test_state_is_a_snapshot_of_each_job(self, bench: ProcessBench) -> None:
        """A worker goes on with a job's state; the next job starts from the caller's."""
        adder = called.Adder(0)
        job = bench.job(adder)

        assert bench.map(job, 0, 0) == [1, 2]
        assert bench.map(job, 0) == [3]
        assert bench.map(adder, 0) == [1]
        assert adder.n == 0

    def test_classes_of_main_come_back_as_themselves(self, bench: ProcessBench) -> None:
        """An instance of a class of `__main__` is one here after a round trip."""

        class Here:
            def __init__(self, x: int) -> None:
                self.x = x

        in_main(Here).__qualname__ = "Here"

        (same, made) = bench.map(
            lambda x: x if isinstance(x, Here) else Here(x), Here(1), 2
        )

        assert isinstance(same, Here)
        assert isinstance(made, Here)
        assert (same.x, made.x) == (1, 2)

    def test_code_that_differs_is_noticed(
        self, bench: ProcessBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A module that was reloaded here is called as it is now, in warm workers."""
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "reloaded.py").write_text("def fn(x): return x + 1")
        import reloaded  # type: ignore[import-not-found]

        assert bench.map(reloaded.fn, 1) == [2]
        exec("def fn(x): return x + 2", reloaded.__dict__)
        assert bench.map(reloaded.fn, 1) == [3]
        del sys.modules["reloaded"]

    def test_a_module_without_a_file(self, bench: ProcessBench) -> None:
        """What a worker cannot import goes along by value, arguments as well."""
        module = types.ModuleType("nowhere")
        exec(
            "k = 1\nclass C:\n  x = 5\n"
            "def helper(x): return x + k\n"
            "def fn(x): return helper(x.x) if isinstance(x, C) else helper(x)",
            module.__dict__,
        )
        sys.modules["nowhere"] = module
        try:
            assert bench.map(module.fn, 1, module.C()) == [2, 6]
            (back,) = bench.map(called.same, module.C())
            assert type(back) is module.C
        finally:
            del sys.modules["nowhere"]

    def test_modules_of_modules_without_a_file(self, bench: ProcessBench) -> None:
        """One that names another that workers lack is sent with it."""
        one, two = types.ModuleType("one_of_two"), types.ModuleType("two_of_two")
        sys.modules.update({"one_of_two": one, "two_of_two": two})
        try:
            exec("class C:\n  x = 5", one.__dict__)
            exec("from one_of_two import C\ndef fn(x): return C.x + x", two.__dict__)
            assert bench.map(two.fn, 1, 2) == [6, 7]
        finally:
            del sys.modules["one_of_two"], sys.modules["two_of_two"]

    def test_what_cannot_travel_says_so(self, bench: ProcessBench) -> None:
        """The error names the function, the reason, and a way out."""
        lock = threading.Lock()

        def locked(x: int) -> int:
            with lock:
                return x

        with pytest.raises(NotPicklableError, match=r"locked cannot .*lock.*threads"):
            bench.job(locked)

    def test_a_function_that_cannot_be_loaded_fails_its_item(
        self, bench: ProcessBench
    ) -> None:
        """What loading raises in the worker is the outcome; the worker lives."""
        first = bench.map(called.pid, 0)
        bad = functools.partial(called.same, called.Bad("loads", called.fail))
        chunk = bench.chunk(bad, 1, 2)

        (outcome,) = bench.outcomes(chunk)

        assert isinstance(outcome, Error)
        assert isinstance(outcome.error, ValueError)
        assert bench.map(called.pid, 0) == first

    def test_sent_once(self, bench: ProcessBench) -> None:
        """A worker that has a function is not sent it again, by the next job neither."""
        data = os.urandom(100_000)

        def fn(x: int) -> int:
            return x + len(data)

        job = bench.job(fn)
        bench.map(job, 0)
        after_first = bench.processes.bytes_sent()
        bench.map(job, 0)
        bench.host.do(lambda: bench.backend.forget(job))
        bench.map(fn, 0)

        assert after_first > 100_000
        assert bench.processes.bytes_sent() - after_first < 20_000

    def test_large_functions_are_dropped(self, bench: ProcessBench) -> None:
        """A function above a size is kept for its job alone, and still works."""
        data = bytes(3_000_000)

        def fn(x: int) -> int:
            return x + len(data)

        for _ in range(2):
            job = bench.job(fn)
            assert bench.map(job, 1) == [3_000_001]
            assert bench.map(job, 2) == [3_000_002]
            bench.host.do(lambda job=job: bench.backend.forget(job))  # type: ignore[misc]

    def test_many_functions(self, bench: ProcessBench) -> None:
        """More functions than a worker keeps: each is called all the same."""
        adders = [functools.partial(int.__add__, n) for n in range(40)]
        for _ in range(2):
            for n, fn in enumerate(adders):
                assert bench.map(fn, 1) == [n + 1]


class TestSurroundings:
    def test_of_a_worker(
        self, bench: ProcessBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """`sys.path`, `argv`, directory as here; no input; own group; thread caps."""
        monkeypatch.chdir(tmp_path)

        (there,) = bench.map(called.surroundings, 0)

        assert there["argv"] == sys.argv
        assert there["path"] == sys.path
        assert there["cwd"] == str(tmp_path)
        assert there["stdin"] == "/dev/null"
        assert there["fds"] == {}
        assert there["group"]
        assert there["omp"] == os.environ.get("OMP_NUM_THREADS", "1")
        assert there["sigint"]
        heavy = {"asyncio", "multiprocessing", "concurrent.futures"}
        if sys.version_info[:2] != (3, 14):  # there, logging loads it, which goes along
            heavy.add("dataclasses")
        assert not heavy & there["modules"]

    def test_follow_the_caller(
        self, bench: ProcessBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A warm worker calls each job where its caller was."""
        bench.map(called.pid, 0)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))

        (there,) = bench.map(called.surroundings, 0)

        assert there["cwd"] == str(tmp_path)
        assert there["path"][0] == str(tmp_path)

    def test_nesting(self, bench: ProcessBench) -> None:
        """A worker knows how deep it is, and how many CPUs a call may use."""
        assert bench.map(bench.job(called.nesting, cpus=3), 0) == [(1, 3)]


class TestArgumentsAndResults:
    def test_arguments_that_cannot_travel(self, bench: ProcessBench) -> None:
        """The error names the item."""
        with pytest.raises(NotPicklableError, match=r"item 4 cannot .*threads"):
            bench.backend.encode(Item(4, (threading.Lock(),)))

    def test_a_result_that_cannot_travel(self, bench: ProcessBench) -> None:
        """It is its item's error, and says what the result was."""
        with pytest.raises(NotPicklableError, match=r"frame.*threads"):
            bench.map(called.unpicklable_result, 1)

    def test_arguments_that_do_not_load(self, bench: ProcessBench) -> None:
        """What loading them raises is the item's error."""
        with pytest.raises(ValueError, match="0"):
            bench.map(called.same, called.Bad("loads", called.fail))

    def test_a_result_that_does_not_load(self, bench: ProcessBench) -> None:
        """What loading it here raises is the item's error, on the caller's thread."""
        chunk = bench.chunk(lambda x: called.Bad("loads", called.fail), 1)

        (outcome,) = bench.outcomes(chunk)

        assert isinstance(outcome, Error)
        assert isinstance(outcome.error, ValueError)

    def test_much_both_ways(self, bench: ProcessBench) -> None:
        """50 MB there and back in many items of one chunk: nothing blocks."""
        args = [bytes([i]) * 5_000_000 for i in range(10)]

        assert bench.map(called.same, *args) == args

    def test_many_small_results(self, bench: ProcessBench) -> None:
        """More results than the outbox holds arrive once each, in order."""
        args = [f"{i:0100}" for i in range(10_000)]

        assert bench.map(called.same, *args) == args


class TestErrors:
    def test_come_back_as_themselves(self, bench: ProcessBench) -> None:
        """Type, arguments, notes; the remote traceback is the cause."""
        with pytest.raises(KeyError) as caught:
            bench.map(called.fail_with_note, "k")

        assert caught.value.args == ("k",)
        assert caught.value.__notes__ == ["a note"]
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert "in fail_with_note" in str(caught.value.__cause__)
        assert "calling.py" not in str(caught.value.__cause__)

    def test_with_an_init_of_their_own(self, bench: ProcessBench) -> None:
        """One that cannot be made of its `args` comes back as itself, too."""
        with pytest.raises(called.OddInit, match="5: odd") as caught:
            bench.map(called.fail_oddly, 5)

        assert caught.value.code == 5

    def test_of_main(self, bench: ProcessBench) -> None:
        """One of a class of `__main__` can be caught by that class."""

        class MyError(Exception):
            pass

        in_main(MyError).__qualname__ = "MyError"

        def fail(x: int) -> int:
            raise MyError(x)

        with pytest.raises(MyError, match="1"):
            bench.map(fail, 1)

    def test_that_cannot_travel(self, bench: ProcessBench) -> None:
        """A stand-in comes instead, with type, text and traceback."""
        with pytest.raises(
            SmartPoolError, match=r"called\.Unpicklable: item 3"
        ) as caught:
            bench.map(called.fail_unpicklably, 3)

        assert "in fail_unpicklably" in str(caught.value.__cause__)

    @pytest.mark.parametrize(
        ("fn", "kind"),
        [(called.leave, SystemExit), (called.interrupt, KeyboardInterrupt)],
    )
    def test_that_are_no_exceptions(
        self, bench: ProcessBench, fn: Callable[[Any], Any], kind: type
    ) -> None:
        """`SystemExit` and its like are the item's outcome; the worker lives."""
        (before,) = bench.map(called.pid, 0)
        (outcome,) = bench.outcomes(bench.chunk(fn, 1))

        assert isinstance(outcome, Error)
        assert type(outcome.error) is kind
        assert bench.map(called.pid, 0) == [before]

    def test_end_the_chunk_if_asked(self, bench: ProcessBench) -> None:
        """The chunk ends at the first error, or goes on past it."""
        fn = called.at(1, called.fail)
        stopping = bench.chunk(fn, 0, 1, 2)
        going_on = bench.chunk(bench.job(fn, stop_on_error=False), 0, 1, 2)

        assert [o.failed for o in bench.outcomes(stopping)] == [False, True]
        assert [o.failed for o in bench.outcomes(going_on)] == [False, True, False]
        assert bench.wait(stopping).calls == 2


class TestPlacing:
    def test_workers_stay(self, bench: ProcessBench) -> None:
        """The same workers call the next job."""
        jobs = [bench.map(called.pid, 0) for _ in range(5)]

        assert len({pid for (pid,) in jobs}) == 1
        assert bench.host.do(bench.backend.ready) == 1

    def test_as_many_as_chunks(self, bench: ProcessBench, tmp_path: Path) -> None:
        """Chunks that are placed at once are called at once."""
        files = [str(tmp_path / name) for name in "ab"]
        this = [bench.chunk(meet, (files[0], files[1]))]
        this += [bench.chunk(meet, (files[1], files[0]))]

        pids = {bench.outcomes(chunk)[0].value for chunk in this}  # type: ignore[union-attr]

        assert pids == set(bench.processes.worker_pids())
        assert len(pids) == 2

    def test_usage(self, bench: ProcessBench) -> None:
        """What the calls took comes with the end of the chunk."""
        usage = bench.wait(bench.chunk(burn, 0.02, 0.02))

        assert usage.calls == 2
        assert usage.wall_s >= 0.04
        assert 0 < usage.cpu_s <= usage.wall_s * 1.5
        assert usage.profile is None

    def test_observed(self, bench: ProcessBench) -> None:
        """An observed chunk brings a profile, measured where it was called."""
        usage = bench.wait(bench.chunk(burn, 0.02, 0.02, observe=True))

        profile = usage.profile
        assert profile is not None
        assert (profile.calls, profile.where) == (2, "worker")
        assert profile.wall_s >= 0.02
        assert profile.cpu_s is not None
        assert profile.arg_bytes is not None
        assert profile.arg_bytes < 100
        assert profile.result_bytes is not None
        assert profile.pickle_s is not None
        assert profile.pickle_s < 0.02

    def test_outcomes_come_while_it_goes_on(
        self, bench: ProcessBench, tmp_path: Path
    ) -> None:
        """A long chunk reports outcomes before it has ended."""
        file = str(tmp_path / "go")
        chunk = bench.chunk(burn_or_wait, 0.03, file)

        bench.host.wait_for(lambda: bool(bench.host.outcomes.get(chunk.id)))
        Path(file).touch()

        assert bench.wait(chunk).calls == 2

    def test_cancel(self, bench: ProcessBench, tmp_path: Path) -> None:
        """What runs ends by itself, what follows in its chunk is not called."""
        begun, go = str(tmp_path / "begun"), str(tmp_path / "go")
        job = bench.job(begin_and_wait)
        running = bench.chunk(job, (begun, go), (begun, go))
        called.until_exists(begun)
        queued = bench.chunk(job, (begun, go))

        bench.host.do(lambda: bench.backend.cancel(job))
        assert bench.wait(queued).calls == 0
        Path(go).touch()

        assert bench.wait(running).calls == 1
        assert bench.map(called.same, 1) == [1]

    def test_a_stop_concerns_one_chunk(self, bench: ProcessBench) -> None:
        """After a cancelled chunk the worker calls the next ones whole."""
        job = bench.job(called.same)
        for _ in range(20):
            chunk = bench.chunk(job, *range(50))
            bench.host.do(lambda: bench.backend.cancel(job))
            bench.wait(chunk)
        assert bench.map(called.same, *range(50)) == list(range(50))

    def test_kill(self, bench: ProcessBench, tmp_path: Path) -> None:
        """A call that does not end is ended; other jobs do not notice."""
        begun, go = str(tmp_path / "begun"), str(tmp_path / "go")
        other = bench.chunk(called.until_exists, go)
        job = bench.job(called.touch_and_wait)
        chunk = bench.chunk(job, begun)
        called.until_exists(begun)

        bench.host.do(lambda: bench.backend.kill(job))

        assert bench.wait(chunk).calls == 1
        Path(go).touch()
        assert bench.map(called.same, 1) == [1]
        assert bench.outcomes(other)[0].failed is False

    def test_close_ends_what_runs(self, tmp_path: Path) -> None:
        """Closing kills workers that are busy, finishes all chunks, and is quick."""
        bench = ProcessBench()
        begun = str(tmp_path / "begun")
        chunk = bench.chunk(called.touch_and_wait, begun)
        starting = bench.chunk(called.same, 1)
        called.until_exists(begun)

        before = time.monotonic()
        bench.host.do(bench.backend.close)
        took_s = time.monotonic() - before

        assert bench.wait(chunk).calls == 0
        bench.wait(starting)
        bench.host.do(bench.backend.close)
        assert bench.processes.worker_pids() == []
        bench.host.close()
        assert took_s < 5 * 1.0

    def test_close_ends_what_workers_started(self, tmp_path: Path) -> None:
        """Subprocesses of a worker go with it."""
        bench = ProcessBench()
        (pid,) = bench.map(called.start_sleep, 0)

        bench.close()

        called.wait_until(lambda: not Path(f"/proc/{pid}").exists())

    def test_nothing_is_kept(self, bench: ProcessBench, tmp_path: Path) -> None:
        """An argument goes after its call, what is bound to a function after its job."""
        argument, bound = tmp_path / "argument", tmp_path / "bound"
        job = bench.job(functools.partial(called.ignore, called.Marked(str(bound))))

        bench.map(job, called.Marked(str(argument)))
        called.until_exists(str(argument))
        assert not bound.exists()
        bench.host.do(lambda: bench.backend.forget(job))

        called.until_exists(str(bound))

    def test_not_a_chunk_is_lost(self, bench: ProcessBench) -> None:
        """Many chunks of several jobs on three workers: all finish, results right."""
        jobs = [bench.job(functools.partial(int.__add__, n)) for n in range(3)]
        bench.map(jobs[0], 1)
        chunks: list[tuple[int, Chunk]] = [
            (i % 3, bench.chunk(jobs[i % 3], i, i + 1)) for i in range(60)
        ]
        for n, chunk in chunks:
            first, second = bench.outcomes(chunk)
            assert not first.failed
            assert second.value - first.value == 1  # type: ignore[union-attr]
            assert first.value == chunk.items[0].args[0] + n  # type: ignore[union-attr]


def meet(files: tuple[str, str]) -> int:
    Path(files[0]).touch()
    called.until_exists(files[1])
    return os.getpid()


def burn(seconds: float) -> float:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def burn_or_wait(what: float | str) -> object:
    return called.until_exists(what) if isinstance(what, str) else burn(what)


def begin_and_wait(files: tuple[str, str]) -> None:
    Path(files[0]).touch()
    called.until_exists(files[1])
