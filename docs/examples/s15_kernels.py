"""Clean pictures of noise: a kernel in C that lets go of the GIL.

So do kernels of Cython (`with nogil:`) and Numba (`@njit(nogil=True)`): threads compute
side by side with them, on every interpreter, and nothing has to travel. Who knows that
of a function may say so with `@nogil`. Who does not leaves it out: it is measured.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from smartpool import nogil, run_parallel

PICTURES = 80
SIZE = 256
SEEN = 5

Picture = NDArray[np.float32]


def cleaned(picture: Picture) -> Picture:
    """Put the median of its neighbourhood in the place of each point."""
    neighbours = np.lib.stride_tricks.sliding_window_view(picture, (SEEN, SEEN))
    return np.sort(neighbours.reshape(-1, SEEN * SEEN), axis=1)[:, SEEN * SEEN // 2]


@nogil
def known(picture: Picture) -> Picture:
    """Do the same, with the author's word for it."""
    return cleaned(picture)


random = np.random.default_rng(1)
pictures = [random.random((SIZE, SIZE), dtype=np.float32) for _ in range(PICTURES)]

began = time.perf_counter()
loop = [cleaned(picture) for picture in pictures]
loop_s = time.perf_counter() - began
print(f"one picture after the other: {loop_s:.2f} s")

for fn in (known, cleaned):
    began = time.perf_counter()
    results = run_parallel(fn, pictures)
    took_s = time.perf_counter() - began
    print(
        f"run_parallel, {fn.__name__}: {took_s:.2f} s, a gain of {loop_s / took_s:.1f} times"
    )
    assert all(map(np.array_equal, results, loop))

print(results.report)
