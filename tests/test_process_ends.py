"""End to end: what is left when a parent with workers is killed, or forks; its flags."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests import called
from tests.leaks import process_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")

ROOT = Path(__file__).parent.parent
GONE_S = 5 * 2.0  # five times the promise

PROLOGUE = """\
import os, sys
sys.path.insert(0, {root!r})
from smartpool._backends.processes import Processes
from tests import called
from tests.hosts import Bench
bench = Bench(lambda host: Processes(host, cpus=1))
"""


class Program(subprocess.Popen[str]):
    """An interpreter, killed at the latest when the test is over."""

    running: ClassVar[list[Program]] = []

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        super().__init__(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        self.running.append(self)


@pytest.fixture(autouse=True)
def no_program_stays() -> Iterator[None]:
    yield
    while Program.running:
        killed(Program.running.pop())


def program(body: str, *flags: str, cwd: Path | None = None) -> Program:
    """Start an interpreter that has a bench and does `body`."""
    source = PROLOGUE.format(root=str(ROOT)) + textwrap.dedent(body)
    return Program(*flags, "-c", source, cwd=cwd)


def output(process: Program) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    return out


def gone(pid: int) -> bool:
    found = process_of(pid)
    return found is None or found.is_zombie  # an orphan that init will reap


def killed(process: Program) -> None:
    process.kill()
    if process.stdout is not None and not process.stdout.closed:
        process.communicate(timeout=60)


def killed_with(process: Program, *others: int) -> None:
    """Kill it, and see that these end with it."""
    killed(process)

    called.wait_until(lambda: all(map(gone, others)), GONE_S)


def pid_in(path: Path) -> int:
    called.wait_until(lambda: path.exists() and path.read_text().strip() != "")
    return int(path.read_text())


def test_kill_reaches_workers_in_c_code(tmp_path: Path) -> None:
    """A worker that holds the GIL in C code leaves when its parent is killed."""
    path = tmp_path / "pid"
    parent = program(
        f"""
        bench.chunk(called.spin_in_c, {str(path)!r})
        import signal
        signal.pause()
        """
    )
    worker = pid_in(path)

    killed_with(parent, worker)


def test_kill_reaches_idle_and_stopped_workers() -> None:
    """So does one that waits for work, and one that is stopped."""
    parent = program(
        """
        (pid,) = bench.map(called.pid, 0)
        print(pid, flush=True)
        import signal
        signal.pause()
        """
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(worker, signal.SIGSTOP)

    killed_with(parent, worker)


def test_kill_reaches_grandchildren(tmp_path: Path) -> None:
    """What a worker has started goes with it."""
    path = tmp_path / "pid"
    parent = program(
        f"""
        import subprocess
        def fn(path):
            child = subprocess.Popen(["sleep", "60"])
            with open(path, "w") as file:
                file.write(str(child.pid))
            child.wait()
        bench.chunk(fn, {str(path)!r})
        import signal
        signal.pause()
        """
    )
    child = pid_in(path)

    killed_with(parent, child)


def test_kill_reaches_workers_of_workers(tmp_path: Path) -> None:
    """A worker that has workers of its own takes them along."""
    path = tmp_path / "pid"
    parent = program(
        f"""
        def fn(path):
            inner = Bench(lambda host: Processes(host, cpus=1))
            inner.wait(inner.chunk(called.spin_in_c, path))
        bench.chunk(fn, {str(path)!r})
        import signal
        signal.pause()
        """
    )
    worker = pid_in(path)

    killed_with(parent, worker)


def test_a_forked_child_keeps_nothing_alive(tmp_path: Path) -> None:
    """A child that the user forked outlives the parent; the workers do not."""
    path = tmp_path / "pid"
    parent = program(
        f"""
        (pid,) = bench.map(called.pid, 0)
        bench.chunk(called.spin_in_c, {str(tmp_path / "busy")!r})
        if os.fork() == 0:
            os.close(1), os.close(2)
            with open({str(path)!r}, "w") as file:
                file.write(str(os.getpid()))
            called.wait_until(lambda: False)
        print(pid, flush=True)
        import signal
        signal.pause()
        """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()), pid_in(tmp_path / "busy")]
    child = pid_in(path)
    try:
        killed_with(parent, *workers)
        assert not gone(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_holds_no_descriptor_of_ours() -> None:
    """After a fork, ours are closed in the child and work in the parent."""
    process = program(
        """
        bench.map(called.pid, 0)
        fds = {*os.listdir("/proc/self/fd")}
        child = os.fork()
        if child == 0:
            kinds = {os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
                     for fd in os.listdir("/proc/self/fd")
                     if os.path.lexists(f"/proc/self/fd/{fd}")}
            assert not any("memfd" in kind or "pidfd" in kind for kind in kinds), kinds
            assert "socket" not in kinds, kinds
            maps = open("/proc/self/maps").read()
            assert "memfd:smartpool" not in maps
            os._exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        print(bench.map(called.same, 1))
        bench.close()
        """,
        "-W",
        "ignore::DeprecationWarning",
    )

    assert output(process) == "[1]\n"


def test_a_fork_of_a_fork_in_a_call() -> None:
    """What a worker holds is closed once: the number may be another file's by then."""
    process = program(
        """
        print(bench.map(called.missing_after_two_forks, 0))
        bench.close()
        """
    )

    assert output(process) == "[[]]\n"


