"""What became of one call: `Value` or `Error`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Outcome(Protocol):
    """What became of one call, possibly still in the form in which it travelled."""

    @property
    def failed(self) -> bool:
        """Whether the call raised."""
        ...

    def load(self) -> Value | Error:
        """Return it as objects. May run code of the user's classes.

        Raises:
            KeyboardInterrupt: If one comes meanwhile; nothing else is raised.
        """
        ...


class Value:
    """The call returned."""

    __slots__ = ("value",)
    failed: bool = False

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - whatever fn returns
        self.value: Any = value

    def load(self) -> Value:
        """Return this."""
        return self


class Error:
    """The call raised, or it could not be made, or its result was lost."""

    __slots__ = ("error",)
    failed: bool = True

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException = error

    def load(self) -> Error:
        """Return this."""
        return self


def called(fn: Callable[..., Any], args: Sequence[Any]) -> Any:  # noqa: ANN401
    """Call `fn` with a tuple of arguments, or with a list: that tuple and keywords."""
    if type(args) is list:
        return fn(*args[0], **args[1])
    return fn(*args)


def capture(fn: Callable[..., Any], args: Sequence[Any]) -> Value | Error:
    """Call `fn` once and return what became of it, `SystemExit` and its like too."""
    try:
        return Value(called(fn, args))
    except BaseException as exc:  # noqa: BLE001 - the item's, whatever it is
        return Error(exc)
