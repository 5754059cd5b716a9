"""Building the small C extension that switches the GIL on, for tests."""

import importlib.machinery
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "gil_extension" / "undeclared.c"
NAME = "undeclared"


def build_gil_extension(folder: Path) -> Path:
    """Build an extension that does not say that it works without the GIL.

    Importing `undeclared` from the folder returned switches the GIL on, on a
    free-threaded build. Skips the test where there are no headers or no compiler.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    headers = Path(sysconfig.get_path("include"))
    if compiler is None or not (headers / "Python.h").exists():
        pytest.skip("building an extension takes a C compiler and Python's headers")
    target = folder / f"{NAME}{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    built = subprocess.run(
        [
            *(compiler, "-shared", "-fPIC", f"-I{headers}"),
            *(str(SOURCE), "-o", str(target)),
            # Framework builds resolve Python's names when they are loaded.
            *(["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []),
        ],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder
