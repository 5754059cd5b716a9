"""Checks of what a pool and its `map` are given, beyond those of a run."""

from __future__ import annotations

from math import isnan

from .._decide.facts import BackendName
from .._drive.request import check_count


def check_initializer(
    initializer: object, initargs: object, backend: BackendName | None
) -> None:
    """Raise unless it can be called, with a tuple of arguments, in such workers."""
    if not isinstance(initargs, tuple):
        raise TypeError(
            f"initargs must be a tuple, not {initargs!r}; write initargs=(value,)"
        )
    if initializer is None:
        return
    if not callable(initializer):
        raise TypeError(f"initializer must be callable, not {initializer!r}")
    if backend in ("serial", "event_loop"):
        raise ValueError(
            f"initializer is for workers, and backend {backend!r} has none; call it"
            " yourself before, or leave backend out"
        )


def check_tasks_per_child(count: int | None, backend: BackendName | None) -> None:
    """Raise unless such workers can be replaced after so many items."""
    check_count("max_tasks_per_child", count)
    if count is not None and backend not in (None, "processes"):
        raise ValueError(
            "max_tasks_per_child is for worker processes, and backend"
            f" {backend!r} has none; leave one of them out"
        )


def check_buffersize(value: object) -> None:
    """Raise unless it is `None` or a whole number above 0: in the standard's words."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"buffersize must be an integer or None, not {value!r}")
    if value < 1:
        raise ValueError(f"buffersize must be None or > 0, not {value!r}")


def check_seconds(name: str, value: object) -> None:
    """Raise unless `value` is `None` or a number of seconds."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    if isnan(value):
        raise ValueError(f"{name} must be a number of seconds, not {value!r}")
