"""What surrounds calls in a worker: as in the parent's program when the run began.

The directory, `sys.path`, the environment, keys of managers, log levels and warning
filters. Only a change of job undoes what a call itself has changed of them.
"""

from __future__ import annotations

import os
import sys

from . import telling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from .link import Link

KEPT: Final = 8
"""Surroundings that a worker keeps: the parent counts along. A guess."""


class Around:
    """The surroundings that the parent has sent, and those that hold."""

    def __init__(self, link: Link) -> None:
        """Begin with those that the process was started with."""
        self._link = link
        self._kept: dict[int, dict[str, Any]] = {}
        self._path: list[str] = sys.path[:]
        self._environ: Any = None
        self._applied: dict[str, Any] | None = None

    def accept(self, fields: dict[str, Any]) -> None:
        """Keep what the parent has sent."""
        self._kept[fields["number"]] = fields
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    def get(self, number: int) -> dict[str, Any]:
        """Return what was sent under that number."""
        return self._kept[number]

    def apply(self, fields: dict[str, Any]) -> None:
        """Have these surround the calls that follow."""
        if fields["path"] != self._path:
            self._path = fields["path"]
            sys.path[:] = self._path
        try:
            os.chdir(fields["cwd"])
        except OSError:  # it has gone since, or was not known
            pass
        if fields is not self._applied or self._environ != _raw():
            _set_environ(fields["environ"])
            self._environ = dict(_raw())
        if fields is self._applied:
            return
        self._applied = fields
        if fields["authkey"]:
            from multiprocessing.process import current_process

            current_process().authkey = fields["authkey"]
        telling.apply(fields, self._link)


def _raw() -> Any:  # noqa: ANN401
    """Return the environment undecoded: to compare it takes a tenth of the time."""
    return getattr(os.environ, "_data", os.environ)


def _set_environ(environ: dict[str, str]) -> None:
    for name in [name for name in os.environ if name not in environ]:
        del os.environ[name]
    for name, value in environ.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
