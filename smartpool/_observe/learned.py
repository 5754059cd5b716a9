"""What runs have shown of functions, kept for the runs to come.

For this process only, and for the functions used last. There is no lock, which a fork,
a signal handler or a finalizer could find held: each step is one operation on a dict,
and those are atomic, with a GIL or without. Two threads that make room at the same
moment may drop one function more than needed. A forked child goes on with what was
learnt before.
"""

from __future__ import annotations

from itertools import count
from typing import Final, NamedTuple

from .._decide.facts import BackendName, Profile
from .._decide.plan import Kind, Plan, Reason
from .functions import AnyCallable, FunctionKey, function_key

_MOST: Final = 512  # a guess: more than programs have functions to map


class Learned(NamedTuple):
    """What is known of a function.

    Attributes:
        plan: How its items were called in the end.
        profile: What its calls showed.
        unpicklable: Why it, its arguments or its results cannot travel to a worker
            process; `None` if they can, or if nobody has tried.
        gil: Whether the GIL was on.
        travels: Whether its arguments and results have been seen to travel.
        runs: Runs that have called it, each soon after the one before.
        at_s: When the last of them was planned (`time.monotonic`).
    """

    plan: Plan
    profile: Profile
    unpicklable: str | None = None
    gil: bool = True
    travels: bool = False
    runs: int = 1
    at_s: float = 0.0

    @property
    def kind(self) -> Kind:
        """What the function was taken for, such as ``"cpu"``."""
        return self.plan.kind

    @property
    def backend(self) -> BackendName:
        """Where its items were called."""
        return self.plan.backend

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why there."""
        return self.plan.reasons


class _Kept:
    """What is known of one function, and when that was last of use."""

    __slots__ = ("used", "what")

    def __init__(self, what: Learned, used: int) -> None:
        self.what, self.used = what, used


_known: dict[FunctionKey, _Kept] = {}
_clock = count()


def learned(fn: AnyCallable) -> Learned | None:
    """Return what earlier runs have shown of `fn`, or `None`.

    Args:
        fn: The function. A partial or a method stands for its function.

    Raises:
        TypeError: If `fn` cannot be called.

    Example:
        >>> learned(len) is None
        True
    """
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {fn!r}")
    return recall(fn)


def remember(fn: AnyCallable | FunctionKey, what: Learned) -> None:
    """Keep `what` for `fn`; what was kept before is replaced."""
    _known[_key(fn)] = _Kept(what, next(_clock))
    if len(_known) > _MOST:
        _make_room()


def recall(fn: AnyCallable | FunctionKey) -> Learned | None:
    """Return what is kept for `fn`, or `None`."""
    kept = _known.get(_key(fn)) if _known else None
    if kept is None:
        return None
    kept.used = next(_clock)
    return kept.what


def forget(fn: AnyCallable | FunctionKey) -> None:
    """Drop what is kept for `fn`."""
    _known.pop(_key(fn), None)


def forget_all() -> None:
    """Drop everything."""
    _known.clear()


def _key(fn: AnyCallable | FunctionKey) -> FunctionKey:
    """Return the key of a function; who asks more than once brings it along."""
    return fn if isinstance(fn, FunctionKey) else function_key(fn)


def _make_room() -> None:
    """Drop the functions used longest ago (20 to 110 µs, where the store is full)."""
    while len(_known) > _MOST:
        uses = {kept.used: key for key, kept in _known.copy().items()}
        if uses:  # another thread may have dropped everything
            _known.pop(uses[min(uses)], None)
