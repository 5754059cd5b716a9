"""Notebooks: smartpool in a real kernel. What it needs is the extra `notebooks`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

import smartpool
from tests import called, workloads
from tests.leaks import descendants

ROOT = Path(smartpool.__file__).parent.parent
HANG_S = 60.0
STOPPED_S = 5.0
"""The promise is 1 s; the machine may be busy."""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        find_spec("jupyter_client") is None, reason="there are no notebooks here"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


class Kernel:
    """A kernel in a process of its own, and a client that has cells executed."""

    def __init__(self, folder: Path) -> None:
        start = import_module("jupyter_client.manager").start_new_kernel
        env = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)}
        self.manager, self.client = start(
            kernel_name="python3", env=env, cwd=str(folder), startup_timeout=HANG_S
        )

    def begin(self, code: str) -> str:
        """Have a cell executed; return what its messages are answers to."""
        asked: str = self.client.execute(code)
        return asked

    def end(self, asked: str) -> tuple[str, list[str]]:
        """Return what a cell has printed, and the names of errors it ended with."""
        printed, errors = "", list[str]()
        until_s = time.monotonic() + HANG_S
        while time.monotonic() < until_s:
            try:
                message: Any = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed += content["text"]
            elif message["msg_type"] == "error":
                errors.append(content["ename"])
            elif content.get("execution_state") == "idle":
                return printed, errors
        raise TimeoutError(printed)

    def run(self, code: str) -> str:
        """Execute a cell that must not fail; return what it prints."""
        printed, errors = self.end(self.begin(code))
        assert errors == [], printed
        return printed

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """The event loop that the client's library makes, and keeps: before any test."""
    made = import_module("jupyter_core.utils").ensure_event_loop()
    yield
    made.close()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()


SETUP = """
import os, time
from smartpool import run_parallel, SmartPool

def work(x):
    return x * 10, os.getpid()
"""


def test_cells(kernel: Kernel) -> None:
    """Functions of cells go to workers as they are now, and worker output is seen."""
    kernel.run(SETUP)
    run = "results = run_parallel(work, range(4), backend='processes', max_workers=2)\n"
    show = "print([x for x, _ in results], os.getpid() in {pid for _, pid in results})"
    assert kernel.run(run + show) == "[0, 10, 20, 30] False\n"

    kernel.run("def work(x):\n    return x + scale, os.getpid()\nscale = 1")
    assert kernel.run(run + show) == "[1, 2, 3, 4] False\n"
    kernel.run("scale = 5")
    assert kernel.run(run + show) == "[5, 6, 7, 8] False\n"
    assert "processes" in kernel.run("print(results.report)")


def test_an_interrupt(kernel: Kernel, tmp_path: Path) -> None:
    """The button stops the run with one error, and the kernel goes on."""
    kernel.run(SETUP)
    path = tmp_path / "began"
    asked = kernel.begin(
        f"def forever(x):\n    open({str(path)!r}, 'w').close()\n"
        "    while True: time.sleep(0.01)\n"
        "run_parallel(forever, range(4), backend='processes', max_workers=2)"
    )
    workloads.until_exists(str(path))
    began_s = time.monotonic()
    kernel.manager.interrupt_kernel()

    assert kernel.end(asked)[1] == ["KeyboardInterrupt"]
    assert time.monotonic() - began_s < STOPPED_S
    assert kernel.run("print(run_parallel(abs, [-1, 2]))") == "[1, 2]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["shutdown", "kill"])
def test_the_end(kernel: Kernel, how: str) -> None:
    """A kernel that is shut down, or killed, leaves no worker behind."""
    kernel.run(SETUP + "pool = SmartPool(2, backend='processes')\n")
    pids = kernel.run("print(*{pid for _, pid in pool.run_parallel(work, range(40))})")
    workers = [int(pid) for pid in pids.split()]
    assert workers
    assert {one.pid for one in descendants()} > set(workers)

    if how == "kill":
        os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    else:
        kernel.manager.shutdown_kernel()

    workloads.wait_until(lambda: all(called.is_gone(pid) for pid in workers))
