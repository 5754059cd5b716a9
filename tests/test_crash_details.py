"""Contract: what a `WorkerCrashError` says of how the worker died."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import SmartPoolError, WorkerCrashError, run_parallel
from smartpool._backends._processes import deaths, ending
from smartpool._backends._processes.deaths import Vitals, own_peak_bytes
from smartpool._observe.cgroups import Groups, find_groups
from tests import called

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")

ROOT = Path(smartpool.__file__).parent.parent
MB = 1_000_000
V1 = Path("/sys/fs/cgroup/memory")


def crash(fn: Any, **options: Any) -> WorkerCrashError:
    """Return what became of the one item of a run."""
    (error,) = run_parallel(
        fn, [0], backend="processes", return_exceptions=True, **options
    )
    assert isinstance(error, WorkerCrashError)
    return error


FILL = """\
import os, subprocess, sys
from smartpool import run_parallel

def fill(_):
    kept = b"x" * 300_000_000
    os._exit(len(kept) % 7 + 3)

def have_another_fill(_):
    code = "len(b'x' * 300_000_000)"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)
    os.kill(os.getpid(), 9)

fn = fill if sys.argv[1] == "itself" else have_another_fill
(error,) = run_parallel(fn, [0], backend="processes", return_exceptions=True)
print(error.exit_code or error.signal, error.peak_bytes, repr(error.hint))
print(error)
"""


def said_by(code: str, *args: str) -> list[str]:
    """Return the lines that a fresh program prints: it has had little memory."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("who", "how"), [("itself", str(300_000_000 % 7 + 3)), ("another", "SIGKILL")]
)
def test_peak_memory(who: str, how: str) -> None:
    """What the worker had at most, or a child that it has waited for."""
    first, text = said_by(FILL, who)

    ended, peak, hint = first.split()
    assert (ended, hint) == (how, "''")
    assert 300 * MB < int(peak) < 500 * MB
    assert f"{int(peak) / MB:.0f} MB at most" in text


def test_a_peak_that_may_be_ours() -> None:
    """A new process begins with the peak of who started it: that says nothing."""
    vitals, mine = Vitals(), own_peak_bytes()

    assert mine > 1 * MB
    assert vitals.peak_bytes(0) is None
    assert vitals.peak_bytes(mine // 1024) in (None, mine)  # it may have grown since
    assert vitals.peak_bytes(mine // 1024 + 1) == mine + 1024


def test_where_it_was_lost() -> None:
    """Where somebody else has waited for the worker, nothing is known."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        error = crash(called.exit_at_once)
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert (error.exit_code, error.signal, error.peak_bytes) == (None, None, None)
    assert str(error).startswith("a worker process died, in an unknown way,")


class Tree:
    """A made-up memory control group of version 2, the own one."""

    def __init__(self, root: Path) -> None:
        self.root, self.group = root, root / "sys/fs/cgroup/a.slice/b.scope"
        self.group.mkdir(parents=True)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text("0::/a.slice/b.scope\n")
        (root / "proc/self/mountinfo").write_text(
            "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        )
        self.kills(0)

    def kills(self, count: int, of: str = "") -> None:
        text = f"low 0\nhigh 0\nmax 9\noom 2\noom_kill {count}\noom_group_kill 0\n"
        (self.group / of / "memory.events").write_text(text)

    def find(self, _: Groups | None = None) -> Groups:
        return find_groups(root=str(self.root))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path)
    monkeypatch.setattr(deaths, "find_groups", tree.find)
    return tree


@pytest.mark.parametrize("where", ["", ".."])
def test_a_hint_where_the_counter_moved(tree: Tree, where: str) -> None:
    """Of the own group, or of one above; the group is named."""

    def moves(_: Any) -> None:
        tree.kills(1, of=where)
        called.sigkill(0)

    tree.kills(0, of=where)
    error = crash(moves)

    path = "/a.slice" if where else "/a.slice/b.scope"
    assert error.signal == "SIGKILL"
    assert f"the kernel ended a process of control group {path} once" in error.hint
    assert str(error).endswith(error.hint)


def test_no_hint_where_it_did_not_move(tree: Tree) -> None:
    """A counter that stands at something already says nothing of this worker."""
    tree.kills(7)

    assert crash(called.sigkill).hint == ""


def test_no_hint_for_another_death(tree: Tree) -> None:
    """The kernel ends a process by SIGKILL when memory is out, and not by exiting."""

    def moves(_: Any) -> None:
        tree.kills(1)
        called.exit_at_once(0)

    assert crash(moves).hint == ""


def test_no_hint_for_an_item_that_took_too_long(tree: Tree) -> None:
    """It was ended by us, whatever else there was."""

    def moves(_: Any) -> None:
        tree.kills(1)
        called.wait_until(lambda: False)

    (error,) = run_parallel(moves, [0], item_timeout=0.3, return_exceptions=True)

    assert isinstance(error, smartpool.ItemTimeoutError)


def test_signals_go_to_a_process_that_is_there() -> None:
    """To one that has gone they go nowhere, and that is no error."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()

    ending.send(process.pid, -1, signal.SIGCONT)

    assert ending.is_stopped(process.pid)
    assert not ending.is_stopped(process.pid, unless_known=False)
    assert not ending.is_stopped(os.getpid())


def test_it_travels() -> None:
    """It can be pickled with all that it says, and is a `BrokenProcessPool`."""
    error = WorkerCrashError(3, None, "SIGKILL", 512 * MB, "a hint", 2)

    again = pickle.loads(pickle.dumps(error))

    assert isinstance(again, BrokenProcessPool)
    assert isinstance(again, SmartPoolError)
    assert vars(again) == vars(error)
    assert str(again) == (
        "a worker process was ended by SIGKILL while it was calling item 3, which was"
        " called 2 times; its memory: 512 MB at most; a hint"
    )


# -- the real thing ----------------------------------------------------------------------

HOG = """\
import os, sys
from pathlib import Path

Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))

from smartpool import run_parallel

def hog(x):
    kept = []
    while x == 3:
        kept.append(b"x" * (1 << 20))
    return x

results = run_parallel(hog, range(8), item_timeout=60, return_exceptions=True)
error = results.pop(3)
assert results == [0, 1, 2, 4, 5, 6, 7], results
print(error.index, error.signal, error.peak_bytes)
print(error.hint)
"""


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A memory control group of our own with a limit of 200 MB."""
    path = V1 / f"smartpool-test-{uuid.uuid4().hex}"
    try:
        path.mkdir()
    except OSError as exc:
        pytest.skip(f"no control group can be made here: {exc}")
    try:
        limit = path / "memory.limit_in_bytes"
        if not limit.exists():
            pytest.skip("no memory control group of version 1 is mounted here")
        limit.write_text(str(200 * MB))
        yield path
    finally:
        path.rmdir()


def test_out_of_memory(memory_group: Path) -> None:
    """The kernel ends the worker: its item fails with a hint, the others return."""
    first, hint = said_by(HOG, str(memory_group))

    index, name, peak = first.split()
    assert (index, name) == ("3", "SIGKILL")
    assert 50 * MB < int(peak) < 210 * MB
    assert "out of memory, it seems" in hint
    assert memory_group.name in hint
