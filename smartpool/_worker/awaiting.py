"""Calls of an `async def` in a worker: one at a time, each on a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def awaited(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Return a plain function that calls `fn` and waits for its end."""

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever fn takes
        return asyncio.run(fn(*args, **kwargs))

    return call
