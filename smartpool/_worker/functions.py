"""The functions that this worker was sent, each loaded once a job."""

from __future__ import annotations

from . import nesting
from .fingerprint import fingerprint, plain
from .memory import Parcel
from .pickling import loads, missing_module
from .raised import dump_error
from .shelf import LARGEST_BYTES, Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .around import Around
    from .awaiting import Awaited


class Unloaded(Exception):  # noqa: N818 - a message to the parent
    """A function could not be loaded, or is not the one that was meant.

    Attributes:
        module: The module that is missing, or that differs; empty if it is neither.
        error: What loading raised, as `dump_error` has it; empty if it differs.
    """

    def __init__(self, module: str, error: bytes) -> None:
        """Keep both."""
        super().__init__(module)
        self.module = module
        self.error = error


class Functions:
    """What each job calls, and what surrounds it."""

    def __init__(self, around: Around) -> None:
        """Begin with no job."""
        self._around = around
        self._shelf = Shelf()
        self._jobs: dict[int, dict[str, Any]] = {}
        self._loaded: dict[int, Callable[..., Any]] = {}
        self._last = 0

    def accept(self, job: dict[str, Any], fd: int = -1) -> None:
        """Take in a job, or the same once more with its function in another form.

        Args:
            job: Its fields.
            fd: The memory file with its function's buffers, if those are apart.
        """
        data = job["data"]
        self._close(job["id"])
        job["around"] = self._around.get(job["surroundings"])
        if job["apart"]:
            job["parcel"] = Parcel(data, fd)
        elif data is None or len(data) < LARGEST_BYTES:
            job["data"] = self._shelf.take(job["content"], data)
        self._jobs[job["id"]] = job
        self._loaded.pop(job["id"], None)
        self._last = 0

    def drop(self, job_id: int) -> None:
        """Let go of a job's function, and of all that is bound to it."""
        self._close(job_id)
        self._jobs.pop(job_id, None)
        self._loaded.pop(job_id, None)

    def _close(self, job_id: int) -> None:
        """Close the memory file of a job whose function was never loaded."""
        job = self._jobs.get(job_id)
        if job is not None and job["apart"]:
            job["parcel"].close()

    def load(self, job_id: int) -> Callable[..., Any]:
        """Return the function, in the surroundings that it is to be called in.

        Raises:
            Unloaded: If it cannot be had.
        """
        job = self._jobs[job_id]
        if self._last != job_id:
            self._last = job_id
            self._surround(job)
        fn = self._loaded.get(job_id)
        if fn is None:
            fn = self._loaded[job_id] = _load(job)
            job["data"] = b""  # the shelf has it, if it is to be kept
        return fn

    def _surround(self, job: dict[str, Any]) -> None:
        """Go where the job's caller was. Only a change of job undoes `os.chdir`."""
        nesting.cpus = job["cpus"]
        self._around.apply(job["around"])


def _load(job: dict[str, Any]) -> Callable[..., Any]:
    data, buffers = job["data"], None
    try:
        if job["apart"]:
            data, buffers = job["parcel"].open()
        fn: Callable[..., Any] = loads(data, buffers=buffers)
    except BaseException as exc:  # noqa: BLE001 - imports run code of the user
        raise Unloaded(missing_module(data, buffers), dump_error(exc)) from None
    expected = job["fingerprint"]
    if expected and fingerprint(fn) != expected:
        raise Unloaded(getattr(plain(fn), "__module__", None) or "", b"")
    if job["is_async"]:
        return _awaited(fn, job["variables"])
    if job["variables"]:
        from .variables import with_variables

        fn = with_variables(fn, job["variables"])
    return fn


def _awaited(fn: Callable[..., Any], variables: bytes) -> Awaited:
    from .awaiting import Awaited

    context = None
    if variables:
        from .variables import context_with

        context = context_with(variables)
    return Awaited(fn, context)
