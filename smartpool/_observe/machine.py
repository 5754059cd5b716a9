"""`machine()`: what was found of the host and of this interpreter.

It is called at every run, so what it costs matters. Read each time: the affinity of
the calling thread, whether the GIL is on, and what a worker or a call was given. Read
again when what is known is older than a second: control groups, `PYTHON_CPU_COUNT`,
physical memory, the limit on descriptors and whether there is an interpreter. Where
control groups are mounted is looked up once, and when this process was moved.
Measured: 1 µs a call, 70 µs once a second (Python 3.11 to 3.15, one machine).
"""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import Final, NamedTuple

from .._decide.facts import Machine
from .._worker import nesting
from .budget import current_budget
from .cgroups import Groups, Quota, cpu_quota, find_groups, memory_limit
from .cpus import Asked, Limits, affinity, asked_cpus, usable_cpus
from .gil import free_threaded_build, gil_enabled, gil_why
from .interpreter import interpreter

try:  # here, not at the first run: see `_aside`
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

_MAX_AGE_S: Final = 1.0  # a guess: limits are changed by people, seldom
_PYTHON: Final = ".".join(map(str, sys.version_info[:3]))
_WITHOUT_PROCESSES: Final = frozenset({"emscripten", "wasi", "ios", "tvos", "watchos"})


class _Host(NamedTuple):
    """What changes seldom."""

    cpus: int
    asked: Asked | None
    quota: Quota | None
    memory_bytes: int | None
    max_open_files: int | None
    no_processes: str


class _Here(NamedTuple):
    """What is read for each call: the machine is a function of this."""

    host: _Host
    affinity: int
    gil: bool
    depth: int
    given: int | None
    budget: int | None


class _Recent:
    """What was found last. Each attribute is replaced as a whole, so no lock."""

    groups: Groups | None = None
    host: tuple[float, _Host] | None = None
    machine: tuple[_Here, Machine] | None = None


def machine() -> Machine:
    """Return what was found of the host and of this interpreter.

    Example:
        >>> machine().cpus >= 1
        True
    """
    here = _Here(
        _host(),
        affinity(),
        gil_enabled(),
        nesting.depth,
        nesting.cpus,
        current_budget(),
    )
    recent = _Recent.machine
    if recent is not None and recent[0] == here:
        return recent[1]
    found = _machine(here)
    _Recent.machine = here, found
    return found


def _machine(here: _Here) -> Machine:
    host = here.host
    limits = Limits(
        present=host.cpus,
        affinity=here.affinity,
        asked=host.asked,
        quota=host.quota,
        given=here.given,
        budget=here.budget,
    )
    cpus, cpus_why = usable_cpus(limits)
    return Machine(
        cpus=cpus,
        cpus_why=cpus_why,
        gil=here.gil,
        gil_why=gil_why(),
        free_threaded=free_threaded_build(),
        python=_PYTHON,
        processes=not host.no_processes,
        processes_why=host.no_processes,
        max_open_files=host.max_open_files,
        memory_bytes=host.memory_bytes,
        depth=here.depth,
    )


def _host() -> _Host:
    now = monotonic()
    recent = _Recent.host
    if recent is not None and now - recent[0] < _MAX_AGE_S:
        return recent[1]
    groups = _Recent.groups = find_groups(_Recent.groups)
    found = _Host(
        cpus=os.cpu_count() or 1,
        asked=asked_cpus(),
        quota=cpu_quota(groups),
        memory_bytes=memory_bytes(groups),
        max_open_files=max_open_files(),
        no_processes=no_processes(interpreter()),
    )
    _Recent.host = now, found
    return found


def memory_bytes(groups: Groups) -> int | None:
    """Return the memory that this program may use, in bytes; `None` if not known."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        physical = 0
    known = [size for size in (physical, memory_limit(groups)) if size and size > 0]
    return min(known, default=None)


def max_open_files() -> int | None:
    """Return the soft limit on descriptors; `None` where there is none."""
    if resource is None:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft in {resource.RLIM_INFINITY, -1} else soft


def no_processes(
    python: str | None, *, platform: str = sys.platform, family: str = os.name
) -> str:
    """Return why worker processes cannot be started here, in words; "" if they can.

    Args:
        python: The interpreter to start them with, or `None`.
        platform: `sys.platform`.
        family: `os.name`.
    """
    if platform in _WITHOUT_PROCESSES or not hasattr(os, "execv"):
        return f"{platform} starts no processes"
    if family != "posix":
        return f"workers need Unix socket pairs, which Python has not on {platform}"
    if python is None:
        return "no Python interpreter was found to start them with"
    return ""