def test_flags_are_passed_on() -> None:
    """Workers run under the interpreter's own options."""
    process = program(
        """
        (there,) = bench.map(called.surroundings, 0)
        assert there["optimize"] == 1
        assert there["xoptions"] == sys._xoptions, there
        assert there["warnoptions"] == sys.warnoptions
        print("done")
        bench.close()
        """,
        "-O",
        "-X",
        "utf8",
        "-X",
        "mine=1",
        "-W",
        "error::UserWarning",
    )

    assert output(process) == "done\n"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="there is no such option")
def test_the_gil_is_as_in_the_parent() -> None:
    """Workers of a free-threaded build have the GIL that their parent has."""
    if "free-threading" not in sys.version:
        pytest.skip("this build always has it")
    process = program(
        """
        print(bench.map(lambda _: sys._is_gil_enabled(), 0))
        bench.close()
        """,
        "-X",
        "gil=1",
    )

    assert output(process) == "[True]\n"


def test_modules_in_the_current_directory(tmp_path: Path) -> None:
    """A `struct.py` that lies there is not taken for the library's."""
    for name in ("struct", "pickle", "signal", "mmap", "socket", "functools"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    body = """
        print(bench.map(lambda x: x + 1, 1))
        bench.close()
        """

    assert output(program(body, "-P", cwd=tmp_path)) == "[2]\n"


def test_main_is_not_run_again(tmp_path: Path) -> None:
    """A script without a guard works; its classes come back as themselves."""
    script = tmp_path / "script.py"
    script.write_text(
        PROLOGUE.format(root=str(ROOT))
        + textwrap.dedent(
            """
            print("top")
            import functools
            class Point:
                def __init__(self, x): self.x = x
            @functools.lru_cache
            def double(n): return 2 * n
            def fn(p):
                print("in the worker")
                return Point(double(p.x))
            (back,) = bench.map(fn, Point(4))
            print(type(back) is Point, back.x)
            bench.close()
            """
        )
    )
    process = Program("-u", script)

    assert output(process).splitlines() == ["top", "in the worker", "True 8"]


def test_a_zipapp(tmp_path: Path) -> None:
    """Workers find the package inside of an archive."""
    import zipfile

    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (ROOT / "smartpool").rglob("*.py"):
            file.write(path, path.relative_to(ROOT))
        for name in ("__init__", "hosts", "called"):
            file.write(ROOT / "tests" / f"{name}.py", f"tests/{name}.py")
        main = PROLOGUE.format(root="/nowhere") + "print(bench.map(called.same, 1))\n"
        file.writestr("__main__.py", main + "bench.close()\n")
    process = Program("-P", archive, cwd=tmp_path)

    assert output(process) == "[1]\n"
