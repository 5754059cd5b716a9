"""`pebble.ProcessPool.map`, with chunks."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from pebble import ProcessPool

from . import CPUS, good_chunksize

VERSION = version("pebble")
FORKS = multiprocessing.get_start_method() == "fork"


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it, with four chunks a worker."""
    with ProcessPool(max_workers=CPUS) as pool:
        yield lambda fn, items: list(
            pool.map(fn, items, chunksize=good_chunksize(items)).result()
        )
