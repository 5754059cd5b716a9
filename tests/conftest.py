"""What every test gets: hypothesis profiles, the leak check, stacks for hangs."""

import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.leaks import Snapshot, descendants, left_behind, mark_environment
from tests.quiet import QUIET_BELOW, Clocks, clocks, taken

if importlib.util.find_spec("numpy") is not None:
    importlib.import_module("numpy")  # its BLAS starts threads, for good: not in a test

hypothesis.settings.register_profile(
    "dev",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "ci",
    parent=hypothesis.settings.get_profile("dev"),
    derandomize=True,
    print_blob=True,
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

# Child interpreters inherit it: asked to abort, they print every thread's stack.
os.environ.setdefault("PYTHONFAULTHANDLER", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a script's job in the background; the programs that tests start inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
SESSION_MARK = mark_environment()
PRINTING_STACKS_S = 3.0
TRIES = 3
"""A machine that is not ours may mislead one measurement, but hardly three."""


def _close_default_pool() -> None:
    """Close the shared pool, which is meant to outlive a call but not a test."""
    if "smartpool" not in sys.modules:
        return
    try:
        testing = importlib.import_module("smartpool.testing")
    except ModuleNotFoundError:  # a test of less than the whole package
        return
    testing.close_default_pool()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a process or a descriptor behind."""
    before = Snapshot(SESSION_MARK)
    yield
    _close_default_pool()
    left = left_behind(before)
    if left:
        for process in descendants(SESSION_MARK):
            if (process.pid, process.start) not in before.processes:
                with contextlib.suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)  # for the next tests' sake
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


def pytest_exception_interact(call: pytest.CallInfo[object]) -> None:
    """After a hang, let every child interpreter print its stacks, and end."""
    if call.excinfo is None or "from pytest-timeout" not in str(call.excinfo.value):
        return
    children = descendants(SESSION_MARK)
    for child in children:
        print(child, file=sys.stderr)
        with contextlib.suppress(OSError):
            os.kill(child.pid, signal.SIGABRT)
    if children:
        time.sleep(PRINTING_STACKS_S)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Repeat a measurement that failed, if others had the CPUs meanwhile.

    One that fails on a quiet machine is not repeated, and every repetition is told.
    """
    if item.get_closest_marker("measures") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for tried in range(1, TRIES + 1):
        before = clocks(SESSION_MARK)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        failed = any(report.failed for report in reports)
        if not failed or tried == TRIES:
            break
        share = _taken_since(before)
        if share < QUIET_BELOW:
            break
        _tell(item, f"failed while others had {share:.0%} of the CPUs: once more")
        item._initrequest()  # type: ignore[attr-defined]  # fresh fixtures
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _taken_since(before: Clocks | None) -> float:
    """Return the share of the CPUs that others had; 0 where nobody knows."""
    after = clocks(SESSION_MARK)
    if before is None or after is None:
        return 0.0
    return taken(before, after, os.cpu_count() or 1)


def _tell(item: pytest.Item, text: str) -> None:
    reporter = item.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"{item.nodeid}: {text}")
