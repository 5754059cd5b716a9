"""End to end: `import smartpool` loads nothing heavy, and the check sees it if so."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("asyncio", "multiprocessing", "anyio", "cloudpickle")


def heavy_modules_loaded(code: str, root: Path) -> set[str]:
    """Return which heavy modules `code` loads in a fresh interpreter, at `root`."""
    report = f"import sys; print('HEAVY', *({set(HEAVY)!r} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
    )
    last = out.stdout.splitlines()[-1].split()
    assert last[0] == "HEAVY"
    return set(last[1:])


def test_a_bare_interpreter_is_light() -> None:
    """What the interpreter loads by itself does not blur the picture."""
    assert heavy_modules_loaded("", ROOT) == set()


def test_importing_smartpool_is_light() -> None:
    """No heavy module is loaded before it is needed."""
    assert heavy_modules_loaded("import smartpool", ROOT) == set()


@pytest.mark.parametrize(
    "call",
    [
        "smartpool.machine()",
        "smartpool.run_parallel(len, ['a', 'bb'])",
        "smartpool.run_parallel(len, ['a', 'bb'], backend='threads')",
    ],
)
def test_small_work_stays_light(call: str) -> None:
    """Looking at the machine, a serial run and threads need no heavy module."""
    assert heavy_modules_loaded(f"import smartpool; {call}", ROOT) == set()


@pytest.mark.parametrize("module", HEAVY)
def test_a_planted_import_is_seen(tmp_path: Path, module: str) -> None:
    """A package that loads a heavy module is found out, however deep it does so."""
    package = tmp_path / "smartpool"
    package.mkdir()
    (package / "__init__.py").write_text("from . import _deep", "utf-8")
    (package / "_deep.py").write_text(f"import {module}", "utf-8")

    assert module in heavy_modules_loaded("import smartpool", tmp_path)
