"""`concurrent.futures.ThreadPoolExecutor`: its default size, one a CPU, and 256."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from . import CPUS

VERSION = platform.python_version()


def open_default() -> Any:
    """As its documentation shows it."""
    return _open(None)


def open_one_a_cpu() -> Any:
    """One thread a CPU."""
    return _open(CPUS)


def open_256() -> Any:
    """Many."""
    return _open(256)


@contextmanager
def _open(size: int | None) -> Iterator[Any]:
    with ThreadPoolExecutor(size) as pool:
        yield lambda fn, items: list(pool.map(fn, items))
