"""End to end: large buffers travel through memory files, and nothing stays behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import smartpool
from smartpool import NotPicklableError, SmartPool, WorkerCrashError
from smartpool._worker import memory
from smartpool._worker.pickling import dumps_apart
from tests import workloads
from tests.heavy import and_heavy

np = pytest.importorskip("numpy")
arrays = pytest.importorskip("tests.arrays")

ROOT = Path(smartpool.__file__).parent.parent
HANG_S = 60.0
LARGE = 1 << 20

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="there are no memory files here"
)


@pytest.fixture
def pool() -> Iterator[SmartPool]:
    with SmartPool(2, backend="processes") as pool:
        yield pool


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def run_script(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )


ARRAYS = {
    "plain": lambda: np.arange(LARGE, dtype=np.int32),
    "small": lambda: np.arange(3),
    "empty": lambda: np.zeros((0, 5)),
    "fortran": lambda: np.asfortranarray(np.arange(LARGE).reshape(1024, -1)),
    "strided": lambda: np.arange(2 * LARGE)[::2],
    "bool": lambda: np.arange(LARGE) % 3 == 0,
    "big endian": lambda: np.arange(LARGE, dtype=">i4"),
    "structured": lambda: np.zeros(LARGE // 4, dtype=[("a", "i4"), ("b", "f8")]),
    "objects": lambda: np.array([{"a": n} for n in range(1000)], dtype=object),
    "read-only": lambda: np.frombuffer(bytes(LARGE), dtype=np.uint8),
}
EVERYWHERE = ["plain", "fortran", "objects", "read-only"]


@pytest.mark.parametrize(
    "make",
    and_heavy(
        [ARRAYS[name] for name in EVERYWHERE],
        [ARRAYS[name] for name in ARRAYS if name not in EVERYWHERE],
    ),
    ids=[*EVERYWHERE, *(name for name in ARRAYS if name not in EVERYWHERE)],
)
def test_arrays_there_and_back(pool: SmartPool, make: Any) -> None:
    """Contents, type, shape, order and whether it may be written are as they were."""
    array = make()
    back = pool.submit(arrays.same, array).result(HANG_S)

    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    if array.flags.c_contiguous or array.flags.f_contiguous:
        assert back.flags.f_contiguous == array.flags.f_contiguous
        assert back.flags.writeable == array.flags.writeable
        there = pool.submit(arrays.flags, array).result(HANG_S)
        assert there[0] == array.flags.writeable


@pytest.mark.parametrize(
    "value",
    [
        bytes(LARGE),
        bytearray(LARGE),
        [bytes(LARGE), {"a": bytearray(LARGE)}],
        "x" * LARGE,
    ],
    ids=["bytes", "bytearray", "mixed", "text"],
)
def test_other_large_things(pool: SmartPool, value: Any) -> None:
    """What has no buffers of its own travels as it did."""
    back = pool.submit(arrays.same, value).result(HANG_S)
    assert back == value
    assert type(back) is type(value)


def test_a_class_with_a_buffer(pool: SmartPool) -> None:
    """A class of the user's that pickles a buffer is served, too."""
    data = bytearray(os.urandom(LARGE))
    back = pool.submit(arrays.same, arrays.Buffered(data)).result(HANG_S)

    assert bytes(back.data) == bytes(data)
    assert not memoryview(back.data).readonly


