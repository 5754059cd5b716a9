"""A hash of a function's code: is what a worker imported what the parent means?

A worker that stays warm has imported a module once. If the parent's was reloaded, or
rewritten on import as test runners do, the same name stands for other code there.
"""

from __future__ import annotations

from functools import partial
from types import CodeType, FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CALL = "__call__"

try:
    from _blake2 import blake2b  # `hashlib` would load OpenSSL first
except ImportError:
    from hashlib import blake2b


def content_name(data: bytes) -> bytes:
    """Return 16 bytes that stand for `data`."""
    return blake2b(data, digest_size=16).digest()


def fingerprint(fn: object) -> bytes:
    """Return 16 bytes that stand for the code of `fn`; empty where it has none."""
    digest = blake2b(digest_size=16)
    found = False
    for function in _functions(plain(fn)):
        found = True
        _feed(function.__code__, digest.update)
        _feed((function.__defaults__, function.__kwdefaults__), digest.update)
    return digest.digest() if found else b""


def plain(fn: object) -> object:
    """Return the function, class or object in `fn`, without what is bound to it."""
    while True:
        if isinstance(fn, MethodType):
            fn = fn.__func__
        elif isinstance(fn, partial):
            fn = fn.func
        else:
            return fn


def _functions(fn: object) -> Iterator[FunctionType]:
    """Yield the functions that calling `fn` begins with: all that it wraps, too."""
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        if isinstance(fn, FunctionType):
            yield fn
        elif isinstance(fn, type):
            yield from _methods(fn)
        elif isinstance(call := _look_up_call(type(fn)), FunctionType):
            yield call
        attributes = getattr(fn, "__dict__", None)
        fn = attributes.get("__wrapped__") if attributes is not None else None


def _look_up_call(cls: type) -> object:
    return next(
        (vars(base)[_CALL] for base in cls.__mro__ if _CALL in vars(base)), None
    )


def _methods(cls: type) -> Iterator[FunctionType]:
    for name in sorted(vars(cls)):
        if isinstance(value := vars(cls)[name], FunctionType):
            yield value


def _feed(constant: object, update: Callable[[bytes], object]) -> None:
    """Hash code and constants, by nothing that differs between two processes."""
    if isinstance(constant, CodeType):
        update(b"code" + constant.co_code)
        _feed((constant.co_names, constant.co_freevars), update)
        _feed(constant.co_consts, update)
    elif isinstance(constant, tuple):
        update(b"(%d" % len(constant))
        for part in constant:
            _feed(part, update)
    elif isinstance(constant, (frozenset, dict)):  # their order is no part of them
        update(repr(sorted(map(repr, constant))).encode(errors="replace"))
    elif isinstance(constant, (int, float, complex, str, bytes, type(None))):
        update(repr(constant).encode(errors="replace"))
    else:  # a default of any kind: what it is does not show in its `repr`
        update(type(constant).__qualname__.encode(errors="replace"))
