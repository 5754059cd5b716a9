"""`multiprocessing.Pool.map`, which makes chunks itself."""

from __future__ import annotations

import multiprocessing
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VERSION = platform.python_version()
FORKS = multiprocessing.get_start_method() == "fork"


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    with multiprocessing.Pool() as pool:
        yield pool.map
