"""`freethreading.WorkerPool`: threads without a GIL, processes with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from freethreading import WorkerPool

VERSION = version("free-threading")


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    with WorkerPool() as pool:
        yield pool.map
