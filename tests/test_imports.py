"""Unit: how many modules a worker has to import for a function, about."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from smartpool._observe.imports import modules_behind
from tests import workloads


@pytest.fixture
def heavy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package of 40 modules that is loaded."""
    package = ModuleType("heavy")
    monkeypatch.setitem(sys.modules, "heavy", package)
    for number in range(39):
        name = f"heavy.part{number}"
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    return package


def function(module: str, **names: Any) -> Any:
    """Return a function of a module in which these names are."""
    space = {"__name__": module, **names}
    exec("def fn(x): return [x, used]", space)
    return space["fn"]


def test_a_plain_function_needs_none() -> None:
    """Neither the standard library nor its own package counts."""
    assert modules_behind(workloads.same) == 0
    assert modules_behind(abs) == 0


def test_what_its_module_has_imported(heavy: ModuleType) -> None:
    """The module is imported as a whole, used or not."""
    assert modules_behind(function("project.tasks", unused=heavy)) == 40
    assert modules_behind(partial(function("project.tasks", used=heavy), 1)) == 40
    assert modules_behind(function("heavy.tasks", used=heavy)) == 0


def test_what_a_function_of_main_names(heavy: ModuleType) -> None:
    """It goes by value, with what it uses."""
    assert modules_behind(function("__main__", used=heavy)) == 40
    assert modules_behind(function("__main__", unused=heavy)) == 0


def test_what_is_bound_to_it(heavy: ModuleType) -> None:
    """A worker has to know the types of bound arguments."""
    kind = type("Table", (), {"__module__": "heavy.part3"})

    assert modules_behind(partial(workloads.same, kind())) == 40
    assert modules_behind(partial(workloads.same, x=kind())) == 40
