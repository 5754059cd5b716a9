"""The pool's initializer: called once in each worker, before any item."""

from __future__ import annotations

from .pickling import loads
from .raised import dump_error


def failure(pickled: bytes) -> bytes:
    """Call the initializer; return what it raised, as `dump_error` has it, if it did."""
    try:
        initializer, args = loads(pickled)
        initializer(*args)
    except BaseException as exc:  # noqa: BLE001 - user code; the parent is told
        return dump_error(exc)
    return b""
