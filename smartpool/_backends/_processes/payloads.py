"""What is sent to workers, and what comes back: functions, arguments, outcomes.

`prepare`, `encode_args` and what they call run code of the user. They belong on the
caller's thread, or on one made for it; never on the engine's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from ..._errors import NotPicklableError
from ..._observe.machine import max_open_files
from ..._outcome import Error, Value
from ..._worker import memory, wire
from ..._worker.fingerprint import content_name, fingerprint, plain
from ..._worker.memory import MemoryFile, Packed, Parcel
from ..._worker.pickling import dumps_apart, loads
from ..._worker.raised import load_error
from ..._worker.shelf import LARGEST_BYTES
from ..base import Item, Job
from .context import context_variables
from .surroundings import Surroundings, current

FILES_MOST: Final = 65_536
"""Descriptors where the system sets no limit. A guess."""

COPIED_BYTES: Final = 1 << 16
"""A result below this is copied out of the frame it came in; a larger one keeps the
frame, which is then hardly more than the result itself. A guess."""


@dataclass(slots=True, eq=False)
class Function:
    """The function of a job in the form in which it travels, as a snapshot.

    Attributes:
        data: Its pickle.
        file: What is bound to it, if that is large: in memory once for all workers.
        content: A name for `data`; the same for the same bytes.
        by_name: Whether `data` names the code, so that a worker has to import it.
        fingerprint: Of that code, if it is Python's; else empty.
        by_value: Modules that go along by value, since workers cannot import them.
        deaths: Workers that died in a row before they called an item with it.
        surroundings: What the program looked like then, beyond the function.
        variables: Context variables that go along, pickled; empty for none.
        stay: Names of those that cannot.
    """

    data: bytes
    content: bytes
    by_name: bool
    fingerprint: bytes
    by_value: frozenset[str] = frozenset()
    deaths: int = 0
    file: MemoryFile | None = None
    surroundings: Surroundings = field(default_factory=current)
    variables: bytes = b""
    stay: tuple[str, ...] = ()


def prepare(job: Job) -> Function:
    """Return the function of `job`, by reference where a worker can import it.

    Raises:
        NotPicklableError: If neither that nor its value can be pickled.
    """
    packed, by_name = _pickle(job.fn)
    data, file = _parts(packed)
    variables, stay = context_variables(job.context)
    return Function(
        data,
        _name(data, file, job),
        by_name,
        fingerprint(job.fn) if by_name else b"",
        file=file,
        variables=variables,
        stay=stay,
    )


def prepare_by_value(job: Job, function: Function, module: str) -> Function:
    """Return `function` with its own module and `module` in it, by value.

    Raises:
        NotPicklableError: If it cannot be pickled so.
    """
    own = getattr(plain(job.fn), "__module__", None)
    modules = function.by_value | {name for name in (own, module) if name}
    try:
        data, file = _parts(_dumps(job.fn, modules)[0])
    except Exception as exc:
        raise _function_error(job.fn, exc) from exc
    return replace(
        function,
        data=data,
        file=file,
        content=_name(data, file, job),
        by_name=False,
        fingerprint=b"",
        by_value=modules,
    )


def encode_args(item: Item, by_value: frozenset[str] = frozenset()) -> bytes | Packed:
    """Return the pickle of an item's arguments.

    Raises:
        NotPicklableError: If they cannot be pickled.
    """
    try:
        return _dumps(item.arguments, by_value)[0]
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise NotPicklableError(
            f"item {item.index} cannot be pickled and so cannot be sent to a worker "
            f"process: {exc!r}. Pass plain data that the function can make it from, "
            'or pass backend="threads".'
        ) from exc


class Encoded:
    """The outcome of a call in a worker, still pickled."""

    __slots__ = ("_buffers", "_data", "_refused", "failed")

    def __init__(
        self, tag: int, data: bytes | memoryview, parcel: Parcel | None = None
    ) -> None:
        """Keep what the record says, and what came apart from it."""
        self.failed = tag != wire.VALUE
        self._buffers: list[memoryview] | None = None
        self._refused: OSError | None = None
        if parcel is not None:
            # Mapped at once: as long as nobody reads it, it holds no descriptor.
            try:
                data, self._buffers = parcel.open(mappings_most())
            except OSError as exc:
                self._refused = exc
        self._data = data if len(data) >= COPIED_BYTES else bytes(data)

    def load(self) -> Value | Error:
        """Return it as objects. May run code of the user's classes.

        Raises:
            KeyboardInterrupt: If one comes meanwhile: it is the caller's and not the
                item's, which would be returned and not raised.
        """
        try:
            if self.failed:
                return Error(load_error(self._data))
            if self._refused is not None:
                return Error(self._refused)
            return Value(loads(self._data, buffers=self._buffers))
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - user code; it is the outcome
            return Error(exc)


def _pickle(fn: Callable[..., Any]) -> tuple[bytes | Packed, bool]:
    """Return the pickle of a function, and whether its code is only named in it."""
    try:
        return _dumps(fn)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise _function_error(fn, exc) from exc


def _function_error(fn: Callable[..., Any], exc: BaseException) -> NotPicklableError:
    name = getattr(fn, "__qualname__", None) or repr(fn)
    what = "what is bound to it" if isinstance(fn, partial) else "what it refers to"
    return NotPicklableError(
        f"{name} cannot be pickled and so cannot be sent to worker processes: {exc!r}. "
        f"The reason lies in {what}: make such objects inside of the function, or pass "
        'backend="threads".'
    )


def _dumps(
    thing: Any,  # noqa: ANN401
    by_value: Iterable[str] = (),
) -> tuple[bytes | Packed, bool]:
    """Return the pickle of `thing`, large buffers apart while there is room for more.

    And whether it is a plain one.
    """
    return dumps_apart(thing, by_value)


def files_most() -> int:
    """Return how many descriptors may be memory files: the rest is the user's."""
    return max(1, (max_open_files() or FILES_MOST) // 4)


memory.room.most = files_most


def mappings_most() -> int:
    """Return how many results may be mapped: before 3.13 each holds a descriptor."""
    if sys.version_info >= (3, 13):
        return memory.MAPPINGS_MOST
    return files_most()


def _parts(packed: bytes | Packed) -> tuple[bytes, MemoryFile | None]:
    if isinstance(packed, Packed):
        return packed.data, packed.file
    return packed, None


def _name(data: bytes, file: MemoryFile | None, job: Job) -> bytes:
    """Return a name for `data`. What no worker keeps is named after its job."""
    if file is None and len(data) < LARGEST_BYTES:
        return content_name(data)
    return b"%16d" % job.id
