"""End to end: `kill -9` of a program at a random moment leaves nothing, anywhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import smartpool
from tests import forking, workloads
from tests.heavy import and_heavy
from tests.leaks import processes

ROOT = Path(smartpool.__file__).parent.parent
GONE_S = 5 * 2.0
"""The promise is 2 s."""

LATEST_S = 0.4
"""The latest moment, after all has begun."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Started = tuple["subprocess.Popen[bytes]", Path]


@pytest.fixture
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Started]:
    """The program, in a session of its own, with all that it was asked for."""
    folder, temporary = tmp_path / "said", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    program = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning"),
            *("-m", "tests.killed", str(folder), *request.param),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
    )
    yield program, tmp_path
    program.kill()
    for pid in session_of(program):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    program.wait()


def session_of(program: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes of its session, zombies not counted."""
    return [
        process.pid
        for process in processes()
        if process.session == program.pid and not process.is_zombie
    ]


def held_by(pid: int) -> list[str]:
    """Return what a process holds, or maps, that is of ours."""
    maps = Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines()
    mapped = [line for line in maps if "memfd:smartpool" in line]
    return forking.memory_files(pid) + mapped


@pytest.mark.parametrize(
    "started", [(), ("c-code",), ("forks", "c-code")], indirect=True, ids=repr
)
@pytest.mark.parametrize("seed", and_heavy([1], range(2, 9)))
def test_nothing_is_left(started: Started, seed: int) -> None:
    """No process, memory file, shared memory or temporary file, 2 s later."""
    program, folder = started
    shared = set(os.listdir("/dev/shm"))
    workloads.wait_until((folder / "said" / "ready").exists)
    time.sleep(Random(seed).uniform(0, LATEST_S))  # the moment is what is tested

    program.kill()
    program.wait()

    said = folder / "said" / "child"
    child = int(said.read_text()) if said.exists() else None
    theirs = [] if child is None else [child]
    workloads.wait_until(lambda: session_of(program) == theirs, GONE_S)
    if child is not None:
        workloads.wait_until(lambda: held_by(child) == [], GONE_S)
    assert set(os.listdir("/dev/shm")) <= shared
    assert list((folder / "tmp").iterdir()) == []
