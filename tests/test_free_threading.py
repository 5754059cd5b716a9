"""End to end: free-threaded builds, with the GIL off, on, and switched on meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smartpool._observe.gil import free_threaded_build
from tests.extensions import build_gil_extension

pytestmark = pytest.mark.skipif(
    not free_threaded_build(), reason="needs a free-threaded build"
)

ROOT = Path(__file__).parent.parent

WORK = """
import sys
from smartpool import run_parallel

def work(i):
    total = 0
    for k in range(20_000):
        total += k
    return total

def on(results):
    return results.report.on
"""


def run(body: str, *path: Path, **environment: str) -> list[str]:
    """Run a script that has `work`, and return the lines that it prints."""
    paths = os.pathsep.join(str(one) for one in (ROOT, *path))
    ended = subprocess.run(
        [sys.executable, "-c", WORK + body],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_threads_where_the_gil_is_off() -> None:
    """Pure Python goes to threads."""
    body = "print(run_parallel(work, range(500)).report.backend)"

    assert run(body, PYTHON_GIL="0") == ["threads"]


def test_processes_where_the_gil_is_on() -> None:
    """The same build with its GIL on: pure Python goes to processes."""
    body = "print(run_parallel(work, range(500)).report.backend)"

    assert run(body, PYTHON_GIL="1") == ["processes"]


def test_processes_after_an_import_switched_it_on(tmp_path: Path) -> None:
    """It is looked at for each run: what was so at the import of smartpool is over."""
    build_gil_extension(tmp_path)
    body = """
import warnings
print(run_parallel(work, range(500)).report.backend)
warnings.simplefilter("ignore")
import undeclared
print(run_parallel(work, range(500)).report.backend)
"""

    assert run(body, tmp_path) == ["threads", "processes"]


def test_an_import_in_the_middle_of_a_run(tmp_path: Path) -> None:
    """The rest of the run moves to processes, nothing is lost, and the report says."""
    build_gil_extension(tmp_path)
    body = """
import warnings
warnings.simplefilter("ignore")

def imports(i):
    if i == 200:
        import undeclared
    return work(i)

results = run_parallel(imports, range(2000))
assert results == [work(0)] * 2000
report = results.report
print(sorted(report.on), "gil-changed" in [one.rule for one in report.reasons])
"""

    assert run(body, tmp_path) == ["['processes', 'serial', 'threads'] True"]


def test_threads_that_get_into_each_others_way() -> None:
    """What is slower on threads than alone moves to processes."""
    body = """
shared = {i: i % 7 for i in range(1000)}

class Config:
    weights = shared

def contends(n, config=Config()):
    total = 0
    for i in range(20_000):
        total += config.weights.get(i % 1000, 1)
    return total

results = run_parallel(contends, range(400))
assert results == [contends(0)] * 400
print("not-as-planned" in [one.rule for one in results.report.reasons])
print(results.report.plan.backend)
"""

    assert run(body, PYTHON_GIL="0") == ["True", "processes"]
