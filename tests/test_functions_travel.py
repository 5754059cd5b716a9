"""End to end: functions, arguments and results of every sort reach every backend."""

from __future__ import annotations

import functools
import math
import operator
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import cpu_bound, run_parallel
from smartpool._makers import _MAKERS
from tests import workloads

ROOT = Path(smartpool.__file__).parent.parent
SCRIPT_S = 30.0

each_backend = pytest.mark.parametrize("backend", [*_MAKERS, None])


def nested_function(base: int) -> Callable[[int], int]:
    def inner(x: int) -> int:
        return base + x

    return inner


def nested_and_recursive() -> Callable[[int], int]:
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    return fibonacci


def two_that_call_each_other() -> Callable[[int], bool]:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    return even


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[[int], Any]]] = {
    "bound method": (workloads.Scale(3).times, lambda x: 3 * x),
    "callable with state": (workloads.Scale(4), lambda x: 4 * x),
    "class method": (workloads.Scale.twice, lambda x: 2 * x),
    "static method": (workloads.Scale.negative, lambda x: -x),
    "partial": (functools.partial(workloads.add, 10), lambda x: 10 + x),
    "partial of a partial": (
        functools.partial(functools.partial(workloads.add, 1)),
        lambda x: 1 + x,
    ),
    "partial of a lambda": (functools.partial(lambda a, b: a - b, 1), lambda x: 1 - x),
    "builtin": (abs, abs),
    "builtin of a module": (math.factorial, math.factorial),
    "method of a builtin": ([3, 1, 2, 0].__getitem__, [3, 1, 2, 0].__getitem__),
    "method descriptor": (int.bit_length, int.bit_length),
    "operator": (operator.neg, operator.neg),
    "operator with state": (operator.methodcaller("__add__", 2), lambda x: x + 2),
    "class": (str, str),
    "lambda": (lambda x: x * 7, lambda x: x * 7),
    "nested": (nested_function(100), lambda x: 100 + x),
    "recursive": (workloads.factorial, math.factorial),
    "nested and recursive": (nested_and_recursive(), [0, 1, 1, 2].__getitem__),
    "two that call each other": (two_that_call_each_other(), lambda x: x % 2 == 0),
    "cached": (functools.lru_cache(lambda x: x + 5), lambda x: x + 5),
    "marked": (cpu_bound(workloads.same), lambda x: x),
    "behind a decorator": (workloads.doubled, lambda x: ("wrapped", 2 * x)),
    "behind one that hides": (
        workloads.tripled_and_hidden,
        lambda x: ("hidden", 3 * x),
    ),
}


@each_backend
@pytest.mark.parametrize("sort", FUNCTIONS)
def test_functions(backend: Any, sort: str) -> None:
    """Every sort of callable gives what it gives in a plain loop."""
    fn, expected = FUNCTIONS[sort]

    results = run_parallel(workloads.on(backend, fn), range(4), backend=backend)

    assert results == [expected(x) for x in range(4)]


@each_backend
def test_functions_behind_one_decorator(backend: Any) -> None:
    """They share their code, and are not taken for one another: not when warm, too."""
    pairs: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
        (workloads.doubled, workloads.tripled),
        (workloads.doubled_and_hidden, workloads.tripled_and_hidden),
        (nested_function(1), nested_function(2)),
        (workloads.Scale(2), workloads.Scale(3)),
        (functools.partial(workloads.add, 1), functools.partial(workloads.add, 2)),
    ]
    for pair in pairs:
        for _ in range(2):
            for fn in pair:
                taken = workloads.on(backend, fn)
                assert run_parallel(taken, range(3), backend=backend) == [
                    fn(x) for x in range(3)
                ]


def test_state_is_a_snapshot_of_each_run() -> None:
    """A warm worker sees what the function's state is now, not what it was."""
    scale = workloads.Scale(2)
    for factor in (2, 5, 7):
        scale.factor = factor
        assert run_parallel(scale, [1, 2], backend="processes") == [factor, 2 * factor]


def test_a_global_that_is_rebound() -> None:
    """Each run sees globals as they are when it begins; a warm worker, too."""
    source = "factor = 1\ndef times(x):\n    return factor * x\n"
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(source, scope)
    for factor in (1, 3, 4):
        scope["factor"] = factor
        assert run_parallel(scope["times"], [1, 2], backend="processes") == [
            factor,
            2 * factor,
        ]


# -- functions that rebind a global -----------------------------------------------------


def counts_itself(x: int) -> int:
    """Compute for a few milliseconds, and count the calls."""
    global total
    with counting:  # without a GIL two threads may add to the same number
        total += 1
    return x + 1 + 0 * sum(n * n for n in range(100_000))


total = 0
counting = threading.Lock()


def test_a_function_that_rebinds_a_global_stays_here() -> None:
    """Its counting is not lost, and the report gives the reason."""
    global total
    total = 0

    results = run_parallel(counts_itself, range(150), max_workers=2)

    assert results == list(range(1, 151))
    assert total == 150
    assert "processes" not in results.report.on
    if smartpool.machine().gil and results.report.plan.kind == "cpu":
        assert any("total" in one.text for one in results.report.reasons)


