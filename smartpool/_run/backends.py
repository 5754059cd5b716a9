"""The backends of a pool: each is made when it is first used, and closed with all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .._backends.base import Backend
from .._decide.facts import BackendName
from .._errors import PoolClosedError
from .._lock import Lock


class Backends:
    """Those that have been made, by any thread.

    Args:
        makers: How to make each.

    Attributes:
        closed: Whether no more are made.
    """

    def __init__(self, makers: Mapping[BackendName, Callable[[], Backend]]) -> None:
        self.closed: bool = False
        self.lock = Lock()
        self._makers = makers
        self._made: dict[BackendName, Backend] = {}

    @property
    def made(self) -> list[Backend]:
        """All there are now: a caller's thread may add one at any moment."""
        return list(self._made.values())

    def get(self, name: BackendName) -> Backend:
        """Return the backend of that name, made now if it has not been used yet.

        Raises:
            PoolClosedError: If the pool is closed: nobody would close the backend.
        """
        with self.lock:
            if self.closed:
                raise PoolClosedError("the pool was closed")
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return self._made[name]

    def shut(self) -> None:
        """Make no more."""
        with self.lock:
            self.closed = True

    def close(self) -> Exception | None:
        """Close them all, and return the first exception that one of them raised."""
        raised: Exception | None = None
        for backend in self.made:
            try:
                backend.close()
            except Exception as exc:  # noqa: BLE001 - the others are to be closed as well
                raised = raised or exc
        return raised

    def abandon(self) -> None:
        """After a fork, in the child: make no more. The lock may be held for good."""
        self.closed = True
        self.lock = Lock()
