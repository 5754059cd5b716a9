"""For your own tests: decide where smartpool calls items while a test runs.

A library that decides for you must let you pin the decision. `inline` makes every run
a plain loop on the thread that asks for it: breakpoints work, mocks are seen, and an
error has one traceback. `pin` is for the opposite: to see that your function stands
being called in another process, before it meets one in production.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ._decide.facts import BackendName
from ._drive import request
from ._pool import close_default_pool

__all__ = ("close_default_pool", "inline", "pin")


@contextmanager
def pin(backend: BackendName) -> Generator[None, None, None]:
    """Within the block, have all runs of this program use `backend`.

    It wins over what a call or its pool asks for. An ``async def`` stays on the event
    loop, whatever is pinned.

    Args:
        backend: ``"serial"``, ``"threads"`` or ``"processes"``.

    Raises:
        TypeError: If `backend` is not a string.
        ValueError: If `backend` is none of those.

    Example:
        >>> from smartpool import run_parallel
        >>> with pin("threads"):
        ...     run_parallel(abs, [-1, 2]).report.backend
        'threads'
    """
    request.check_one_of("backend", backend, ("serial", "threads", "processes"))
    before, request.pinned.backend = request.pinned.backend, backend
    try:
        yield
    finally:
        request.pinned.backend = before


@contextmanager
def inline() -> Generator[None, None, None]:
    """Within the block, have all runs be plain loops, right where they are started.

    Example:
        >>> from smartpool import run_parallel
        >>> with inline():
        ...     run_parallel(abs, [-1, 2]).report.backend
        'serial'
    """
    with pin("serial"):
        yield
