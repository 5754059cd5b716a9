"""What type checkers have to see in the public names; read by them, never run."""

from collections.abc import Callable, Iterator
from typing import Any, assert_type

from smartpool import (
    Learned,
    Machine,
    Plan,
    Reason,
    Report,
    Results,
    SmartPool,
    Stream,
    completed,
    cpu_bound,
    io_bound,
    learned,
    machine,
    nogil,
    run_parallel,
    stream_parallel,
)


def add(left: int, right: float) -> float:
    return left + right


def three(left: int, middle: str, right: bytes) -> tuple[int, str, bytes]:
    return left, middle, right


async def fetch(url: str) -> bytes:
    return url.encode()


async def fetch_from(host: str, port: int) -> bytes:
    return f"{host}:{port}".encode()


async def fetch_page(host: str, port: int, page: bytes) -> list[bytes]:
    return [page]


async def fetch_part(host: str, port: int, page: bytes, part: int) -> bytearray:
    return bytearray(page)


def four(left: int, middle: str, right: bytes, last: float) -> set[int]:
    return {left}


@cpu_bound
def marked(item: int) -> str:
    return str(item)


@io_bound
async def marked_async(item: int) -> str:
    return str(item)


@nogil
def marked_nogil(left: int, right: str) -> bytes:
    return right.encode() * left


def numbers() -> Iterator[int]:
    yield 1


# one iterable, two, three and four
results = run_parallel(len, ["a"])
assert_type(results, Results[int])
assert_type(results[0], int)
assert_type(results.report, Report)
assert_type(run_parallel(add, [1], [2.0]), Results[float])
assert_type(run_parallel(three, [1], ["a"], [b""]), Results[tuple[int, str, bytes]])
assert_type(run_parallel(four, [1], ["a"], [b""], [2.0]), Results[set[int]])
assert_type(run_parallel(lambda item: item * 2, [1]), Results[int])
assert_type(run_parallel(str.upper, "abc"), Results[str])
as_list: list[int] = results

# coroutine functions give what they return, awaited
assert_type(run_parallel(fetch, ["a"]), Results[bytes])
assert_type(run_parallel(fetch_from, ["a"], [80]), Results[bytes])
assert_type(run_parallel(fetch_page, ["a"], [80], [b""]), Results[list[bytes]])
assert_type(run_parallel(fetch_part, ["a"], [80], [b""], [1]), Results[bytearray])

# options
run_parallel(len, ["a"], hint="cpu", backend="threads", max_workers=2, chunksize=1)
run_parallel(len, ["a"], hint=None, backend=None, max_workers=None, chunksize=None)
assert_type(
    run_parallel(len, ["a"], timeout=1, item_timeout=0.5, crash_retries=2), Results[int]
)
assert_type(
    stream_parallel(len, ["a"], timeout=None, item_timeout=None, crash_retries=0),
    Stream[int],
)

# exceptions among the results: only an annotation tells of them (see the docs)
assert_type(run_parallel(len, ["a"], return_exceptions=True), Results[int])
assert_type(stream_parallel(len, ["a"], return_exceptions=True), Stream[int])
listed: list[int | BaseException] = run_parallel(len, ["a"], return_exceptions=True)
with_errors: Results[bytes | BaseException] = run_parallel(
    fetch, ["a"], return_exceptions=True
)
errors_streamed: Stream[float | BaseException] = stream_parallel(
    add, [1], [2.0], return_exceptions=True
)
for one in with_errors:
    if isinstance(one, BaseException):
        assert_type(one, BaseException)
    else:
        assert_type(one, bytes)

# streams
stream = stream_parallel(len, ["a"])
assert_type(stream, Stream[int])
assert_type(next(stream), int)
assert_type(stream.report, Report)
assert_type(stream_parallel(add, numbers(), [2.0], ordered=False), Stream[float])
assert_type(stream_parallel(three, [1], ["a"], [b""]), Stream[tuple[int, str, bytes]])
assert_type(stream_parallel(four, [1], ["a"], [b""], [2.0]), Stream[set[int]])
assert_type(stream_parallel(fetch, ["a"], buffersize=10), Stream[bytes])
assert_type(stream_parallel(fetch_from, ["a"], [80]), Stream[bytes])
assert_type(stream_parallel(fetch_page, ["a"], [80], [b""]), Stream[list[bytes]])
assert_type(stream_parallel(fetch_part, ["a"], [80], [b""], [1]), Stream[bytearray])
with stream_parallel(len, ["a"]) as opened:
    assert_type(opened, Stream[int])
    assert_type(list(opened), list[int])

# pools
with SmartPool(max_workers=2) as pool:
    assert_type(pool, SmartPool)
    assert_type(pool.run_parallel(len, ["a"]), Results[int])
    assert_type(
        pool.run_parallel(len, ["a"], timeout=1.5, crash_retries=1), Results[int]
    )
    assert_type(pool.stream_parallel(len, ["a"], item_timeout=1), Stream[int])
    assert_type(pool.run_parallel(add, [1], [2.0]), Results[float])
    assert_type(
        pool.run_parallel(three, [1], ["a"], [b""]), Results[tuple[int, str, bytes]]
    )
    assert_type(pool.run_parallel(four, [1], ["a"], [b""], [2.0]), Results[set[int]])
    assert_type(pool.run_parallel(fetch, ["a"]), Results[bytes])
    assert_type(pool.run_parallel(fetch_from, ["a"], [80]), Results[bytes])
    assert_type(pool.run_parallel(fetch_page, ["a"], [80], [b""]), Results[list[bytes]])
    assert_type(
        pool.run_parallel(fetch_part, ["a"], [80], [b""], [1]), Results[bytearray]
    )
    assert_type(pool.stream_parallel(len, ["a"]), Stream[int])
    assert_type(pool.stream_parallel(add, [1], [2.0]), Stream[float])
    assert_type(
        pool.stream_parallel(three, [1], ["a"], [b""]), Stream[tuple[int, str, bytes]]
    )
    assert_type(pool.stream_parallel(four, [1], ["a"], [b""], [2.0]), Stream[set[int]])
    assert_type(pool.stream_parallel(fetch, ["a"]), Stream[bytes])
    assert_type(pool.stream_parallel(fetch_from, ["a"], [80]), Stream[bytes])
    assert_type(
        pool.stream_parallel(fetch_page, ["a"], [80], [b""]), Stream[list[bytes]]
    )
    assert_type(
        pool.stream_parallel(fetch_part, ["a"], [80], [b""], [1]), Stream[bytearray]
    )

# decorators leave the function as it is
plain: Callable[[int], str] = marked
assert_type(marked(1), str)
assert_type(run_parallel(marked, [1]), Results[str])
assert_type(run_parallel(marked_async, [1]), Results[str])
assert_type(marked_nogil(1, "a"), bytes)

# what is known
assert_type(machine(), Machine)
assert_type(machine().cpus, int)
assert_type(learned(len), Learned | None)
assert_type(results.report.plan, Plan)
assert_type(results.report.plan.reasons, tuple[Reason, ...])
assert_type(results.report.explain(), str)
assert_type(completed(ValueError()), dict[int, Any])
