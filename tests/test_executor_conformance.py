"""Conformance: CPython's own tests of executors, with `SmartPool` as the executor.

They come with some interpreters, as `test.test_concurrent_futures` (3.13 and newer
here). What they ask of a `ProcessPoolExecutor`'s insides, and the one promise that
smartpool makes differently on purpose, are left out, each with its reason.
"""

# mypy: ignore-errors
# ruff: noqa: E402 - those imports come after the look whether they can be
# (the standard library's tests have no types, and all of this derives from them)

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import unittest
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest

import smartpool
from smartpool import SmartPool

ROOT = Path(smartpool.__file__).parent.parent
LIMIT_S = 60.0


def _ships_its_tests() -> bool:
    if sys.version_info < (3, 13):  # those are laid out differently
        return False
    try:
        return importlib.util.find_spec("test.test_concurrent_futures") is not None
    except ModuleNotFoundError:
        return False


if not _ships_its_tests():
    pytest.skip("this Python has no tests of executors", allow_module_level=True)

from test.test_concurrent_futures import test_deadlock
from test.test_concurrent_futures.executor import ExecutorTest
from test.test_concurrent_futures.test_as_completed import AsCompletedTests
from test.test_concurrent_futures.test_deadlock import ExecutorDeadlockTest
from test.test_concurrent_futures.test_init import (
    FailingInitializerMixin,
    InitializerMixin,
)
from test.test_concurrent_futures.test_shutdown import ExecutorShutdownTest
from test.test_concurrent_futures.test_wait import WaitTests
from test.test_concurrent_futures.util import BaseTestCase, ExecutorMixin

