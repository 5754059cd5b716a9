"""End to end: `smartpool demo` chooses rightly, by kind of build, and ends cleanly."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smartpool
from smartpool.__main__ import main

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 110.0
ROWS = ["parse", "pack", "square", "fetch", "fetch async", "fetch, parse"]

RIGHT_WITH_GIL = {
    "parse": "processes",
    "pack": "threads",
    "square": "serial",
    "fetch": "threads",
    "fetch async": "event_loop",
    "fetch, parse": "processes",
}
RIGHT_WITHOUT_GIL = {
    **RIGHT_WITH_GIL,
    "parse": "threads",
    "fetch, parse": "threads",
}

SERVER_OF_A_KILLED_PROGRAM = """
import os, signal
from smartpool._demo.server import serving

with serving([os.__file__]) as (url,):
    print(url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, with this tree's smartpool."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "smartpool", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        check=False,
    )


def rows(printed: str) -> dict[str, list[str]]:
    """Return the cells of the closing table by the name of the work."""
    cells = (re.split(r"\s{2,}", line) for line in printed.splitlines())
    return {first: rest for first, *rest in cells if first in ROWS and len(rest) == 5}


def right_choices() -> dict[str, str]:
    """Return what is right on the interpreter that runs the tests."""
    return RIGHT_WITH_GIL if smartpool.machine().gil else RIGHT_WITHOUT_GIL


def wrong_choices(table: dict[str, list[str]]) -> Iterator[str]:
    """Say which work is not where it is fastest."""
    for name, backend in right_choices().items():
        decided = table[name][1]
        if decided.split(",")[0] != backend:
            yield f"{name}: {decided}, not {backend}"


@pytest.mark.heavy
@pytest.mark.measures
def test_the_quick_demo_chooses_rightly() -> None:
    """Every work is done where it belongs, with the loop's results, and says why."""
    out = run_demo("--quick")

    assert out.returncode == 0, out.stdout + out.stderr
    assert "All results are those of the plain loop" in out.stdout
    table = rows(out.stdout)
    assert list(table) == ROWS
    assert out.stdout.count("   why ") >= len(ROWS)
    if smartpool.machine().cpus > 1 and [*wrong_choices(table)]:
        # Other programs can hide for a moment what a function does: not for two.
        out = run_demo("--quick")
        assert [*wrong_choices(rows(out.stdout))] == [], out.stdout


@pytest.mark.heavy
@pytest.mark.measures
@pytest.mark.skipif(smartpool.machine().cpus < 2, reason="gains need two CPUs")
def test_the_demo_gains() -> None:
    """The aims are 1.7 and 20; a busy machine is let off a part of them."""
    out = run_demo()

    assert out.returncode == 0, out.stdout + out.stderr
    table = rows(out.stdout)
    assert [*wrong_choices(table)] == [], out.stdout
    gains = {name: float(cells[-1]) for name, cells in table.items()}
    assert min(gains["parse"], gains["pack"]) >= 1.3, out.stdout
    assert min(gains["fetch"], gains["fetch async"]) >= 10, out.stdout


def test_a_wrong_result_is_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comparison with the plain loop is a real one: planted, a mistake shows."""
    from smartpool._demo import measure, workloads

    def wrong(workload: workloads.Workload) -> smartpool.Results[object]:
        results = smartpool.run_parallel(workload.fn, workload.items)
        results[:1] = ["wrong"]
        return results

    monkeypatch.setattr(measure, "in_parallel", wrong)
    monkeypatch.setattr(workloads, "QUICK", workloads.Sizes(3, 10, 2, 1))

    assert main(["demo", "--quick"]) == 1

    assert "WRONG results: parse, pack, square" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_the_server_goes_with_its_parent() -> None:
    """No server is left behind by a killed demo: the leak check looks for it."""
    out = subprocess.run(
        [sys.executable, "-c", SERVER_OF_A_KILLED_PROGRAM],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert out.returncode == -signal.SIGKILL, out.stderr
    assert out.stdout.startswith("http://127.0.0.1:")


def test_the_command_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`smartpool --version` prints it and ends well."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])

    assert end.value.code == 0
    assert capsys.readouterr().out == f"{smartpool.__version__}\n"


def test_the_command_asks_for_a_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one it says so, and fails."""
    with pytest.raises(SystemExit) as end:
        main([])

    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
