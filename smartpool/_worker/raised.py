"""Exceptions on their way from a worker to the caller.

An exception comes back as itself if a load here shows that it does; else as an
instance of its class that was made without its `__init__`, which is what commonly
refuses (`__init__(self, code, text)` that passes one of them on); else as a stand-in.
The remote traceback comes along as text and becomes its `__cause__`.
"""

from __future__ import annotations

import marshal

from .pickling import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RemoteTraceback(Exception):  # noqa: N818 - it is where an error was, not one
    """Where in the worker an exception was raised: the traceback, as text.

    It is the `__cause__` of an exception that comes from a worker.
    """

    def __init__(self, text: str) -> None:
        """Keep the text."""
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Return it as Python prints it under "direct cause"."""
        return f'\n"""\n{self.text}"""'


def dump_error(exc: BaseException) -> bytes:
    """Return what `load_error` makes `exc` of. Never raises."""
    return marshal.dumps((_traceback(exc), _notes(exc), _travelling(exc)))


def load_error(data: bytes | memoryview) -> BaseException:
    """Return the exception. Runs code of its class; raises whatever that raises."""
    text, notes, pickled = marshal.loads(data)
    exc = loads(pickled)
    if not isinstance(exc, BaseException):
        raise TypeError(f"an exception became {exc!r} on its way")
    # Past `__setattr__`: there are exceptions that refuse to be changed.
    if notes:
        exc.__dict__.setdefault("__notes__", notes)
    if text:
        _CAUSE.__set__(exc, RemoteTraceback(text))
    return exc


_CAUSE = BaseException.__dict__["__cause__"]


def rebuild(
    cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    """Make an exception as it was, without a call of its `__init__`."""
    exc = cls.__new__(cls, *args)
    # Past `__setattr__`, which may refuse.
    BaseException.__dict__["args"].__set__(exc, args)
    exc.__dict__.update(state)
    return exc


class _Rebuilt:
    """Pickles as the exception that it stands for."""

    def __init__(self, exc: BaseException) -> None:
        self._exc = exc

    def __reduce__(self) -> tuple[Any, ...]:
        exc = self._exc
        return rebuild, (type(exc), exc.args, exc.__dict__)


def _traceback(exc: BaseException) -> str:
    try:
        from traceback import format_exception

        return "".join(format_exception(exc))
    except BaseException:  # noqa: BLE001 - its `__str__` is the user's
        return ""


def _notes(exc: BaseException) -> list[str]:
    try:
        notes = getattr(exc, "__notes__", None)
    except BaseException:  # noqa: BLE001 - a property of the user's
        return []
    return [_text(note) for note in notes] if isinstance(notes, list) else []


def _text(thing: object) -> str:
    """Return `thing` as text: a plain `str`, which is all that `marshal` takes."""
    try:
        return str.__str__(str(thing))
    except BaseException:  # noqa: BLE001 - its `__str__` is the user's
        return "(no text)"


def _travelling(exc: BaseException) -> bytes:
    """Return the pickle of `exc`, or of what stands in for it."""
    for form in (exc, _Rebuilt(exc)):
        data = _checked(form, type(exc))
        if data is not None:
            return data
    return dumps(_stand_in(exc))


def _checked(form: object, cls: type[BaseException]) -> bytes | None:
    """Return the pickle of `form` if it loads as a `cls`, else `None`."""
    try:
        data = dumps(form)
        return data if type(loads(data)) is cls else None
    except BaseException:  # noqa: BLE001 - user code, both ways
        return None


def _stand_in(exc: BaseException) -> BaseException:
    from .._errors import SmartPoolError

    cls = type(exc)
    return SmartPoolError(
        f"{cls.__module__}.{cls.__qualname__}: {_text(exc)} (a stand-in: the exception "
        "itself cannot be pickled)"
    )
