"""The demo's input: source files of the standard library that runs it."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LEFT_OUT: Final = frozenset(
    {"__pycache__", "dist-packages", "lib2to3", "site-packages", "test", "tests"}
)
"""Folders that are not looked into: not part of every Python, or broken on purpose."""

FILES_MOST: Final = 800
BUNDLE_BYTES: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        path: Where it is.
        size: Its size in bytes.
    """

    path: str
    size: int


def standard_library(most: int = FILES_MOST) -> list[Source]:
    """Return source files of the running Python's standard library.

    All of them have just been read once, so that none is read from disk while
    something is measured.

    Args:
        most: Files, at most. They are taken evenly from all that there are.

    Raises:
        FileNotFoundError: If there are none, as where the library is an archive.
    """
    folder = sysconfig.get_paths()["stdlib"]
    found = list(_readable(_paths(folder)))
    if not found:
        raise FileNotFoundError(f"no source files of the standard library in {folder}")
    return evenly(found, most)


def evenly(sources: Sequence[Source], most: int) -> list[Source]:
    """Return at most `most` of `sources`, spread evenly, in their order."""
    count = min(most, len(sources))
    return [sources[index * len(sources) // count] for index in range(count)]


def bundles(sources: Sequence[Source]) -> list[tuple[str, ...]]:
    """Return the paths in bundles of `BUNDLE_BYTES` or a little more."""
    made: list[tuple[str, ...]] = []
    paths, size = list[str](), 0
    for source in sources:
        paths.append(source.path)
        size += source.size
        if size >= BUNDLE_BYTES:
            made.append(tuple(paths))
            paths, size = [], 0
    return [*made, tuple(paths)] if paths else made


def _paths(folder: str) -> Iterator[str]:
    """Yield the paths of all source files below `folder`, in a fixed order."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.join(here, name)


def _readable(paths: Iterator[str]) -> Iterator[Source]:
    for path in paths:
        try:
            with open(path, "rb") as file:
                yield Source(path, len(file.read()))
        except OSError:  # a link to nowhere, as distributions have them
            continue
