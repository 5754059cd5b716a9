"""Pickling by value. Loads cloudpickle, and so is imported when code travels by value.

One thing is added to what cloudpickle does: a function under `functools.lru_cache`
travels by value too, with an empty cache, where it can only be had so.
"""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle

from .. import _fork
from .._lock import Lock


class _Registering:
    """Its lock is held while modules are marked to go by value.

    There is one registry for all.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        _fork.register(self)

    def after_fork_in_child(self) -> None:
        """Renew the lock: the thread that held it may not be there."""
        self.lock = Lock()


_registering = _Registering()

_Cached = type(functools.lru_cache(int))


def dumps(
    thing: Any,  # noqa: ANN401
    modules: Iterable[str],
    protocol: int,
    apart: Callable[[Any], bool] | None = None,
) -> bytes:
    """Return the pickle of `thing`, by value where it is from `__main__` or `modules`.

    Args:
        thing: What travels.
        modules: Names of modules whose functions and classes travel by value.
        protocol: Of pickle.
        apart: Asked of each buffer whether it stays in the pickle.

    Raises:
        Exception: Whatever pickling raises.
    """
    loaded = [sys.modules[name] for name in modules if name in sys.modules]
    if not loaded:
        return _dumps(thing, protocol, apart)
    with _registering.lock:
        known = cloudpickle.list_registry_pickle_by_value()
        ours = [module for module in loaded if module.__name__ not in known]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            return _dumps(thing, protocol, apart)
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)


def cached(fn: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """Put `fn` under a new cache."""
    under_a_cache: Callable[..., Any] = functools.lru_cache(**options)(fn)
    return under_a_cache


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - what pickle asks for
        # The cache and the function in it may refer to each other: pickle sees that
        # the inner round has made the object, and lets go of the outer one's.
        if type(obj) is _Cached and not _by_name(obj):
            return cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def _dumps(
    thing: Any,  # noqa: ANN401
    protocol: int,
    apart: Callable[[Any], bool] | None,
) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol, buffer_callback=apart).dump(thing)
    return file.getvalue()


def _by_name(obj: Any) -> bool:  # noqa: ANN401
    """Return whether the other process can find `obj` under its name."""
    name = obj.__module__
    if name == "__main__" or name in cloudpickle.list_registry_pickle_by_value():
        return False
    found = sys.modules.get(name)
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj
