"""The pool's initializer, from here: how it travels, and what its failure comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._errors import NotPicklableError
from ..._outcome import Error
from ..._worker.pickling import dumps
from ..._worker.raised import load_error


def pickled(initializer: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    """Return an initializer in the form in which it travels.

    Raises:
        NotPicklableError: If it or its arguments cannot be pickled.
    """
    try:
        return dumps((initializer, args))
    except Exception as exc:
        raise NotPicklableError(
            f"initializer and initargs cannot be pickled and so cannot be sent to "
            f'worker processes: {exc!r}. Pass plain data, or backend="threads".'
        ) from exc


class Uninitialized:
    """The outcome of every item of a pool whose initializer has failed.

    Args:
        data: What it raised, as `dump_error` has it.
    """

    failed = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._told = False

    def load(self) -> Error:
        """Return the error, a new one each time. May run code of the user's classes."""
        from ..._crash import initializer_error

        try:
            cause = load_error(self._data)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - user code; it is the cause
            cause = exc
        told, self._told = self._told, True
        return Error(initializer_error(cause, "worker process", log=not told))
