"""Workloads that compute: in Python, and in C with and without the GIL."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
import zlib
from typing import Any, Final

from ..workload import Case, Workload

STEPS_A_MS: Final = 16_000
"""Steps of `work` that take about a millisecond on the machine that this was made on."""


def work(steps: int) -> int:
    """Compute, in pure Python."""
    total = 0
    for step in range(steps):
        total += step & 3
    return total


def worked(steps: int) -> int:
    """Return what `work` does, at once."""
    whole, rest = divmod(steps, 4)
    return 6 * whole + (0, 0, 1, 3)[rest]


def square(x: int) -> int:
    """Compute next to nothing."""
    return x * x + 1


def _tiny() -> Case:
    items = range(300_000)
    return Case(square, items, [x * x + 1 for x in items])


def _of_work(steps: list[int]) -> Case:
    return Case(work, steps, [worked(one) for one in steps])


def _log_normal() -> list[int]:
    """Return steps of 0.06 to 60 ms: three decades, 3 ms on average."""
    order = random.Random(7)
    each = (min(60.0, max(0.06, order.lognormvariate(0.4, 1.3))) for _ in range(500))
    return [int(ms * STEPS_A_MS) for ms in each]


def _straggler() -> list[int]:
    steps = [STEPS_A_MS // 2] * 800
    steps[770] *= 800
    return steps


# -- C code that lets go of the GIL -------------------------------------------------------


@functools.cache
def block() -> bytes:
    """Return 2 MB that do not compress well."""
    return random.Random(3).randbytes(2 << 20)


def sha256(number: int) -> str:
    """Hash 2 MB, more or less."""
    return hashlib.sha256(memoryview(block())[number:]).hexdigest()


def deflate(number: int) -> int:
    """Compress 128 kB."""
    return len(zlib.compress(memoryview(block())[number : number + (1 << 17)], 6))


def sort(seed: int) -> float:
    """Sort 200 000 numbers."""
    import numpy as np

    numbers = np.random.default_rng(seed).random(200_000)
    numbers.sort()
    return float(numbers[1000])


# -- C code that holds the GIL ------------------------------------------------------------


@functools.cache
def text() -> str:
    """Return a page of text."""
    order = random.Random(5)
    words = [
        "".join(order.choices("abcdefgh", k=order.randint(2, 9))) for _ in range(300)
    ]
    return " ".join(order.choices(words, k=9_000))


def find(number: int) -> int:
    """Look for words, by a regular expression."""
    return len(re.findall(r"\b(?:[a-d]+[e-h]{2,}){1,2}\b", text()[number:]))


def parse(document: str) -> int:
    """Read and write a JSON document."""
    return len(json.dumps(json.loads(document)))


def _documents() -> list[str]:
    return [
        json.dumps(
            [{"id": n * k, "name": f"name {k}", "tags": [n, k]} for k in range(1500)]
        )
        for n in range(200)
    ]


def _here(fn: Any, items: Any) -> Case:
    return Case(fn, items, [fn(item) for item in items])


# -- a product whose library has threads of its own -----------------------------------------


def product(seed: int) -> float:
    """Multiply two matrices, on as many threads as the library likes."""
    import numpy as np

    matrix = np.random.default_rng(seed).random((500, 500), dtype=np.float32)
    return round(float((matrix @ matrix)[7, 7]), 1)


WORKLOADS: Final = [
    Workload(name, about, make, needs=needs, group="computes")
    for name, about, make, needs in [
        ("tiny", "300 000 x (x*x + 1)", _tiny, ""),
        ("too small", "40 x 0.1 ms", lambda: _of_work([STEPS_A_MS // 10] * 40), ""),
        ("1 ms", "1500 x 1 ms of Python", lambda: _of_work([STEPS_A_MS] * 1500), ""),
        (
            "250 ms",
            "8 x 250 ms of Python",
            lambda: _of_work([250 * STEPS_A_MS] * 8),
            "",
        ),
        (
            "log-normal",
            "500 x 0.06 to 60 ms of Python",
            lambda: _of_work(_log_normal()),
            "",
        ),
        (
            "straggler",
            "799 x 0.5 ms, one of 0.4 s near the end",
            lambda: _of_work(_straggler()),
            "",
        ),
        ("sha256", "300 x 2 MB", lambda: _here(sha256, range(300)), ""),
        ("zlib", "200 x 128 kB", lambda: _here(deflate, range(200)), ""),
        (
            "sort",
            "150 x NumPy, 200 000 numbers",
            lambda: _here(sort, range(150)),
            "numpy",
        ),
        ("regex", "200 x a page", lambda: _here(find, range(200)), ""),
        ("json", "200 documents", lambda: _here(parse, _documents()), ""),
        (
            "blas",
            "100 x a matrix product, 500 x 500",
            lambda: _here(product, range(100)),
            "numpy",
        ),
    ]
]
