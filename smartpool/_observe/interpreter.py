"""Finding a Python interpreter to start workers with.

`sys.executable` is not always one: in a program that embeds Python it can be the web
server, in a frozen program it is the program itself, which would start once more.
Nothing is run here: a name, a file and the right to execute it have to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

# What may follow "python3.13": builds (free-threaded, debug) and packagers' marks.
_SUFFIXES = frozenset({"", "t", "d", "td", "m", "dm", "w", "-dbg", "-intel64", "-c"})


class Running(NamedTuple):
    """What the running interpreter says of itself.

    Attributes:
        executable: `sys.executable`.
        base_executable: The same outside of a virtual environment.
        prefixes: Where it is installed.
        name: What its executable is called, such as ``"python3.13t"``.
        frozen: Whether it is part of a frozen program.
    """

    executable: str | None
    base_executable: str | None
    prefixes: tuple[str, ...]
    name: str
    frozen: bool


def interpreter(running: Running | None = None) -> str | None:
    """Return the path of an interpreter of this very version, or `None`.

    Args:
        running: What to go by, instead of what the running interpreter says.
    """
    running = running or _running()
    for path in _candidates(running):
        if _is_python(path) and not _is_the_program(path, running):
            return path
    return None


def _running() -> Running:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    implementation = "pypy" if sys.implementation.name == "pypy" else "python"
    return Running(
        executable=sys.executable,
        base_executable=getattr(sys, "_base_executable", None),
        prefixes=(sys.prefix, sys.exec_prefix, sys.base_prefix),
        name=f"{implementation}{version}{getattr(sys, 'abiflags', '')}",
        frozen=bool(getattr(sys, "frozen", False)),
    )


def _candidates(running: Running) -> Iterator[str]:
    yield running.executable or ""
    yield running.base_executable or ""
    for prefix in running.prefixes:
        # With its version: /usr/bin/python3 may be another one than is embedded here.
        yield os.path.join(prefix, "bin", running.name)


def _is_python(path: str) -> bool:
    """Return whether `path` is a file that can be executed and is called Python."""
    if not os.path.isabs(path) or not _is_python_name(os.path.basename(path)):
        return False
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _is_python_name(name: str) -> bool:
    name = name.lower().removesuffix(".exe")
    for stem in ("python", "pypy"):
        if name.startswith(stem):
            return name[len(stem) :].lstrip("0123456789.") in _SUFFIXES
    return False


def _is_the_program(path: str, running: Running) -> bool:
    """Return whether `path` is the frozen program, which may be called anything."""
    if not running.frozen or not running.executable:
        return False
    return os.path.realpath(path) == os.path.realpath(running.executable)
