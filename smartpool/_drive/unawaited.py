"""Coroutine objects that a plain function returned, and that nobody would await."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from types import CoroutineType
from typing import Any

from .._observe.functions import name_of


def refusal(fn: Callable[..., Any], values: Iterator[Any]) -> TypeError | None:
    """Return what to raise if the first value is a coroutine object, else `None`.

    Only the first is looked at, so that items of nanoseconds pay nothing. If it is
    one, all are closed that were not begun: Python would warn of each.
    """
    first = next(values, None)
    if not isinstance(first, CoroutineType):
        return None
    for value in chain((first,), values):
        if isinstance(value, CoroutineType):
            _close(value)
    return _error(name_of(fn), first.__name__)


def _error(plain: str, awaited: str) -> TypeError:
    wrote = f"def {plain}(...): return {awaited}(...)"
    write = f"async def {plain}(...): return await {awaited}(...)"
    if plain == "<lambda>":
        wrote = f"run_parallel(lambda item: {awaited}(item), items)"
        write = f"run_parallel({awaited}, items)"
    return TypeError(
        f"fn returned a coroutine object of {awaited}, and nobody would await it:"
        f" {plain} is not an async def.\n"
        f"  Probably you wrote:    {wrote}\n"
        f"  Instead, write:        {write}"
    )


def _close(coroutine: CoroutineType[Any, Any, Any]) -> None:
    if not coroutine.cr_running and not coroutine.cr_suspended:
        coroutine.close()
