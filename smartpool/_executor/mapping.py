"""`map`: as `concurrent.futures.Executor.map`, `buffersize` (Python 3.14) included."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from .future import CallFuture

Batch = list[tuple[Any, ...]]
Submit = Callable[[Batch], list[CallFuture[Any]]]


def mapped(
    submit: Submit,
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int,
    buffersize: int | None,
) -> Iterator[Any]:
    """Submit items, and return an iterator over what became of them, in their order.

    What is submitted at once is submitted before this returns: all, or `buffersize`
    items, rounded up to whole chunks.

    Args:
        submit: Submits the items of one chunk.
        iterables: What they are made of.
        timeout: Seconds from now after which waiting for the next result raises.
        chunksize: Items that travel together.
        buffersize: Items that are submitted and not yielded yet, at most.
    """
    end_s = None if timeout is None else time.monotonic() + timeout
    batches = _batches(zip(*iterables, strict=False), chunksize)
    ahead = None if buffersize is None else -(-buffersize // chunksize)
    futures: deque[list[CallFuture[Any]]] = deque()
    try:
        for batch in islice(batches, ahead):
            futures.append(submit(batch)[::-1])
    except BaseException:
        _cancel(futures)
        raise
    more = iter(()) if ahead is None else batches
    return _results(futures, more, submit, end_s)


def _batches(items: Iterator[tuple[Any, ...]], size: int) -> Iterator[Batch]:
    while batch := list(islice(items, size)):
        yield batch


def _results(
    futures: deque[list[CallFuture[Any]]],
    more: Iterator[Batch],
    submit: Submit,
    end_s: float | None,
) -> Generator[Any, None, None]:
    try:
        while futures:
            following = [futures[0].pop()]
            if not futures[0]:
                futures.popleft()
                futures.extend(submit(batch)[::-1] for batch in islice(more, 1))
            yield _result(following.pop(), end_s)
    finally:
        _cancel(futures)


def _result(future: CallFuture[Any], end_s: float | None) -> Any:  # noqa: ANN401
    """Return its result, in a function of its own: nothing here keeps it alive."""
    try:
        return future.result(None if end_s is None else end_s - time.monotonic())
    finally:
        future.cancel()
        del future


def _cancel(futures: Iterable[list[CallFuture[Any]]]) -> None:
    for chunk in futures:
        for future in chunk:
            future.cancel()