@pytest.mark.parametrize("option", [{"backend": "processes"}, {"hint": "cpu"}])
def test_a_function_that_rebinds_a_global_goes_where_it_is_sent(option: Any) -> None:
    """Hinted or pinned, what it stores is no reason to keep it."""
    global total
    total = 0

    results = run_parallel(counts_itself, range(150), max_workers=2, **option)

    assert results == list(range(1, 151))
    assert not any("total" in one.text for one in results.report.reasons)
    if "backend" in option:
        assert total == 0
        assert results.report.on == {"processes": 150}


# -- scripts without a main guard --------------------------------------------------------

SCRIPT = """\
import dataclasses, os, sys
from smartpool import run_parallel

@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 1
    def moved(self, by):
        return Point(self.x + by, self.y)

class Result:
    def __init__(self, point):
        self.point = point

class Weird(Exception):
    pass

OFFSET = 5

def move(point):
    return Result(point.moved(OFFSET))

def fail(x):
    raise Weird(x)

def where(x):
    return os.getpid()

print("starting")
results = run_parallel(move, [Point(n) for n in range(4)], backend="processes")
assert [type(one) is Result for one in results] == [True] * 4
assert [one.point for one in results] == [Point(n + 5) for n in range(4)]
assert run_parallel(lambda p: p.x * OFFSET, [Point(1), Point(2)], backend="processes") == [5, 10]
assert run_parallel(Point(3).moved, [1], backend="processes") == [Point(4)]
try:
    run_parallel(fail, [1, 2], backend="processes")
except Weird as exc:
    assert "item" in exc.__notes__[0]
else:
    raise AssertionError("it did not fail")

assert os.getpid() not in run_parallel(where, range(4), backend="processes")
assert run_parallel(lambda x: x * x, range(10)) == [x * x for x in range(10)]

unaided = run_parallel(lambda x: x + sum(n * n for n in range(20_000)), range(400))
assert [one - unaided[0] for one in unaided] == list(range(400))
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
assert unaided.report.backend == ("processes" if gil else "threads"), unaided.report
print("done")
"""


def run_script(*command: str, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run an interpreter, and return what it has printed; nothing may go wrong."""
    done = subprocess.run(
        [sys.executable, *command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "Error" not in done.stderr, done.stderr
    return done.stdout


def test_a_script_file(tmp_path: Path) -> None:
    """Functions and classes of `__main__` travel both ways; it is run once."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)

    assert run_script(str(path)).split() == ["starting", "done"]


def test_a_command_line() -> None:
    """The same with `python -c`."""
    assert run_script("-c", SCRIPT).split() == ["starting", "done"]


def test_standard_input() -> None:
    """The same with `python - <<EOF`."""
    assert run_script("-", stdin=SCRIPT).split() == ["starting", "done"]


def test_a_module(tmp_path: Path) -> None:
    """The same with `python -m`."""
    (tmp_path / "program.py").write_text(SCRIPT)

    assert run_script("-m", "program", cwd=tmp_path).split() == ["starting", "done"]


def test_a_package_with_relative_imports(tmp_path: Path) -> None:
    """The same with `python -m package`, whose main module imports its neighbour."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("def add(x):\n    return x + 1\n")
    (package / "__main__.py").write_text(
        "from smartpool import run_parallel\n"
        "from . import helper\n"
        "from .helper import add\n"
        "def two(x):\n    return add(x) + helper.add(x)\n"
        "print(run_parallel(two, [1, 2], backend='processes'))\n"
    )

    assert run_script("-m", "package", cwd=tmp_path).strip() == "[4, 6]"


def test_an_interactive_interpreter() -> None:
    """The same, line by line; what was defined again is what is called."""
    lines = [
        "import dataclasses",
        "from smartpool import run_parallel",
        "def f(x):\n    return x + 1\n",
        "print('A', run_parallel(f, [1, 2], backend='processes'))",
        "def f(x):\n    return x + 100\n",
        "print('B', run_parallel(f, [1, 2], backend='processes'))",
        "@dataclasses.dataclass\nclass P:\n    x: int\n",
        "print('C', run_parallel(lambda p: P(p.x * 2), [P(4)], backend='processes'))",
    ]

    out = run_script("-i", stdin="\n".join(lines) + "\n")

    assert "A [2, 3]" in out
    assert "B [101, 102]" in out
    assert "C [P(x=8)]" in out


def test_a_script_beside_modules_with_standard_names(tmp_path: Path) -> None:
    """A `struct.py` or `queue.py` in the current directory is nobody's business."""
    for name in ("struct", "marshal", "queue", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('wrong one')\n")
    code = (
        "from smartpool import run_parallel\n"
        "print(run_parallel(lambda x: x + 1, [1], backend='processes'))"
    )

    assert run_script("-P", "-c", code, cwd=tmp_path).strip() == "[2]"


def test_a_class_defined_twice(tmp_path: Path) -> None:
    """Results are of the class that the caller has, so that `isinstance` holds."""
    path = tmp_path / "script.py"
    path.write_text(
        "from smartpool import run_parallel\n"
        "class Base: pass\n"
        "class Child(Base):\n"
        "    def __init__(self, x): self.x = x\n"
        "    def __eq__(self, other):\n"
        "        return type(other) is type(self) and other.x == self.x\n"
        "    __hash__ = None\n"
        "for _ in range(3):\n"
        "    out = run_parallel(lambda c: (c, isinstance(c, Base)), [Child(1)],\n"
        "                       backend='processes')\n"
        "    assert out == [(Child(1), True)], out\n"
        "print('same')\n"
    )

    assert run_script(str(path)).strip() == "same"
