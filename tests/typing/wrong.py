"""Mistakes that a type checker has to find: one on each line that says so.

`tests/test_types.py` has mypy read this file and compares the lines.
"""

from smartpool import SmartPool, run_parallel, stream_parallel


def one(item: int) -> str:
    return str(item)


def add(left: int, right: float) -> float:
    return left + right


def three(left: int, middle: str, right: bytes) -> str:
    return middle


async def fetch(url: str) -> bytes:
    return url.encode()


async def fetch_page(host: str, port: int, page: bytes) -> bytes:
    return page


run_parallel(one, ["a"])  # WRONG: items of another type
run_parallel(one)  # WRONG: no iterable
run_parallel(one, 3)  # WRONG: not an iterable
run_parallel(one, [1], [2])  # WRONG: two iterables, one argument
run_parallel(add, [1])  # WRONG: one iterable, two arguments
run_parallel(add, ["a"], [2.0])  # WRONG: first iterable of another type
run_parallel(add, [1], ["b"])  # WRONG: second iterable of another type
run_parallel(three, [1], ["a"], ["b"])  # WRONG: third iterable of another type
run_parallel(three, [1], [2], [b""])  # WRONG: second of three of another type
run_parallel(fetch_page, ["a"], [80], [1])  # WRONG: third of another type, async
run_parallel(fetch("a"), ["a"])  # WRONG: a coroutine, not the function
run_parallel(fetch, [1])  # WRONG: items of another type, async
run_parallel(one, [1], hint="gpu")  # WRONG: no such hint
run_parallel(one, [1], backend="fibers")  # WRONG: no such backend
run_parallel(one, [1], max_workers="2")  # WRONG: text for a number
run_parallel(one, [1], chunk_size=2)  # WRONG: no such option
texts: list[int] = run_parallel(one, [1])  # WRONG: results are of another type
stream_parallel(one, ["a"])  # WRONG: items of another type, streamed
stream_parallel(three, [1], ["a"], ["b"])  # WRONG: third of another type, streamed
stream_parallel(fetch_page, ["a"], [80], [1])  # WRONG: the same, async
stream_parallel(one, [1], ordered="no")  # WRONG: text for a flag
stream_parallel(one, [1])[0]  # WRONG: a stream has no index
with SmartPool() as pool:
    pool.run_parallel(one, ["a"])  # WRONG: items of another type, in a pool
    pool.run_parallel(add, [1])  # WRONG: one iterable, two arguments, in a pool
    pool.run_parallel(three, [1], ["a"], ["b"])  # WRONG: third of another type
    pool.run_parallel(fetch_page, ["a"], [80], [1])  # WRONG: the same, async
    pool.stream_parallel(three, [1], ["a"], ["b"])  # WRONG: the same, streamed
    pool.stream_parallel(fetch_page, ["a"], [80], [1])  # WRONG: streamed, async
