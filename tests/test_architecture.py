"""Architecture: imports point one way, as `layers` has it, and breaches are seen."""

import ast
from pathlib import Path

import pytest

from tests.layers import breaches, modules

PACKAGE = Path(__file__).parent.parent / "smartpool"

SOUND = {
    "__init__.py": "from ._api import run",
    "_errors.py": "",
    "_crash.py": "from ._errors import Base",
    "_outcome.py": "",
    "_fork.py": "import os",
    "_decide/__init__.py": "",
    "_decide/facts.py": "from dataclasses import dataclass",
    "_decide/rules.py": "from . import facts\nfrom .facts import Machine",
    "_observe/__init__.py": "",
    "_observe/meter.py": "import time",
    "_observe/machine.py": "from .._worker.nesting import depth",
    "_worker/__init__.py": "",
    "_worker/nesting.py": "import os",
    "_worker/main.py": "from .._observe import meter\nimport cloudpickle",
    "_backends/__init__.py": "from .threads import Threads",
    "_backends/base.py": "from .._decide.facts import Profile",
    "_backends/threads.py": "from . import base",
    "_backends/processes.py": "from ._processes.worker import Worker",
    "_backends/_processes/__init__.py": "",
    "_backends/_processes/worker.py": "from ..base import Backend",
    "_run/__init__.py": "",
    "_run/engine.py": "from .._backends.base import Backend",
    "_report/__init__.py": "from .._decide.plan import Plan",
    "_api.py": "from ._run import engine",
    "aio.py": "def run():\n    import anyio",
}

PLANTED = [
    ("_decide/rules.py", "import os"),
    ("_decide/rules.py", "from concurrent.futures import Executor"),
    ("_decide/rules.py", "def rule():\n    import time"),
    ("_decide/rules.py", "from .._errors import Base"),
    ("_decide/__init__.py", "from .._observe import machine"),
    ("_errors.py", "from ._outcome import Value"),
    ("_outcome.py", "import smartpool._errors"),
    ("_fork.py", "from . import _errors"),
    ("_observe/machine.py", "from .._worker import main"),
    ("_observe/machine.py", "from .._decide.rules import RULES"),
    ("_worker/main.py", "from .._observe.machine import machine"),
    ("_worker/main.py", "from .._backends import base"),
    ("_worker/main.py", "import anyio"),
    ("_worker/main.py", "from smartpool import run"),
    ("_backends/threads.py", "from .processes import Processes"),
    ("_backends/threads.py", "from . import processes"),
    ("_backends/threads.py", "from ._processes import worker"),
    ("_backends/_processes/worker.py", "from ..threads import Threads"),
    ("_backends/base.py", "from .._run import engine"),
    ("_backends/base.py", "from .. import _api"),
    ("_run/engine.py", "def go():\n    from .. import _api"),
    ("_run/engine.py", "from importlib import import_module\nimport_module('.._api')"),
    ("_run/engine.py", "import importlib\nimportlib.import_module('smartpool._api')"),
    ("_report/__init__.py", "from .._run import engine"),
    ("_api.py", "from . import aio"),
    ("_api.py", "import cloudpickle"),
    ("_mystery.py", ""),
]


def _package(folder: Path, sources: dict[str, str]) -> Path:
    for name, source in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n", "utf-8")
    return folder


def test_imports_point_one_way() -> None:
    """No module of the package imports what its layer must not."""
    assert breaches(PACKAGE) == []


def test_the_reader_sees_the_package() -> None:
    """The check above looks at every module, those in sub-packages too."""
    assert {"_errors", "_decide", "_decide.rules", "_run"} <= set(modules(PACKAGE))


def test_a_sound_package_passes(tmp_path: Path) -> None:
    """What the table allows is not reported."""
    assert breaches(_package(tmp_path, SOUND)) == []


def test_imports_for_type_checkers_do_not_count(tmp_path: Path) -> None:
    """What stands under `if TYPE_CHECKING:` loads nothing; its `else` does."""
    source = (
        "TYPE_CHECKING = False\n"
        "if TYPE_CHECKING:\n    import os\n    from .._run import engine\n"
        "else:\n    import time"
    )
    sources = {**SOUND, "_decide/rules.py": source}

    assert breaches(_package(tmp_path, sources)) == [
        "_decide/rules.py:6 time: what decides has no effects"
    ]


@pytest.mark.parametrize(("path", "source"), PLANTED)
def test_a_planted_breach_is_seen(tmp_path: Path, path: str, source: str) -> None:
    """Each import that the table does not allow is reported, with its file."""
    sources = {**SOUND, path: f"{SOUND.get(path, '')}\n{source}"}

    (breach,) = breaches(_package(tmp_path, sources))

    assert breach.startswith(path)


def silent_tests(source: str) -> list[str]:
    """Return the test functions of a module that do not say what they show."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parent.glob("test_*.py")), ids=lambda path: path.name
)
def test_every_test_says_what_it_shows(path: Path) -> None:
    """Each test has a sentence of behaviour, and its module one that names its kind."""
    source = path.read_text("utf-8")

    assert ast.get_docstring(ast.parse(source))
    assert silent_tests(source) == []


def test_a_silent_test_is_seen() -> None:
    """The check above sees a test without a docstring."""
    source = "def test_silent(): pass\ndef test_loud():\n    'It says so.'"

    assert silent_tests(source) == ["test_silent"]
