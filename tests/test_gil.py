"""Unit and child interpreters: what is said of the GIL."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from smartpool._observe.gil import free_threaded_build, gil_enabled, gil_why
from tests.extensions import build_gil_extension

ROOT = Path(__file__).parents[1]
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
SAY = (
    "from smartpool._observe.gil import gil_enabled, gil_why; "
    "print(gil_enabled(), gil_why(), sep=': ')"
)

free_threaded_only = pytest.mark.skipif(
    not FREE_THREADED, reason="needs a free-threaded build"
)


def said(code: str = SAY, *flags: str, gil: str | None = None) -> str:
    """Return what a child interpreter prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHON_GIL"}
    if gil is not None:
        environment["PYTHON_GIL"] = gil
    child = subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


def test_the_build_is_known_without_sysconfig() -> None:
    """What the interpreter's name says is what its build says."""
    assert free_threaded_build() is FREE_THREADED


def test_the_state_is_the_interpreters() -> None:
    """The GIL is on unless the interpreter says that it is off."""
    assert gil_enabled() is getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.skipif(FREE_THREADED, reason="needs a build with a GIL")
def test_a_build_with_a_gil_says_so() -> None:
    """Where the GIL cannot go, the reason is the build."""
    assert gil_enabled()
    assert gil_why() == "this build always has a GIL"


@pytest.mark.skipif(FREE_THREADED, reason="needs a build with a GIL")
def test_the_option_changes_nothing_on_a_build_with_a_gil() -> None:
    """`PYTHON_GIL=1` is not the reason where there is no choice."""
    assert said(gil="1") == "True: this build always has a GIL"


@free_threaded_only
@pytest.mark.parametrize(
    ("gil", "flags", "expected"),
    [
        (None, (), "False: free-threaded build, off"),
        ("0", (), "False: free-threaded build, kept off by PYTHON_GIL=0 or -X gil=0"),
        ("1", (), "True: switched on by PYTHON_GIL=1 or -X gil=1"),
        (None, ("-X", "gil=1"), "True: switched on by PYTHON_GIL=1 or -X gil=1"),
        ("1", ("-X", "gil=0"), "False: free-threaded build, kept off by"),
        ("1", ("-E",), "False: free-threaded build, off"),
    ],
    ids=["nobody", "variable-0", "variable-1", "option-1", "option-wins", "ignored"],
)
def test_who_switched_it(
    gil: str | None, flags: tuple[str, ...], expected: str
) -> None:
    """On a free-threaded build the reason names who asked, if anybody did."""
    if "-E" in flags:  # and without PYTHONPATH: say it from the folder
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {SAY}"
        assert said(code, *flags, gil=gil) == expected
    else:
        assert said(SAY, *flags, gil=gil).startswith(expected)


@free_threaded_only
def test_an_import_switches_it_on(tmp_path: Path) -> None:
    """An undeclared extension is the reason, and how to find it is said."""
    folder = build_gil_extension(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); {SAY}; import undeclared; "
        "print(gil_enabled(), gil_why(), sep=': ')"
    )
    before, after = said(code, "-W", "ignore").splitlines()
    assert before == "False: free-threaded build, off"
    assert after.startswith("True: switched on by the import of an extension module")
    assert "-W error::RuntimeWarning" in after


@free_threaded_only
def test_the_advice_names_the_extension(tmp_path: Path) -> None:
    """What the reason advises to run does name the extension."""
    folder = build_gil_extension(tmp_path)
    child = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", "import undeclared"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
        timeout=60,
    )
    assert "module 'undeclared'" in child.stderr
