"""`joblib.Parallel`, which keeps its workers by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import joblib

from . import Fn

VERSION = joblib.__version__


@contextmanager
def open_pool() -> Iterator[Any]:
    """As its documentation shows it."""
    yield _map


def _map(fn: Fn, items: Sequence[Any]) -> Any:
    call = joblib.delayed(fn)
    return joblib.Parallel(n_jobs=-1)(call(item) for item in items)