def test_several_in_one_message(pool: SmartPool) -> None:
    """Small and large ones, in containers, each where it belongs."""
    value = {
        "a": np.arange(LARGE),
        "b": [np.arange(5), np.ones(LARGE // 8)],
        "c": (np.full(LARGE, 7, dtype=np.uint8),),
    }
    back = pool.submit(arrays.same, value).result(HANG_S)

    np.testing.assert_array_equal(back["a"], value["a"])
    np.testing.assert_array_equal(back["b"][0], value["b"][0])
    np.testing.assert_array_equal(back["b"][1], value["b"][1])
    np.testing.assert_array_equal(back["c"][0], value["c"][0])


def test_one_array_under_two_names(pool: SmartPool) -> None:
    """It is one there, too."""
    pair = arrays.Aliased(np.arange(LARGE))
    assert pool.submit(arrays.is_aliased, pair).result(HANG_S)


def test_writing_is_seen_by_nobody_else(pool: SmartPool) -> None:
    """The callee may write to its argument; the caller's own is as it was."""
    array = np.ones(LARGE)
    first, second = pool.run_parallel(arrays.double, [array, array])

    assert array[0] == 1
    assert (first[0], second[0]) == (2, 2)
    first[:] = 5
    assert second[0] == 2


@pytest.mark.parametrize("chunksize", [1, 7])
def test_many_in_a_run(pool: SmartPool, chunksize: int) -> None:
    """Each item gets its own array, in chunks as well, and results keep their order."""
    inputs = [np.full(LARGE // 8, n) for n in range(40)]
    results = pool.run_parallel(arrays.double, inputs, chunksize=chunksize)

    assert [int(one[0]) for one in results] == [2 * n for n in range(40)]
    assert [int(one[-1]) for one in inputs] == list(range(40))


def test_a_stream() -> None:
    """Results that were read and dropped hold nothing."""
    before = descriptors()
    with (
        SmartPool(2, backend="processes") as pool,
        pool.stream_parallel(
            arrays.filled, [1] * 200, range(200), buffersize=8
        ) as stream,
    ):
        for n, one in enumerate(stream):
            assert one[0, 0] == n % 256
            assert descriptors() < before + 60
            del one
    gc.collect()
    assert descriptors() == before


def test_results_outlive_the_pool() -> None:
    """They are the caller's, and go when the caller lets them go."""
    before, live = descriptors(), memory.Mapping.live
    with SmartPool(2, backend="processes") as pool:
        results = pool.run_parallel(arrays.filled, [1] * 10, range(10))
    assert [int(one[0, 5]) for one in results] == list(range(10))
    results[3][:] = 99
    assert int(results[3][0, 9]) == 99
    assert memory.Mapping.live == live + 10

    del results
    gc.collect()
    assert memory.Mapping.live == live
    assert descriptors() == before


def test_what_is_bound_is_there_once(pool: SmartPool) -> None:
    """A table that is bound to the function takes no worker's own memory."""
    table = np.ones((64, 1 << 17))  # 64 MB
    pool.run_parallel(arrays.memory_kb, range(4))  # numpy is loaded
    before = max(pool.run_parallel(arrays.memory_kb, range(8), chunksize=1))
    sums = pool.run_parallel(partial(arrays.row, table), range(64), chunksize=4)
    after = max(pool.run_parallel(arrays.memory_kb, range(8), chunksize=1))

    assert sums == [float(1 << 17)] * 64
    assert after - before < 16_000, "kilobytes"


def test_what_is_bound_is_a_snapshot(pool: SmartPool) -> None:
    """Of the start of each run; what a call writes to it stays in its worker."""
    table = np.ones((8, LARGE // 8))
    seen = pool.run_parallel(partial(arrays.write_row, table), range(8))
    assert seen == [1.0] * 8
    assert table[0, 0] == 1
    table[:] = 3
    assert pool.run_parallel(partial(arrays.row, table), [0]) == [3.0 * (LARGE // 8)]
    closure = table[:2]
    assert pool.run_parallel(lambda n: float(closure[n, 0]), range(2)) == [3.0, 3.0]


def test_nothing_stays_of_many_runs(pool: SmartPool) -> None:
    """Descriptors are given back in workers as well as here."""
    array = np.ones(LARGE // 8)
    table = np.ones((2, LARGE // 8))

    def once() -> None:
        pool.run_parallel(arrays.double, [array] * 8, chunksize=2)
        pool.run_parallel(partial(arrays.row, table), [0, 1])

    once()
    here = descriptors()
    there = max(pool.run_parallel(arrays.descriptors, range(8), chunksize=1))
    for _ in range(20):
        once()
    gc.collect()

    assert descriptors() <= here
    assert max(pool.run_parallel(arrays.descriptors, range(8), chunksize=1)) <= there


def test_a_worker_that_dies_with_arrays(pool: SmartPool) -> None:
    """What it was sent and what it had is nowhere any more; the others are there."""
    pool.run_parallel(arrays.flags, [np.ones(LARGE)] * 4, chunksize=1)
    before = descriptors()
    outcomes = pool.run_parallel(
        lambda n: arrays.die_with(n) if n[0] == 3 else arrays.double(n),
        [np.full(LARGE // 8, n) for n in range(8)],
        return_exceptions=True,
        chunksize=2,
    )

    assert isinstance(outcomes[3], WorkerCrashError)
    rest = [int(one[0]) for n, one in enumerate(outcomes) if n != 3]
    assert rest == [0, 2, 4, 8, 10, 12, 14]
    del outcomes
    gc.collect()
    workloads.wait_until(lambda: descriptors() <= before)


@pytest.mark.parametrize("count", and_heavy([200], [1000]))
def test_many_live_results(count: int) -> None:
    """Near the limit on descriptors: what is beyond a quarter of it is copied."""
    done = run_script(
        "import resource, os\n"
        f"count = {count}\n"
        "limit = max(128, count + 24)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
        "from smartpool import SmartPool\n"
        "from tests import arrays\n"
        "with SmartPool(2, backend='processes') as pool:\n"
        "    results = pool.run_parallel(arrays.np.full, [40_000] * count, range(count))\n"
        "    assert [int(one[-1]) for one in results] == list(range(count))\n"
        "    assert all(one.flags.writeable for one in results)\n"
        "    again = pool.run_parallel(arrays.same, results)\n"
        "    assert [int(one[-1]) for one in again] == list(range(count))\n"
        "print(len(os.listdir('/proc/self/fd')) < limit // 2 + 32)\n"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


def test_no_room_in_memory() -> None:
    """A file that cannot grow costs its item, and says so: here and in a worker."""
    done = run_script(
        "import resource\n"
        "from smartpool import SmartPool\n"
        "from tests import arrays\n"
        "def limit():\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20))\n"
        "with SmartPool(2, backend='processes', initializer=limit) as pool:\n"
        "    out = pool.run_parallel(arrays.filled, [1, 20, 2], return_exceptions=True)\n"
        "    print([type(one).__name__ for one in out], str(out[1]))\n"
        "    limit()\n"
        "    inputs = [arrays.filled(n) for n in (1, 20, 2)]\n"
        "    out = pool.run_parallel(arrays.flags, inputs, return_exceptions=True)\n"
        "    print([type(one).__name__ for one in out], str(out[1]))\n"
    )

    assert done.returncode == 0, done.stderr
    result, argument = done.stdout.splitlines()
    assert result.startswith("['ndarray', 'NotPicklableError', 'ndarray']")
    assert "no room for it in memory" in result
    assert argument.startswith("['tuple', 'NotPicklableError', 'tuple']")
    assert "File too large" in argument


def test_without_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has none, all goes through the socket."""
    monkeypatch.delattr(os, "memfd_create")
    packed, plain = dumps_apart(np.ones(LARGE))
    assert isinstance(packed, bytes)
    assert plain


def test_without_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more can be had, it goes through the socket, too."""
    import errno

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    packed, _ = dumps_apart(np.ones(LARGE))
    assert isinstance(packed, bytes)


@pytest.mark.heavy
def test_more_than_two_gigabytes(pool: SmartPool) -> None:
    """One write takes 2 GB at most; a result may be larger."""
    back = pool.submit(arrays.filled, 2300, 7).result(HANG_S)

    assert back.nbytes == 2300 << 20
    assert (back[0, 0], back[-1, -1]) == (7, 7)


def test_a_refused_argument_is_no_other_items(pool: SmartPool) -> None:
    """An array of what cannot be pickled costs its item."""
    bad = np.array([threading.Lock()], dtype=object)
    outcomes = pool.run_parallel(
        arrays.flags, [np.ones(LARGE), bad, np.ones(3)], return_exceptions=True
    )

    assert isinstance(outcomes[1], NotPicklableError)
    assert [outcomes[0], outcomes[2]] == [(True, True, True)] * 2
