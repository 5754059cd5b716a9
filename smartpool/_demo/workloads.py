"""What the demo does: six kinds of work, and how much of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import work
from .corpus import Source, bundles, evenly

MIXED_FROM_BYTES: Final = 20_000
MIXED_UP_TO_BYTES: Final = 60_000
"""Sizes of the files that are fetched and then parsed: parsing one takes some 4 to 15
ms, so that it counts beside the 20 ms that fetching it takes."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is to do.

    Attributes:
        files: Files to parse, and to compress.
        numbers: Numbers to square.
        fetches: Files to fetch, with threads and with coroutines.
        mixed: Files to fetch and parse.
    """

    files: int
    numbers: int
    fetches: int
    mixed: int


FULL: Final = Sizes(files=800, numbers=300_000, fetches=400, mixed=100)
QUICK: Final = Sizes(files=300, numbers=100_000, fetches=120, mixed=40)


@dataclass(frozen=True, slots=True)
class Workload:
    """A function and its items.

    Attributes:
        name: Its short name, for the table.
        title: What it does, for people.
        nature: What kind of work that is; smartpool is not told.
        fn: What is called for each item.
        items: The items.
        is_async: Whether `fn` is an `async def`.
        repeat: How often it is measured; medians are shown.
    """

    name: str
    title: str
    nature: str
    fn: Callable[[Any], Any]
    items: Sequence[Any]
    is_async: bool = False
    repeat: int = 1


def computing(sources: Sequence[Source], sizes: Sizes) -> list[Workload]:
    """Return the workloads that wait for nothing."""
    return [
        Workload(
            "parse",
            "parse files and walk their syntax trees",
            "computes, in Python code",
            work.survey,
            [source.path for source in sources],
        ),
        Workload(
            "pack",
            "compress and hash bundles of files",
            "computes, in C code that lets go of the GIL",
            work.pack,
            bundles(sources),
        ),
        Workload(
            "square",
            "square integers",
            "too small to be worth handing over",
            work.square,
            range(sizes.numbers),
            repeat=5,
        ),
    ]


def fetching(urls: Sequence[str], mixed_urls: Sequence[str]) -> list[Workload]:
    """Return the workloads that wait for a server."""
    return [
        Workload("fetch", "fetch files over HTTP", "waits", work.fetch, urls),
        Workload(
            "fetch async",
            "fetch files over HTTP with an async def",
            "waits, as a coroutine",
            work.fetch_async,
            urls,
            is_async=True,
        ),
        Workload(
            "fetch, parse",
            "fetch files over HTTP, then parse each",
            "waits, then computes",
            work.fetch_and_survey,
            mixed_urls,
        ),
    ]


def to_fetch(sources: Sequence[Source], sizes: Sizes) -> tuple[list[str], list[str]]:
    """Return the paths that are only fetched, and those that are parsed as well."""
    fitting = [
        source
        for source in sources
        if MIXED_FROM_BYTES <= source.size < MIXED_UP_TO_BYTES
    ]
    chosen = evenly(sources, sizes.fetches), evenly(fitting, sizes.mixed)
    plain, mixed = ([source.path for source in part] for part in chosen)
    return plain, mixed
