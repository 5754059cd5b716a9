"""Workloads whose arguments, results or function are large."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..workload import Case, Workload
from .computing import STEPS_A_MS, work

ARRAY: Final = 1 << 19
"""Numbers in an array of 4 MB."""

TABLE: Final = 1 << 23
"""Numbers in a table of 64 MB."""


def add_up(array: Any) -> float:
    """Sample an array of 4 MB."""
    return float(array[::64].sum())


def fill(number: int) -> Any:
    """Make an array of 4 MB."""
    import numpy as np

    return np.full(ARRAY, float(number))


class _Ends:
    """Equal to an array that begins and ends with a number, and is as long."""

    def __init__(self, number: float, length: int) -> None:
        self._number, self._length = number, length

    def __eq__(self, other: object) -> bool:
        array: Any = other
        ends = float(array[0]), float(array[-1])
        return len(array) == self._length and ends == (self._number, self._number)

    def __hash__(self) -> int:
        return hash((self._number, self._length))


def look_up(table: Any, key: int) -> float:
    """Look into a table of 64 MB, and compute for 1 ms."""
    work(STEPS_A_MS)
    return float(table[key * 1000])


def count(document: dict[str, int]) -> int:
    """Add up a dict of 5 000 entries."""
    return sum(document.values())


def tell(number: int) -> dict[str, int]:
    """Return a dict of 5 000 entries."""
    return {f"key {n}": n * number for n in range(5000)}


def _arrays_in() -> Case:
    import numpy as np

    arrays = [np.full(ARRAY, float(n)) for n in range(60)]
    return Case(add_up, arrays, [float(n * (ARRAY // 64)) for n in range(60)])


def _arrays_out() -> Case:
    return Case(fill, range(60), [_Ends(n, ARRAY) for n in range(60)])


def _table() -> Case:
    import numpy as np

    table = np.arange(TABLE, dtype=np.float64)
    keys = range(400)
    return Case(partial(look_up, table), keys, [float(key * 1000) for key in keys])


def _dicts_in() -> Case:
    documents = [tell(n) for n in range(200)]
    return Case(count, documents, [sum(range(5000)) * n for n in range(200)])


def _dicts_out() -> Case:
    return Case(tell, range(200), [tell(n) for n in range(200)])


WORKLOADS: Final = [
    Workload(name, about, make, needs=needs, group="data")
    for name, about, make, needs in [
        ("arrays in", "60 fresh arrays of 4 MB as items", _arrays_in, "numpy"),
        ("arrays out", "60 fresh arrays of 4 MB as results", _arrays_out, "numpy"),
        ("table", "400 x 1 ms beside 64 MB bound to the function", _table, "numpy"),
        ("dicts in", "200 dicts of 5 000 entries as items", _dicts_in, ""),
        ("dicts out", "200 dicts of 5 000 entries as results", _dicts_out, ""),
    ]
]
