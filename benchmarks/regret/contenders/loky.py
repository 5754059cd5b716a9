"""`loky.get_reusable_executor`, with chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import loky

from . import CPUS, Fn, good_chunksize

VERSION = loky.__version__


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it, with four chunks a worker."""
    yield _map


def _map(fn: Fn, items: Sequence[Any]) -> list[Any]:
    executor = loky.get_reusable_executor(CPUS)
    return list(executor.map(fn, items, chunksize=good_chunksize(items)))
