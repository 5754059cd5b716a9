"""What a program looks like at the start of a run, beyond the function.

A worker calls a function as this program would: in its directory, with its `sys.path`,
environment, log levels and warning filters. As long as nothing of that changes there is
one record of it, which each worker is sent once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from .start import strings

LOOK_S: Final = 0.1
"""Log levels are looked at so often: single calls that come quicker get them as late as
that. A guess: to look takes 10 us and more, where there are many loggers."""

_ids = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """One state of the program.

    Attributes:
        cwd: The working directory; empty if it is not known.
        path: `sys.path`.
        environ: The environment, as `os` keeps it.
        authkey: What proxies of a `multiprocessing` manager need to reach it; empty
            where this program has none.
        filters: `warnings.filters`, a copy.
        levels: The root logger's level, the level that is disabled, and those of other
            loggers that have one; `None` where no logger has a handler.
        number: Unique in this program.
    """

    cwd: str
    path: list[str]
    environ: Mapping[Any, Any]
    authkey: bytes
    filters: list[Any]
    levels: tuple[int, int, dict[str, int]] | None
    number: int = field(default_factory=_ids.__next__)

    def fields(self, caps: Mapping[str, str]) -> dict[str, Any]:
        """Return what a worker is sent of it.

        Args:
            caps: Environment variables that a worker has unless the user sets them.
        """
        decode = os.fsdecode
        environ = {decode(name): decode(text) for name, text in self.environ.items()}
        return {
            "number": self.number,
            "cwd": self.cwd,
            "path": self.path,
            "environ": {**caps, **environ},
            "authkey": self.authkey,
            "filters": [_plain(one) for one in self.filters],
            "levels": self.levels,
        }


class _Last:
    """What was found last. Each attribute is replaced as a whole, so no lock."""

    surroundings: Surroundings | None = None
    levels: tuple[float, tuple[int, int, dict[str, int]] | None] = (0.0, None)


def current() -> Surroundings:
    """Return the program's surroundings: the same record while nothing has changed."""
    last = _Last.surroundings
    cwd, environ, authkey, levels = _cwd(), _environ(), _authkey(), _levels()
    filters = getattr(sys.modules.get("warnings"), "filters", [])
    if (
        last is not None
        and last.cwd == cwd
        and last.path == sys.path
        and last.environ == environ
        and last.authkey == authkey
        and last.filters == filters
        and last.levels == levels
    ):
        return last
    found = Surroundings(
        cwd, strings(sys.path), dict(environ), authkey, list(filters), levels
    )
    _Last.surroundings = found
    return found


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""


def _environ() -> Mapping[Any, Any]:
    """Return the environment undecoded: to decode it would take ten times as long."""
    return getattr(os.environ, "_data", os.environ)


def _authkey() -> bytes:
    """Return what a worker needs to talk to managers of this program, if it has any."""
    if "multiprocessing.managers" not in sys.modules:
        return b""
    return bytes(sys.modules["multiprocessing"].current_process().authkey)


def _levels() -> tuple[int, int, dict[str, int]] | None:
    now = time.monotonic()
    looked_s, levels = _Last.levels
    if now - looked_s > LOOK_S:
        levels = _look_at_levels()
        _Last.levels = now, levels
    return levels


def _look_at_levels() -> tuple[int, int, dict[str, int]] | None:
    logging = sys.modules.get("logging")
    root = getattr(logging, "root", None)
    if root is None:
        return None
    named = [
        (name, logger)
        for name, logger in list(root.manager.loggerDict.items())
        if hasattr(logger, "handlers")  # else a placeholder
    ]
    if not root.handlers and not any(logger.handlers for _, logger in named):
        return None
    levels = {name: logger.level for name, logger in named if logger.level}
    return root.level, root.manager.disable, levels


def _plain(one: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a warning filter as it travels: with names for classes and patterns.

    A worker must not import a module only because of a filter for its warnings.
    """
    action, message, category, module, line = one
    named = category.__module__, category.__qualname__
    return action, _pattern(message), named, _pattern(module), line


def _pattern(wanted: Any) -> str | tuple[str, int] | None:  # noqa: ANN401
    """Return a text that has to be the same, or a regular expression and its flags."""
    if wanted is None or isinstance(wanted, str):
        return wanted
    return wanted.pattern, wanted.flags
