"""Context variables that go along to worker processes.

A variable can be found again in another process if a module has it as an attribute, and
its value travels if it can be pickled. The others stay, and the report counts them.
"""

from __future__ import annotations

import sys
from contextvars import Context, ContextVar, copy_context
from typing import Any

from ..._worker.pickling import dumps

_OURS = "smartpool_"
_PYTHONS = "warnings_context"  # filters go along in another way
_DECIMAL = "decimal_context"

_homes: dict[int, tuple[ContextVar[Any], str, str]] = {}
"""Variables that were found, by their number: module and name. They are kept: variables
live as long as the program, as a rule."""


def context_variables(context: Context | None) -> tuple[bytes, tuple[str, ...]]:
    """Return the variables of a context that can travel, pickled, and names of others.

    Args:
        context: The context; `None` is the present one.
    """
    items = [
        (variable, value)
        for variable, value in (context or copy_context()).items()
        if _goes(variable.name, value)
    ]
    if not items:
        return b"", ()
    going: list[bytes] = []
    stay: list[str] = []
    for variable, value in items:
        home = _home(variable)
        data = None if home is None else _pickled((*home, value))
        if data is None:
            stay.append(variable.name)
        else:
            going.append(data)
    return dumps(going) if going else b"", tuple(stay)


def has_variables() -> bool:
    """Return whether the present context has variables that matter to a call."""
    return any([_goes(one.name, value) for one, value in copy_context().items()])  # noqa: C419 - quicker


def _goes(name: str, value: Any) -> bool:  # noqa: ANN401
    """Return whether a variable makes a difference in a worker."""
    if name == _DECIMAL:
        return not _is_default(value)
    return not name.startswith(_OURS) and name != _PYTHONS


def _is_default(context: Any) -> bool:  # noqa: ANN401 - a decimal.Context
    """Return whether that is what a worker begins with: as it is once it was asked for.

    What has happened in it so far (its flags) is not looked at.
    """
    default = sys.modules["decimal"].DefaultContext
    return all(getattr(context, one) == getattr(default, one) for one in _ASPECTS)


_ASPECTS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps")


def _pickled(thing: object) -> bytes | None:
    try:
        return dumps(thing)
    except Exception:  # noqa: BLE001 - user code: a value may be anything
        return None


def _home(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """Return a module that has `variable` as an attribute, and its name there."""
    if variable.name == _DECIMAL:
        return "decimal", ""
    known = _homes.get(id(variable))
    if known is not None:
        return known[1:]
    for name, module in list(sys.modules.items()):
        if name == "__main__":  # it is another one there
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable:
                _homes[id(variable)] = variable, name, attribute
                return name, attribute
    return None
