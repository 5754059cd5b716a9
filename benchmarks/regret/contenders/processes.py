"""`concurrent.futures.ProcessPoolExecutor`, with chunks; and with more workers."""

from __future__ import annotations

import multiprocessing
import platform
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from . import CPUS, good_chunksize

VERSION = platform.python_version()
FORKS = multiprocessing.get_start_method() == "fork"


@contextmanager
def open_pool() -> Iterator[Any]:
    """One process a CPU, four chunks each, as `Pool.map` has them."""
    with ProcessPoolExecutor(CPUS) as pool:
        yield lambda fn, items: list(
            pool.map(fn, items, chunksize=good_chunksize(items))
        )


@contextmanager
def _open(size: int) -> Iterator[Any]:
    with ProcessPoolExecutor(size) as pool:
        yield lambda fn, items: list(pool.map(fn, items))


open_3, open_4, open_6, open_8, open_12 = (partial(_open, n) for n in (3, 4, 6, 8, 12))
