"""How the backends of a pool are made: each when it is first used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._aside import load
from ._backends.base import Backend
from ._decide.facts import BackendName

if TYPE_CHECKING:
    from ._run.engine import Engine


class Setup(NamedTuple):
    """What the user said of a pool's workers.

    Attributes:
        max_workers: Threads or processes, at most; `None` decides.
        backend: Where calls go that do not say; `None` decides.
        initializer: Called first in each worker.
        initargs: What it is called with.
        pickled: Both, as they travel; empty where they do not.
        most_calls: Items that a worker process calls before another takes its place.
        idle_s: Seconds without work after which a worker process goes.
    """

    max_workers: int | None = None
    backend: BackendName | None = None
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    pickled: bytes = b""
    most_calls: int | None = None
    idle_s: float | None = None


def makers(setup: Setup) -> dict[BackendName, Callable[[Engine], Backend]]:
    """Return how to make each backend, by its name."""
    return {name: partial(make, setup) for name, make in _MAKERS.items()}


def pickled_initializer(
    initializer: Callable[..., object], initargs: tuple[Any, ...]
) -> bytes:
    """Return an initializer as it travels to worker processes.

    Raises:
        NotPicklableError: If it cannot.
    """
    load("_backends._processes.initializer")
    from ._backends._processes.initializer import pickled

    return pickled(initializer, initargs)


def _serial(_setup: Setup, engine: Engine) -> Backend:
    load("_backends.serial")
    from ._backends.serial import Serial

    return Serial(engine)


def _threads(setup: Setup, engine: Engine) -> Backend:
    load("_backends.threads")
    from ._backends.threads import Threads

    if setup.initializer is None:
        return Threads(engine)
    return Threads(engine, partial(setup.initializer, *setup.initargs))


def _processes(setup: Setup, engine: Engine) -> Backend:
    load("_backends.processes")
    from ._backends._processes.worker import IDLE_S, Care
    from ._backends.processes import Processes

    care = Care(
        setup.pickled,
        sys.maxsize if setup.most_calls is None else setup.most_calls,
        IDLE_S if setup.idle_s is None else setup.idle_s,
    )
    # So that thread pools of numerical libraries and workers are no more than CPUs.
    each = max(1, engine.cpus // (setup.max_workers or engine.cpus))
    return Processes(engine, cpus=each, care=care)


def _event_loop(_setup: Setup, engine: Engine) -> Backend:
    load("_backends.event_loop")
    from ._backends.event_loop import EventLoop

    return EventLoop(engine)


_MAKERS: Final[dict[BackendName, Callable[[Setup, Engine], Backend]]] = {
    "serial": _serial,
    "threads": _threads,
    "processes": _processes,
    "event_loop": _event_loop,
}
