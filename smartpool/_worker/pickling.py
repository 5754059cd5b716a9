"""Pickling what travels: plainly where that does, by value where it must.

Plain pickles name classes and functions. The other process can import those, but for
what lives in `__main__`, which is not imported again, and what has no name at all.
cloudpickle sends such things themselves; it is loaded when the first one turns up.
"""

from __future__ import annotations

import errno

from . import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    from .memory import Packed

try:  # the C half alone: `pickle` would load `re` and 4 ms with it
    from _pickle import dumps as plain_dumps
    from _pickle import loads
except ImportError:
    from pickle import dumps as plain_dumps
    from pickle import loads

__all__ = [
    "PROTOCOL",
    "dumps",
    "dumps_apart",
    "dumps_by_value",
    "loads",
    "missing_module",
    "plain_dumps",
]

PROTOCOL: Final = 5


def dumps(thing: Any) -> bytes:  # noqa: ANN401 - whatever travels
    """Return the pickle of `thing`, plain if the other process can load it so.

    Raises:
        Exception: Whatever pickling raises, if neither way works.
    """
    try:
        data: bytes = plain_dumps(thing, PROTOCOL)
    except Exception:  # noqa: BLE001 - user code: `__reduce__` may raise anything
        return dumps_by_value(thing)
    if b"__main__" in data:
        return dumps_by_value(thing)
    return data


def dumps_by_value(
    thing: Any,  # noqa: ANN401
    modules: Iterable[str] = (),
    apart: Callable[[Any], bool] | None = None,
) -> bytes:
    """Return the pickle of `thing`, with what `modules` define in it as `__main__`'s.

    Args:
        thing: What travels.
        modules: Names of modules whose functions and classes travel by value.
        apart: Asked of each buffer whether it stays in the pickle.

    Raises:
        Exception: Whatever pickling raises.
    """
    from .._aside import load

    load("_worker.cloud")
    from . import cloud

    return cloud.dumps(thing, modules, PROTOCOL, apart)


def dumps_apart(
    thing: Any,  # noqa: ANN401 - whatever travels
    modules: Iterable[str] = (),
) -> tuple[bytes | Packed, bool]:
    """Do what `dumps` does, with large buffers in a memory file, where there are any.

    Args:
        thing: What travels.
        modules: Names of modules whose functions and classes travel by value.

    Returns:
        The pickle, and whether it is a plain one.

    Raises:
        Exception: Whatever pickling raises, if neither way works.
        OSError: If the memory file cannot hold the buffers.
    """
    full = False
    buffers: list[memoryview] = []

    def apart(buffer: Any) -> bool:  # noqa: ANN401 - a pickle.PickleBuffer
        raw: memoryview = buffer.raw()
        if raw.nbytes < memory.FROM_BYTES or full or not memory.available():
            return True
        buffers.append(raw)
        return False

    data = b"__main__"
    if not modules:
        try:
            data = plain_dumps(thing, PROTOCOL, buffer_callback=apart)
        except Exception:  # noqa: BLE001, S110 - user code: `__reduce__` may raise any
            pass
    plain = b"__main__" not in data
    if not plain:
        buffers.clear()
        data = dumps_by_value(thing, modules, apart)
    if not buffers:
        return data, plain
    try:
        return memory.pack(data, buffers), plain
    except OSError as exc:
        if exc.errno not in _NO_DESCRIPTOR:
            raise
    full = True
    if plain:
        return plain_dumps(thing, PROTOCOL), plain
    return dumps_by_value(thing, modules), plain


_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


def missing_module(
    data: bytes | memoryview, buffers: Iterable[memoryview] | None = None
) -> str:
    """Return the module for want of which `data` cannot be loaded, or an empty text.

    For data that failed to load: it is loaded once more, slowly, with an eye on what
    it looks up.
    """
    import io
    import pickle

    missing = ""

    class Looking(pickle.Unpickler):
        def find_class(self, module_name: str, global_name: str, /) -> Any:  # noqa: ANN401
            nonlocal missing
            try:
                return super().find_class(module_name, global_name)
            except Exception:
                missing = module_name
                raise

    try:
        Looking(io.BytesIO(data), buffers=buffers).load()
    except BaseException:  # noqa: BLE001 - its own first failure is what counts
        return missing
    return ""
