"""What a worker says besides outcomes: log records and warnings."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from ..._worker import wire
from ..._worker.pickling import loads

_registry: dict[Any, Any] = {}
"""Warnings that were shown, as modules have one: for filters that show each once."""


class Said:
    """One log record or warning, still pickled.

    Args:
        body: As it came.
    """

    __slots__ = ("_body",)

    def __init__(self, body: wire.Buffer) -> None:
        """Keep it."""
        self._body = body

    def deliver(self) -> None:
        """Have it handled as if it had been made here. Runs code of the user's.

        What that raises is printed: there is no call that it could be raised in.
        """
        try:
            thing = loads(memoryview(self._body)[1:])
            if self._body[0] == wire.WARNING:
                _warn(*thing)
            else:
                _log(thing)
        except Exception:  # noqa: BLE001 - handlers, filters, classes of the user's
            if sys.stderr is not None:
                traceback.print_exc()


def _log(fields: dict[str, Any]) -> None:
    import logging

    record = logging.makeLogRecord(fields)
    logging.getLogger(record.name).handle(record)


def _warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int
) -> None:
    import warnings

    try:
        warnings.warn_explicit(message, category, filename, lineno, registry=_registry)
    except category:
        # It is an error now, and was none when the call began: it has been made all
        # the same, and nobody is there to take it.
        warnings.showwarning(message, category, filename, lineno)
