"""Facts of a callable that are seen without calling it.

Each takes a microsecond or two, and none imports `inspect` or `asyncio`: a run pays
for them before its first item. What `inspect.iscoroutinefunction` says is said here
too, and callable objects with an `async def __call__` are known besides.
"""

# ruff: noqa: ANN401 - what can be called may be anything

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple

from .._decide.facts import HINTS, Hint

AnyCallable = Callable[..., Any]

MARK: Final = "__smartpool_hint__"
"""The attribute in which the decorators leave their hint."""

# The same numbers as in `inspect`.
_GENERATOR: Final = 0x20
_COROUTINE: Final = 0x80
_ASYNC_GENERATOR: Final = 0x200

# Functions marked as coroutine functions: attribute, and where the mark itself is.
# Before Python 3.12 there was only asyncio's, which libraries borrowed.
_COROUTINE_MARKS: Final = (
    ("_is_coroutine_marker", "inspect", "_is_coroutine_mark"),
    ("_is_coroutine_marker", "inspect", "_is_coroutine_marker"),  # 3.12
    ("_is_coroutine", "asyncio.coroutines", "_is_coroutine"),
)

_MOST_LAYERS: Final = 16
"""Functions that are looked at behind one callable: a `__wrapped__` may lead on and on."""


class FunctionKey(NamedTuple):
    """What makes a function the same as before, also after a reload or as a copy.

    Attributes:
        module: Where it was defined; "" if it does not say.
        qualname: Its name there.
        code: Hash of its code and of the code that wraps it; `None` without any,
            as for builtins.
    """

    module: str
    qualname: str
    code: int | None


def is_async(fn: AnyCallable) -> bool:
    """Return whether calling `fn` returns a coroutine.

    Seen through partials and bound methods, not through `__wrapped__`: a plain
    wrapper of an `async def` is plain, unless it is marked.
    """
    return _has_flag(fn, _COROUTINE) or _is_marked_async(fn)


def is_generator(fn: AnyCallable) -> bool:
    """Return whether calling `fn` returns a generator, having run nothing yet."""
    return _has_flag(fn, _GENERATOR)


def is_async_generator(fn: AnyCallable) -> bool:
    """Return whether calling `fn` returns an async generator: nothing to await."""
    return _has_flag(fn, _ASYNC_GENERATOR)


def hint_of(fn: AnyCallable) -> Hint | None:
    """Return the hint that `fn` was marked with, or `None`."""
    for layer in _layers(fn):
        mark = getattr(layer, MARK, None)
        if not isinstance(mark, str):
            continue
        for hint in HINTS:
            if mark == hint:
                return hint
    return None


def name_of(fn: AnyCallable) -> str:
    """Return a short name of `fn`, for people."""
    return _qualname(_bare(fn)).rpartition("<locals>.")[2]


def function_key(fn: AnyCallable) -> FunctionKey:
    """Return the key under which to keep what is learnt of `fn`.

    Partials and methods of any object share the key of their function. A decorated
    function has one of its own, with or without `functools.wraps`: what a wrapper
    does (retry, wait, cache) is part of how the calls behave.
    """
    bare = _unwrapped(fn)
    # Python 3.11 leaves the bytecode out of a code's hash.
    codes = tuple(
        (function.__code__, function.__code__.co_code)
        for function in functions_behind(fn)
    )
    module = getattr(bare, "__module__", None)
    return FunctionKey(
        module if isinstance(module, str) else "",
        _qualname(bare),
        hash(codes) if codes else None,
    )


def functions_behind(fn: AnyCallable) -> Iterator[FunctionType]:
    """Yield the Python functions that a call of `fn` may run, the outermost first.

    Through partials, methods, callable objects, `__wrapped__`, and functions in the
    cells of closures, where decorators without `functools.wraps` keep theirs.
    """
    waiting: list[Any] = [fn]
    seen: set[int] = set()
    for found in waiting:
        layer = _bare(found)
        if id(layer) in seen or len(seen) >= _MOST_LAYERS:
            continue
        seen.add(id(layer))
        wrapped = getattr(layer, "__wrapped__", None)
        if callable(wrapped):
            waiting.append(wrapped)
        function = layer if isinstance(layer, FunctionType) else _call_method(layer)
        if isinstance(function, FunctionType):
            yield function
            waiting += _functions_in_cells(function)


def _functions_in_cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            held = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        if isinstance(held, (FunctionType, MethodType, partial)):
            yield held


def _layers(fn: Any) -> Iterator[Any]:
    """Yield `fn`, what its partials and bound methods stand for, and its `__call__`."""
    bare, layer = fn, fn
    while layer is not None:
        yield layer
        bare, layer = layer, _inside(layer)
    yield _call_method(bare)


def _bare(fn: Any) -> Any:
    """Return what is called in the end, without bound arguments."""
    inside = fn
    while inside is not None:
        fn, inside = inside, _inside(inside)
    return fn


def _unwrapped(fn: Any) -> Any:
    """Return the function that the decorators were put on."""
    fn = _bare(fn)
    for _ in range(_MOST_LAYERS):
        wrapped = getattr(fn, "__wrapped__", None)
        if not callable(wrapped):
            break
        fn = _bare(wrapped)
    return fn


def _inside(layer: Any) -> Any:
    """Return what a partial or a bound method stands for; `None` for all else."""
    if isinstance(layer, FunctionType):
        # A partialmethod is found as a function that carries it (renamed in 3.13).
        held = layer.__dict__ and (
            layer.__dict__.get("__partialmethod__")
            or layer.__dict__.get("_partialmethod")
        )
        return held.func if isinstance(held, partialmethod) else None
    if isinstance(layer, MethodType):
        return layer.__func__
    return layer.func if isinstance(layer, partial) else None


def _call_method(layer: object) -> Any:
    """Return what a call of an object runs: `__call__` of its class."""
    return _bare(getattr(type(layer), "__call__", None))  # noqa: B004 - the method is wanted


def _has_flag(fn: object, flag: int) -> bool:
    bare = _bare(fn)
    # By attribute, not by type: compiled functions (Cython) and mocks have one too.
    code = getattr(bare, "__code__", None)
    if code is None:
        code = getattr(_call_method(bare), "__code__", None)
    flags = getattr(code, "co_flags", 0)
    return isinstance(flags, int) and bool(flags & flag)


def _is_marked_async(fn: object) -> bool:
    bare = _bare(fn)
    if isinstance(bare, FunctionType) and not bare.__dict__:
        return False
    for attribute, module, name in _COROUTINE_MARKS:
        # Nobody can have marked anything while the module is not loaded.
        mark = getattr(sys.modules.get(module), name, None)
        for marked in (bare, _call_method(bare)) if mark is not None else ():
            if getattr(marked, attribute, None) is mark:
                return True
    return False


def _qualname(bare: object) -> str:
    for name in ("__qualname__", "__name__"):
        found = getattr(bare, name, None)
        if isinstance(found, str):
            return found
    return type(bare).__qualname__
