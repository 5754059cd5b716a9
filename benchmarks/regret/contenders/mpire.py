"""`mpire.WorkerPool`, which forks and makes chunks itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from mpire import WorkerPool

VERSION = version("mpire")
FORKS = True


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it, with its workers kept."""
    with WorkerPool(keep_alive=True) as pool:
        yield lambda fn, items: pool.map(fn, [(item,) for item in items])


@contextmanager
def open_shared() -> Iterator[Any]:
    """With what is bound to the function as its shared object."""
    yield _shared


def _shared(fn: partial[Any], items: Sequence[Any]) -> Any:
    with WorkerPool(shared_objects=fn.args[0]) as pool:
        return pool.map(fn.func, items)
