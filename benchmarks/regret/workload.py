"""What a workload is: a function, its items, and how to tell a right answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One workload, ready to be called.

    Attributes:
        fn: What to call; importable by name, as every process pool asks for.
        items: What to call it with.
        expected: The right answers, in order.
    """

    fn: Callable[[Any], Any]
    items: Sequence[Any]
    expected: Sequence[Any]

    def is_right(self, results: Sequence[Any]) -> bool:
        """Return whether these are the right answers."""
        # What is expected comes first: it may know how to look at an array.
        return len(results) == len(self.expected) and all(
            right == one for right, one in zip(self.expected, results, strict=True)
        )


@dataclass(frozen=True)
class Workload:
    """A named workload.

    Attributes:
        name: What tables call it.
        about: What it does, in a few words.
        make: Makes it, inside of `host`.
        host: What has to be there meanwhile, such as a server.
        is_async: Whether its function is an `async def`.
        needs: A library that it needs, or nothing.
        group: What it is about: rows are ordered by it.
    """

    name: str
    about: str
    make: Callable[[], Case]
    host: Callable[[], AbstractContextManager[None]] = nullcontext
    is_async: bool = False
    needs: str = ""
    group: str = ""
