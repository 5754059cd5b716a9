"""How many modules a worker has to import for a function, about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any, Final

from .functions import AnyCallable, functions_behind

_OURS: Final = "smartpool"


def modules_behind(fn: AnyCallable) -> int:
    """Return how many modules outside of the standard library `fn` needs, about.

    Its own module is imported with all that it imports; of a function of `__main__`,
    which goes by value, what it names. A package counts with all of its modules that
    are loaded here: a worker imports about as many. Not so its own package, of which
    it may need any part: that counts for nothing. Takes some 0.3 ms.
    """
    packages = {name.partition(".")[0] for name in _named(fn)}
    packages -= {_OURS, "__main__", "builtins"} | sys.stdlib_module_names
    for function in functions_behind(fn):
        packages.discard((function.__module__ or "").partition(".")[0])
    if not packages:
        return 0
    loaded = list(sys.modules)
    return sum(name.partition(".")[0] in packages for name in loaded)


def _named(fn: Any) -> Iterator[str]:  # noqa: ANN401 - whatever can be called
    """Yield the names of modules that are behind `fn`, some more than once."""
    for function in functions_behind(fn):
        names = function.__globals__
        if function.__module__ == "__main__":
            wanted = function.__code__.co_names
            names = {name: names[name] for name in wanted if name in names}
        for value in list(names.values()):
            yield _module_of(value)
    while isinstance(fn, partial):
        for value in (*fn.args, *fn.keywords.values()):
            yield _module_of(type(value))
        fn = fn.func


def _module_of(value: object) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""
