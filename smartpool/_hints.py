"""`cpu_bound`, `io_bound`, `nogil`: what you know of a function, said where it is defined.

They only mark: the function stays the same object, and can be pickled and called as
before. A `hint=` at the call wins over the mark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ._decide.facts import Hint
from ._observe.functions import MARK

F = TypeVar("F", bound=Callable[..., Any])


def cpu_bound(fn: F, /) -> F:
    """Mark `fn` as working all the time, holding the GIL.

    Args:
        fn: A function, a method or a callable object.

    Returns:
        `fn` itself.

    Raises:
        TypeError: If `fn` cannot be called, or cannot be marked, as builtins.

    Example:
        >>> @cpu_bound
        ... def checksum(data):
        ...     return sum(data) % 255
        >>> checksum(b"ab")
        195
    """
    return _mark(fn, "cpu", "cpu_bound")


def io_bound(fn: F, /) -> F:
    """Mark `fn` as waiting most of the time: for a network, a disk, a lock.

    Args:
        fn: A function, a method or a callable object.

    Returns:
        `fn` itself.

    Raises:
        TypeError: If `fn` cannot be called, or cannot be marked, as builtins.

    Example:
        >>> @io_bound
        ... def read(path):
        ...     return open(path).read()
    """
    return _mark(fn, "io", "io_bound")


def nogil(fn: F, /) -> F:
    """Mark `fn` as working in C code that releases the GIL.

    Args:
        fn: A function, a method or a callable object.

    Returns:
        `fn` itself.

    Raises:
        TypeError: If `fn` cannot be called, or cannot be marked, as builtins.

    Example:
        >>> import hashlib
        >>> @nogil
        ... def digest(data):
        ...     return hashlib.sha256(data).digest()
    """
    return _mark(fn, "nogil", "nogil")


def _mark(fn: F, hint: Hint, decorator: str) -> F:
    function: Any = fn
    if type(function) in {staticmethod, classmethod}:
        # Inside of a class body these may come first; the function is in them.
        function = function.__func__
    if not callable(function):
        raise TypeError(f"{decorator} expects a function to mark, not {fn!r}")
    try:
        setattr(function, MARK, hint)
    except (AttributeError, TypeError):  # a builtin; a builtin class
        raise TypeError(
            f"{decorator} cannot mark {fn!r}: it takes no attributes; "
            f"pass hint={hint!r} at the call instead"
        ) from None
    return fn
