"""`pebble.ProcessPool.map`, with chunks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from pebble import ProcessPool

VERSION = version("pebble")
FORKS = multiprocessing.get_start_method() == "fork"


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it, with four chunks a worker."""
    cpus = len(os.sched_getaffinity(0))
    with ProcessPool(max_workers=cpus) as pool:
        yield lambda fn, items: list(
            pool.map(fn, items, chunksize=max(1, -(-len(items) // (4 * cpus)))).result()
        )
