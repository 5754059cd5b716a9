"""End to end: wherever a program may run, it has its workers, or says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import smartpool

ROOT = Path(smartpool.__file__).parent.parent
HANG_S = 60.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")

RUN = (
    "import os\n"
    "from smartpool import SmartPool, WorkerCrashError, run_parallel\n"
    "from tests.submitted import exit_at_3, pid_of\n"
    "def check():\n"
    "    pids = run_parallel(pid_of, range(4), backend='processes')\n"
    "    assert os.getpid() not in pids\n"
    "    return 'right'\n"
)


def script(code: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that begins with `RUN`."""
    return subprocess.run(
        [sys.executable, *options, "-c", RUN + code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        **more,
    )


def says_right(done: subprocess.CompletedProcess[str], times: int = 1) -> bool:
    """Return whether the program said that all was right, so many times."""
    assert done.returncode == 0, done.stderr
    return done.stdout.split() == ["right"] * times


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_in_a_daemonic_process(method: str, tmp_path: Path) -> None:
    """Workers of `multiprocessing.Pool` may have no children of its kind, but ours."""
    (tmp_path / "main.py").write_text(
        RUN
        + "import multiprocessing\n"
        + "def inside(_):\n"
        + "    assert multiprocessing.current_process().daemon\n"
        + "    return check()\n"
        + "if __name__ == '__main__':\n"
        + f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        + "        print(*pool.map(inside, range(2)))\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "main.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert says_right(done, times=2)


@pytest.mark.parametrize(
    "reaps",
    [
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n",
        (
            "import threading\n"
            "def reap():\n"
            "    while True:\n"
            "        try: os.waitpid(-1, 0)\n"
            "        except ChildProcessError: pass\n"
            "threading.Thread(target=reap, daemon=True).start()\n"
        ),
    ],
    ids=["ignored", "somebody else waits"],
)
def test_where_others_reap(reaps: str) -> None:
    """A death is noticed all the same, though nobody may know how it came."""
    done = script(
        reaps
        + "out = run_parallel(exit_at_3, range(8), backend='processes',\n"
        + "                   return_exceptions=True)\n"
        + "assert isinstance(out.pop(3), WorkerCrashError)\n"
        + "assert out == [0, 1, 2, 4, 5, 6, 7]\n"
        + "print(check())\n"
    )
    assert says_right(done)


def test_from_many_threads() -> None:
    """Also while the main thread does nothing but wait, and before it has run any."""
    done = script(
        "from threading import Thread\n"
        "threads = [Thread(target=lambda: print(check() + '\\n', end='')) for _ in range(6)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
    )
    assert says_right(done, times=6)


def test_as_a_module_and_from_standard_input(tmp_path: Path) -> None:
    """`python -m package.module`, `python folder`, and a program that is piped in."""
    package = tmp_path / "package of ours"
    package.mkdir()
    (package / "__main__.py").write_text(
        RUN
        + "def here(x): return os.getpid()\n"
        + "assert os.getpid() not in run_parallel(here, range(2), backend='processes')\n"
        + "print(check())\n",
        "utf-8",
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "module.py").write_text(
        (package / "__main__.py").read_text("utf-8"), "utf-8"
    )
    options: dict[str, Any] = {
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        "capture_output": True,
        "text": True,
        "timeout": HANG_S,
        "cwd": tmp_path,
    }
    code = (package / "__main__.py").read_text("utf-8")
    for command, given in (
        (["-m", "lib.module"], None),
        ([str(package)], None),
        (["-"], code),
    ):
        done = subprocess.run([sys.executable, *command], input=given, **options)
        assert says_right(done)


def test_with_nothing_open() -> None:
    """Standard input, output and errors may all be closed."""
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'exec "$0" -c "$1" <&- >&- 2>&-',
            sys.executable,
            RUN + "check()\nos._exit(7)\n",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=HANG_S,
    )
    assert done.returncode == 7


@pytest.mark.parametrize(
    "setting",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"TMPDIR": "/nowhere"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"HOME": ""},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_in_odd_environments(setting: dict[str, str]) -> None:
    """None of these is of any use to workers."""
    assert says_right(script("print(check())\n", env=setting))


def test_with_few_descriptors() -> None:
    """So few that there is hardly room for two workers."""
    done = script(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "print(check())\n"
    )
    assert says_right(done)


def test_in_a_program_that_is_no_python(tmp_path: Path) -> None:
    """It is never started once more: an interpreter is found, or there are none."""
    done = script(
        "import sys\n"
        "from smartpool import machine\n"
        f"marker = {str(tmp_path / 'started')!r}\n"
        "sys.frozen, sys.executable = True, '/bin/false'\n"
        "sys._base_executable = '/bin/false'\n"
        "from smartpool._observe import machine as observed\n"
        "observed._Recent.host = None\n"
        "found = machine()\n"
        "if found.processes:\n"
        "    print(check())\n"
        "else:\n"
        "    out = run_parallel(lambda x: sum(range(200_000)) and x, range(8), hint='cpu')\n"
        "    assert out == [*range(8)] and found.processes_why in out.report.reasons[0].text\n"
        "    print('right')\n"
    )
    assert says_right(done)


@pytest.mark.parametrize("cpus", [1, 4])
def test_nested_three_deep(cpus: int) -> None:
    """Workers, and the threads that libraries in them may have, are no more than CPUs."""
    done = script(
        "from smartpool import machine\n"
        "def level(depth):\n"
        "    if depth == 0: return [(machine().cpus, int(os.environ['OMP_NUM_THREADS']))]\n"
        "    out = run_parallel(level, [depth - 1] * 4, backend='processes')\n"
        "    return [(out.report.workers * share, out.report.workers * threads)\n"
        "            for shares in out for share, threads in shares]\n"
        "os.environ.pop('OMP_NUM_THREADS', None)\n"
        "used = level(3)\n"
        "assert len(used) == 64\n"
        "print('right' if max(max(one) for one in used) <= machine().cpus else used)\n",
        env={"PYTHON_CPU_COUNT": str(cpus)},
    )
    assert says_right(done)
