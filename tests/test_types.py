"""Types: what checkers see in the public names, and that mistakes are found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="in the extra `test` wherever it can be installed")

ROOT = Path(__file__).parent.parent
TYPING = ROOT / "tests" / "typing"


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for this module: the second run of mypy is a short one."""
    return tmp_path_factory.mktemp("mypy")


def lines_with_errors(path: Path, cache: Path) -> tuple[set[int], str]:
    """Return the lines of `path` in which mypy finds errors, and all it says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    options = ["--config-file", os.devnull, "--cache-dir", str(cache)]
    out = subprocess.run(
        [*command, *options, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        check=False,
    )
    assert out.returncode in (0, 1), out.stdout + out.stderr
    found = re.findall(rf"^.*{path.name}:(\d+): error:", out.stdout, re.MULTILINE)
    return {int(line) for line in found}, out.stdout


def test_the_public_types_are_as_stated(mypy_cache: Path) -> None:
    """Every `assert_type` in `typing/api.py` holds."""
    lines, said = lines_with_errors(TYPING / "api.py", mypy_cache)

    assert lines == set(), said


def test_each_mistake_is_found(mypy_cache: Path) -> None:
    """Every line of `typing/wrong.py` that is marked is an error, and no other."""
    source = (TYPING / "wrong.py").read_text("utf-8").splitlines()
    marked = {number for number, line in enumerate(source, 1) if "# WRONG: " in line}
    lines, said = lines_with_errors(TYPING / "wrong.py", mypy_cache)

    assert lines == marked, said


def test_a_planted_wrong_type_is_found(tmp_path: Path, mypy_cache: Path) -> None:
    """An `assert_type` that does not hold is seen by the check above."""
    planted = tmp_path / "planted.py"
    planted.write_text(
        "from typing import assert_type\n"
        "from smartpool import Results, run_parallel\n"
        'assert_type(run_parallel(len, ["a"]), Results[str])\n',
        "utf-8",
    )
    lines, said = lines_with_errors(planted, mypy_cache)

    assert lines == {3}, said