pytestmark = [
    pytest.mark.heavy,  # they sleep for most of a minute
    # They start threads and processes of their own while ours are there.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def left_out(reason: str) -> Any:
    """Return what takes the place of a test that is left out."""

    def test(self: unittest.TestCase) -> None:
        self.skipTest(reason)

    return test


def script(code: str) -> tuple[bytes, bytes]:
    """Run a program; return what it printed, and its errors."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done
    return done.stdout, done.stderr


def pool_with_context(
    max_workers: int | None = None, *, mp_context: object = None, **options: Any
) -> SmartPool:
    """Make a pool as these tests do, which name a start method."""
    return SmartPool(max_workers, **options)


class Ours(ExecutorMixin):
    executor_type = SmartPool


class Managed(ExecutorMixin):
    """With a manager's process for events; forked, since that starts no other one."""

    executor_type = staticmethod(pool_with_context)
    ctx = "fork"

    def create_event(self) -> Any:
        return self.manager.Event()

    def create_barrier(self, *args: Any, **kwargs: Any) -> Any:
        return self.manager.Barrier(*args, **kwargs)


class OurThreads(ExecutorMixin):
    executor_type = SmartPool

    def setUp(self) -> None:
        self.executor_kwargs = {**self.executor_kwargs, "backend": "threads"}
        super().setUp()

    def create_event(self) -> Any:
        return threading.Event()

    def create_barrier(self, *args: Any, **kwargs: Any) -> Any:
        return threading.Barrier(*args, **kwargs)


class TestExecutor(ExecutorTest, Ours, BaseTestCase):
    pass


class TestExecutorOnThreads(ExecutorTest, OurThreads, BaseTestCase):
    pass


class TestWait(WaitTests, Managed, BaseTestCase):
    pass


class TestWaitOnThreads(WaitTests, OurThreads, BaseTestCase):
    pass


class TestAsCompleted(AsCompletedTests, Managed, BaseTestCase):
    pass


class TestInitializer(InitializerMixin, Ours, BaseTestCase):
    pass


class TestInitializerOnThreads(InitializerMixin, OurThreads, BaseTestCase):
    def setUp(self) -> None:
        InitializerMixin.setUp(self)


class TestFailingInitializer(FailingInitializerMixin, Ours, BaseTestCase):
    pass


class TestShutdown(ExecutorShutdownTest, Ours, BaseTestCase):
    # The three that name an executor of `concurrent.futures` in a program: with ours.

    def test_interpreter_shutdown(self) -> None:
        """The end of the program waits for what was submitted."""
        out, err = script(
            "from smartpool import SmartPool\n"
            "from test.test_concurrent_futures.test_shutdown import sleep_and_print\n"
            "SmartPool(5).submit(sleep_and_print, 1.0, 'apple')\n"
        )
        assert not err
        assert out.strip() == b"apple"

    def test_submit_after_interpreter_shutdown(self) -> None:
        """It is refused, in words."""
        out, err = script(
            "import atexit\n"
            "from smartpool import SmartPool\n"
            "@atexit.register\n"
            "def run_last():\n"
            "    try:\n"
            "        t.submit(id, None)\n"
            "    except RuntimeError:\n"
            "        print('runtime-error')\n"
            "        raise\n"
            "t = SmartPool(5)\n"
            "t.submit(id, 42).result()\n"
        )
        assert b"PoolClosedError: the program is ending" in err
        assert out.strip() == b"runtime-error"

    def test_hang_gh83386(self) -> None:
        """A pool that was shut down without waiting does not hang at exit."""
        out, err = script(
            "from smartpool import SmartPool\n"
            "from test.test_concurrent_futures.test_shutdown import sleep_and_print\n"
            "t = SmartPool(max_workers=3)\n"
            "t.submit(sleep_and_print, 1.0, 'apple')\n"
            "t.shutdown(wait=False)\n"
        )
        assert not err
        assert out.strip() == b"apple"


class TestDeadlock(ExecutorDeadlockTest, Managed, BaseTestCase):
    TIMEOUT = LIMIT_S
    if hasattr(ExecutorDeadlockTest, "_check_error"):  # its name since 3.14
        _check_crash = ExecutorDeadlockTest._check_error

    def _fail_on_deadlock(self, executor: SmartPool) -> None:
        executor.close()
        self.fail("deadlock")

    # What an item raises while it is unpickled is its own error, and stays what it is:
    # the standard library breaks the pool.

    def test_error_at_task_unpickle(self) -> None:
        """It is the outcome of the call."""
        self.addCleanup(setattr, sys, "stderr", sys.stderr)
        self._check_crash(UnpicklingError, id, test_deadlock.ErrorAtUnpickle())

    def test_exit_at_task_unpickle(self) -> None:
        """It is the outcome of the call."""
        self._check_crash(SystemExit, id, test_deadlock.ExitAtUnpickle())

    def test_error_during_result_unpickle_in_result_handler(self) -> None:
        """It is the outcome of the call."""
        self.addCleanup(setattr, sys, "stderr", sys.stderr)
        self._check_crash(
            UnpicklingError,
            test_deadlock._return_instance,
            test_deadlock.ErrorAtUnpickle,
            ignore_stderr=True,
        )

    def test_exit_during_result_unpickle_in_result_handler(self) -> None:
        """It is the outcome of the call."""
        self._check_crash(
            SystemExit, test_deadlock._return_instance, test_deadlock.ExitAtUnpickle
        )

    # What exits while its result is pickled cannot be pickled.

    def test_exit_during_result_pickle_on_worker(self) -> None:
        """It is the outcome of the call."""
        self._check_crash(
            smartpool.NotPicklableError,
            test_deadlock._return_instance,
            test_deadlock.ExitAtPickle,
        )

    def test_crash_costs_one_call(self) -> None:
        """Do what `test_process_pool.test_killed_child` does, and find the pool well."""
        self.executor.shutdown(wait=True)
        with SmartPool(2) as pool:
            with pytest.raises(BrokenProcessPool):
                pool.submit(test_deadlock._crash).result(LIMIT_S)
            assert pool.submit(pow, 2, 8).result(LIMIT_S) == 256

    test_shutdown_deadlock_pickle = left_out(
        "waits for a thread by its name in ProcessPoolExecutor"
    )
    test_gh105829_should_not_deadlock_if_wakeup_pipe_full = left_out(
        "patches the insides of ProcessPoolExecutor"
    )
