"""smartpool: one call, without a hint; and with a backend chosen by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smartpool import SmartPool, __version__, run_parallel

VERSION = __version__


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it: the default pool stays warm by itself."""
    yield run_parallel


@contextmanager
def open_threads() -> Iterator[Any]:
    """On threads."""
    with SmartPool(backend="threads") as pool:
        yield pool.run_parallel


@contextmanager
def open_processes() -> Iterator[Any]:
    """In worker processes."""
    with SmartPool(backend="processes") as pool:
        yield pool.run_parallel
