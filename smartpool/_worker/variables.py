"""Context variables that came along: each call runs in a context that has them."""

from __future__ import annotations

import sys
from contextvars import Context

from .pickling import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def context_with(pickled: bytes) -> Context:
    """Return a context in which those variables are set.

    One that cannot be had here is left out: it would be lost without all this, too.
    """
    context = Context()
    for one in loads(pickled):
        try:
            context.run(_set, *loads(one))
        except Exception:  # noqa: BLE001, S112 - user code: imports, classes
            continue
    return context


def with_variables(fn: Callable[..., Any], pickled: bytes) -> Callable[..., Any]:
    """Return a function that calls `fn` where those variables are set."""
    context = context_with(pickled)

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever fn takes
        return context.copy().run(fn, *args, **kwargs)

    return call


def _set(module: str, name: str, value: Any) -> None:  # noqa: ANN401
    __import__(module)
    if not name:  # decimal's own variable has no name in its module
        sys.modules[module].setcontext(value)
        return
    getattr(sys.modules[module], name).set(value)
