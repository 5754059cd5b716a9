"""`unsync` for what computes: each call in its worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from unsync import unsync

from .unsync import all_of

VERSION = version("unsync")
FORKS = multiprocessing.get_start_method() == "fork"


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    yield lambda fn, items: all_of(unsync(cpu_bound=True)(fn), items)
