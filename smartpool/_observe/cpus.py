"""How many CPUs this program may use at once, and which limit says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from .cgroups import Quota


class Asked(NamedTuple):
    """A number of CPUs that the user set for the interpreter.

    Attributes:
        cpus: The number, at least 1.
        how: How it was set, such as ``"PYTHON_CPU_COUNT=1"``.
    """

    cpus: int
    how: str


class Limits(NamedTuple):
    """All that bounds the CPUs of this program.

    Attributes:
        present: CPUs of the machine.
        affinity: CPUs that the calling thread may run on; cpusets of control groups
            show here too.
        asked: What the user set; it takes the place of both, as it does in
            `os.process_cpu_count` since Python 3.13.
        quota: CPU time by control groups. It holds whatever the user set, since the
            kernel stops who uses more.
        given: What the worker that this program runs in was given.
        budget: What the call that this code runs in was given.
    """

    present: int
    affinity: int
    asked: Asked | None = None
    quota: Quota | None = None
    given: int | None = None
    budget: int | None = None


def usable_cpus(limits: Limits) -> tuple[int, str]:
    """Return the CPUs that may be used at once, at least 1, and why, in words."""
    cpus, why = _set_here(limits)
    quota = limits.quota
    if quota is not None and quota.cpus < cpus:
        # Rounded up: of 1.5 CPUs, one worker leaves a third unused for good, while
        # two are stopped for a quarter of each period and still end sooner.
        cpus = max(1, ceil(quota.cpus))
        why = f"cgroup quota of {_count(quota.cpus)} in {quota.path}"
    for share, whose in (
        (limits.given, "inside a worker"),
        (limits.budget, "called from within a smartpool run"),
    ):
        if share is not None and share < cpus:
            why = f"{max(1, share)} of {_count(cpus)}: {whose}"
            cpus = max(1, share)
    return cpus, why


def asked_cpus(
    environ: Mapping[str, str] = os.environ,
    xoptions: Mapping[str, str | bool] = sys._xoptions,  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
) -> Asked | None:
    """Return what ``-X cpu_count`` or ``PYTHON_CPU_COUNT`` asks for, or `None`.

    Python knows them since 3.13; here they count in older versions too. The option
    wins, "default" and what is no number ask for nothing.
    """
    option = xoptions.get("cpu_count")
    if option is not None:
        return _asked(f"-X cpu_count={option}", str(option))
    if sys.flags.ignore_environment:
        return None
    variable = environ.get("PYTHON_CPU_COUNT", "")
    return _asked(f"PYTHON_CPU_COUNT={variable}", variable)


def affinity() -> int:
    """Return how many CPUs the calling thread may run on, at least 1."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):  # not on macOS and Windows
        return os.cpu_count() or 1


def _set_here(limits: Limits) -> tuple[int, str]:
    """Return what holds before any limit that comes from outside."""
    if limits.asked is not None:
        return limits.asked
    if limits.affinity < limits.present:
        total = _count(limits.present)
        return limits.affinity, f"{limits.affinity} of {total} by affinity"
    return limits.affinity, f"{_count(limits.affinity)} in this machine"


def _asked(how: str, number: str) -> Asked | None:
    if not (number.isdecimal() and len(number) < 6 and int(number) > 0):  # noqa: PLR2004
        return None
    return Asked(int(number), how)


def _count(cpus: float) -> str:
    return "1 CPU" if cpus == 1 else f"{cpus:.3g} CPUs"
