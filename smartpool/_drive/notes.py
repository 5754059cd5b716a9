"""What an exception is told of the run that it ended."""

from __future__ import annotations

from reprlib import Repr
from typing import Any, Final

from .._errors import remember_completed

REPR_MOST: Final = 80
"""Characters of an argument's repr in a note."""

_REPR: Final = Repr()
_REPR.maxstring = _REPR.maxother = 2 * REPR_MOST


def name_item(exc: BaseException, index: int, args: tuple[Any, ...] | None) -> None:
    """Add a note to `exc` that names its item; untouched if it refuses one."""
    shown = "" if args is None else f": {short_args(args)}"
    note = f"smartpool: item {index}{shown}"
    try:
        if note not in getattr(exc, "__notes__", ()):
            exc.add_note(note)
    except Exception:  # noqa: BLE001, S110 - frozen exceptions refuse in many ways
        pass


def name_completed(exc: BaseException, results: dict[int, Any]) -> None:
    """Let `completed(exc)` return `results`.

    What it returned before is of an inner run, or of an earlier one that the same
    object ended: who catches `exc` here asks for the results of this one.
    """
    remember_completed(exc, results)


def leave_alone(interrupt: BaseException, before: BaseException | None) -> None:
    """Take out of a Ctrl-C's traceback what we, or an import, handled when it came.

    It comes between any two instructions. Shown as raised while a `queue.Empty` or a
    `KeyError` was handled it would look as if something had gone wrong before.

    Args:
        interrupt: What ends the run; untouched unless it is a KeyboardInterrupt.
        before: What the caller was handling when it called us: that stays.
    """
    if isinstance(interrupt, KeyboardInterrupt) and interrupt is not before:
        interrupt.__context__ = before


def short_args(args: tuple[Any, ...]) -> str:
    """Return the arguments' reprs, shortened; a repr that raises is named so."""
    return ", ".join(_short_repr(arg) for arg in args)


def _short_repr(value: Any) -> str:  # noqa: ANN401
    try:
        if isinstance(value, (str, bytes, bytearray)):
            value = value[:REPR_MOST]  # there may be megabytes of it
        text = _REPR.repr(value)
    except Exception as exc:  # noqa: BLE001 - the user's __repr__
        text = f"<{type(value).__name__}, whose repr raised {type(exc).__name__}>"
    return text if len(text) <= REPR_MOST else f"{text[: REPR_MOST - 3]}..."
