"""Whether this interpreter has a GIL, whether it is on, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable

_is_enabled: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)


def free_threaded_build() -> bool:
    """Return whether this is a free-threaded build, whatever its GIL does now."""
    # `abiflags` is missing on Windows before 3.14; `sysconfig` would know too, but
    # takes longer to import than all of this package.
    return "t" in getattr(sys, "abiflags", "") or "free-threading" in sys.version


def gil_enabled() -> bool:
    """Return whether the GIL is on at this moment.

    On a free-threaded build that can change once, from off to on, when an extension
    is imported that does not declare that it works without.
    """
    return _is_enabled is None or _is_enabled()


def gil_why() -> str:
    """Return why the GIL is on or off, in words."""
    if not free_threaded_build():
        return "this build always has a GIL"
    # Also set by programs that embed Python; `None` where nobody asked.
    asked = getattr(sys.flags, "gil", None)
    if gil_enabled():
        return _why_on(asked)
    if asked == 0:
        return "free-threaded build, kept off by PYTHON_GIL=0 or -X gil=0"
    return "free-threaded build, off"


def _why_on(asked: int | None) -> str:
    if asked == 1:
        return "switched on by PYTHON_GIL=1 or -X gil=1"
    # Which one it was, only the `RuntimeWarning` of that moment says: the declaration
    # is not kept where Python code can read it.
    return (
        "switched on by the import of an extension module that does not declare that "
        "it works without (python -W error::RuntimeWarning stops there and names it)"
    )
