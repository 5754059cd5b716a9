"""End to end: a short chaos, with nothing lost, doubled, wrong or left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import smartpool

ROOT = Path(smartpool.__file__).parent.parent
CLOSING = re.compile(
    r"items (\d+), faults (\d+), lost 0, doubled 0, wrong 0, leaked 0, hung 0$"
)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
@pytest.mark.parametrize(
    ("seconds", "seed", "least"),
    [(4, 11, 10), pytest.param(45, 12, 150, marks=pytest.mark.heavy)],
)
def test_chaos(seconds: int, seed: int, least: int) -> None:
    """Faults strike at every stage, and each item's fate is known."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.chaos"),
            *("--seconds", str(seconds), "--seed", str(seed)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + 100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    closing = CLOSING.match(done.stdout.splitlines()[-1])
    assert closing is not None, done.stdout
    assert int(closing[1]) > 100
    assert int(closing[2]) >= least
