"""Threads of numerical libraries, kept within a call's share of the CPUs.

A matrix product is computed by threads of its library (OpenBLAS, MKL, BLIS, OpenMP), as
a rule one a CPU. Where calls on several threads do that side by side there are as many
times too many, and each spins while it waits for the others. threadpoolctl tells a
loaded library how many to use: OpenBLAS for the whole program, which is put back at the
end, OpenMP for each thread that calls it. Worker processes are told by their
environment, before they load anything.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final

from .. import _fork

_NAMES: Final = (b"openblas", b"libmkl", b"libblis", b"flexiblas", b"libgomp", b"omp5")
"""Of files that such libraries are loaded from, or parts of these."""


def are_loaded() -> bool:
    """Return whether this program has loaded a library with threads of its own; 0.3 ms."""
    try:
        with open("/proc/self/maps", "rb") as file:
            files = file.read()
    except OSError:
        return "numpy" in sys.modules
    return any(name in files for name in _NAMES)


@cache
def can_be_capped() -> bool:
    """Return whether threadpoolctl is there (`smartpool[blas]`); takes 12 ms once."""
    try:
        import_module("threadpoolctl").ThreadpoolController()
    except Exception:  # noqa: BLE001 - not installed, or at odds with what is loaded
        return False
    return True


class _Here(threading.local):
    """What a thread of ours has told OpenMP, whose limits are a thread's own."""

    threads: int | None = None
    set: Any = None  # what threadpoolctl puts back


_here = _Here()


def cap_here(threads: int | None) -> None:
    """Let OpenMP use so many threads for what this thread calls from now on.

    A library that cannot be told is left alone.
    """
    if _here.threads == threads:
        return
    _here.threads, before, _here.set = threads, _here.set, None
    with suppress(Exception):
        if before is not None:
            before.restore_original_limits()
        if threads is not None:
            controller = import_module("threadpoolctl").ThreadpoolController()
            _here.set = controller.select(user_api="openmp").limit(limits=threads)


class _Caps:
    """Which limits are wanted, and what is to be put back after the last of them.

    OpenBLAS' threads are the program's, and newer versions of threadpoolctl let only the
    thread that was first limit them, until that has put back what was. Where that is one
    of the user's, its word stays. The engine's steps are done by one thread or another:
    so what was ours is given free before it is put back.
    """

    def __init__(self) -> None:
        self._wanted: list[int] = []
        self._set: Any = None  # what threadpoolctl puts back
        self._ours = False
        _fork.register(self)

    def add(self, threads: int) -> None:
        """Want `threads` at most."""
        self._wanted.append(threads)
        self._apply()

    def remove(self, threads: int) -> None:
        """Want that no more; nothing if a fork has seen to it."""
        if threads in self._wanted:
            self._wanted.remove(threads)
            self._apply()

    def after_fork_in_child(self) -> None:
        """Put back what was before: who wanted the limits is not there."""
        self._wanted.clear()
        with suppress(Exception):
            self._apply()

    def _apply(self) -> None:
        before, self._set = self._set, None
        if before is not None:
            if self._ours:
                _give_free()
            before.__exit__(None, None, None)
        if self._wanted:
            # Anew: more may have been loaded.
            controller = import_module("threadpoolctl").ThreadpoolController()
            least = min(self._wanted)
            self._set = controller.limit(limits=least)
            self._set.__enter__()
            blas = controller.select(user_api="blas").info()
            self._ours = all(one["num_threads"] == least for one in blas)


def _give_free() -> None:
    """Let any thread limit OpenBLAS' threads."""
    openblas: Any = getattr(import_module("threadpoolctl"), "OpenBLASController", None)
    if hasattr(openblas, "clear_controlling_thread"):
        openblas.clear_controlling_thread(force=True)


_caps = _Caps()


class Cap:
    """A limit of one run's, or none yet: for the engine. `lift` may be called twice.

    Attributes:
        threads: How many threads a library may use in each call; `None`: any.
    """

    def __init__(self) -> None:
        self.threads: int | None = None

    def set(self, threads: int | None) -> None:
        """Set the limit, or none. A library that cannot be told is left alone."""
        if threads == self.threads:
            return
        self.lift()
        if threads is not None:
            self.threads = threads
            with suppress(Exception):
                _caps.add(threads)

    def lift(self) -> None:
        """Want no limit any more."""
        threads, self.threads = self.threads, None
        if threads is not None:
            with suppress(Exception):
                _caps.remove(threads)
