"""Who competes: each library as its own documentation shows it, in a file of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from math import ceil
from typing import Any, Final, Protocol

Fn = Callable[[Any], Any]
Mapper = Callable[[Fn, Sequence[Any]], Sequence[Any]]
"""Calls a function on all items, and returns the results in their order."""


CPUS: Final = len(os.sched_getaffinity(0))
"""How many this program may use: workers, for who has to say so."""


def good_chunksize(items: Sequence[Any]) -> int:
    """Return a size that makes four chunks a worker, as `Pool.map` does by itself."""
    return max(1, ceil(len(items) / (4 * CPUS)))


class Open(Protocol):
    """Begins to use a library: what it returns is entered once, and used again."""

    def __call__(self) -> AbstractContextManager[Mapper]:
        """Return what is entered."""
        ...


@dataclass(frozen=True)
class Contender:
    """One way in which a person would write it.

    Attributes:
        name: What tables call it.
        module: The file here.
        attribute: Opens it.
        takes: Functions that it is for: ``"sync"``, ``"async"`` or ``"both"``.
        role: ``"ours"``; ``"rival"``; ``"pinned"``, ours with a backend chosen by hand;
            ``"tuned"``, a rival with numbers that its documentation does not give.
        only: Workloads that it is for; empty for all.
    """

    name: str
    module: str
    attribute: str = "open_pool"
    takes: str = "sync"
    role: str = "rival"
    only: tuple[str, ...] = ()

    @property
    def is_rival(self) -> bool:
        """Whether smartpool is compared with it."""
        return self.role == "rival"

    def load(self) -> tuple[Open, bool, str]:
        """Import it; return how to open it, whether it forks, and its version.

        Raises:
            ImportError: If the library is not here.
        """
        module = import_module(f"{__name__}.{self.module}")
        forks = getattr(module, "FORKS", False)
        return getattr(module, self.attribute), bool(forks), str(module.VERSION)


_PINNED: Final = (
    "waits, then works",
    "works, then waits",
    "arrays in",
    "arrays out",
    "table",
)

CONTENDERS: Final[dict[str, Contender]] = {
    one.name: one
    for one in [
        Contender("smartpool", "ours", takes="both", role="ours"),
        Contender("loop", "loop", takes="both"),
        Contender("threads", "threads", "open_default"),
        Contender("threads, 1 a CPU", "threads", "open_one_a_cpu"),
        Contender("threads, 256", "threads", "open_256"),
        Contender("processes", "processes"),
        Contender("Pool", "pool"),
        Contender("joblib", "joblib"),
        Contender("loky", "loky"),
        Contender("mpire", "mpire"),
        Contender("pebble", "pebble"),
        Contender("unsync", "unsync", takes="both"),
        Contender("unsync, cpu_bound", "unsync_cpu_bound"),
        Contender("free-threading", "freethreading"),
        Contender("anyio.to_process", "anyio"),
        Contender("gather", "gather", takes="async"),
        Contender("gather, uvloop", "uvloop", takes="async"),
        Contender(
            "smartpool, threads", "ours", "open_threads", role="pinned", only=_PINNED
        ),
        Contender(
            "smartpool, processes",
            "ours",
            "open_processes",
            role="pinned",
            only=_PINNED,
        ),
        *(
            Contender(
                f"processes, {n}",
                "processes",
                f"open_{n}",
                role="tuned",
                only=("mixed",),
            )
            for n in (3, 4, 6, 8, 12)
        ),
        Contender(
            "mpire, shared", "mpire", "open_shared", role="tuned", only=("table",)
        ),
    ]
}
