"""What a child that the user forks must let go of.

Such a child has a copy of every descriptor of ours. If it kept the write end of a
lifeline or of a socket, workers would outlive the program as long as the child runs.
So whoever owns descriptors registers here, and closes them in the child: closes,
never `shutdown`, which would reach the connection that the parent still uses.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from ._lock import fork_guard


class Forkable(Protocol):
    """Something with descriptors, or threads, that do not survive a fork."""

    def after_fork_in_child(self) -> None:
        """Let go of everything, in the child, without touching what it stands for."""


_owners: dict[int, weakref.ref[Forkable]] = {}
# Not a WeakSet: an interrupt in the callback of one would be swallowed.


def register(owner: Forkable) -> None:
    """Have `owner.after_fork_in_child()` called in children, as long as it lives."""
    with fork_guard:
        for number, ref in _owners.copy().items():
            if ref() is None:
                del _owners[number]
        _owners[id(owner)] = weakref.ref(owner)


def _in_child() -> None:
    for ref in list(_owners.values()):
        if (owner := ref()) is not None:
            owner.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)  # the guard is free by then
