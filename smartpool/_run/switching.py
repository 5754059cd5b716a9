"""Quick switches: let threads of ours in beside one that computes in pure Python.

A thread that wants the GIL waits for it for the switch interval, 5 ms, each time. To
import the process backend, start workers and talk to them takes some hundred such
waits: half a second, in which the workers could have called the items that a long
first item holds back. So for that time the interval is short.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from .. import _fork

QUICK_S: Final = 0.0002
"""The switch interval meanwhile (benchmarks/costs.py: a long first item)."""


class _Quick:
    """How many blocks are open, and what the interval was before the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before_s = 0.0
        _fork.register(self)

    def enter(self) -> None:
        """Open a block."""
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._before_s = sys.getswitchinterval()
                sys.setswitchinterval(min(QUICK_S, self._before_s))

    def leave(self) -> None:
        """Close a block; nothing if a fork has done so."""
        with self._lock:
            if self._open == 0:
                return
            self._open -= 1
            if self._open == 0:
                self._put_back()

    def after_fork_in_child(self) -> None:
        """Close all blocks: those who opened them are not there to do it.

        The one that forked may be inside of its own, and goes on without.
        """
        self._lock = threading.Lock()
        if self._open:
            self._open = 0
            self._put_back()

    def _put_back(self) -> None:
        if abs(sys.getswitchinterval() - QUICK_S) < QUICK_S / 10:  # nobody else set it
            sys.setswitchinterval(self._before_s)


_quick = _Quick()


@contextmanager
def quick_switches() -> Generator[None, None, None]:
    """Within the block, keep the interpreter's switch interval short.

    The last of several such blocks to end puts back what was before the first; if
    somebody else has set it meanwhile, that stays.
    """
    _quick.enter()
    try:
        yield
    finally:
        _quick.leave()
