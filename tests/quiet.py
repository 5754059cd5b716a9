"""Whether this machine was our own while a test measured something.

What such a test asserts of times is true of a machine that does nothing else. A virtual
machine whose CPUs the host gave to somebody else, or other programs on it, may mislead a
measurement; so it is looked at how much of the CPUs' time was not for this test session.
"""

import os
import time
from dataclasses import dataclass

from tests.leaks import descendants

TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
QUIET_BELOW = 0.02
"""Share of the CPUs' time that others may have: what the system does by itself."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Clocks of the machine at one moment, in seconds.

    Attributes:
        at_s: A clock on the wall.
        busy_s: What all CPUs have spent in programs.
        stolen_s: What the host has kept from this machine.
        own_s: What this program and those that it has started have spent.
    """

    at_s: float
    busy_s: float
    stolen_s: float
    own_s: float


def clocks(mark: str) -> Clocks | None:
    """Return what they say now; `None` on systems without `/proc`.

    Args:
        mark: Of this test session (`leaks.mark_environment`).
    """
    try:
        with open("/proc/stat", "rb") as file:
            ticks = [int(one) for one in file.readline().split()[1:]]
    except OSError:
        return None
    return Clocks(
        at_s=time.perf_counter(),
        busy_s=sum(ticks[:3]) * TICK_S,
        stolen_s=ticks[7] * TICK_S,
        own_s=sum(os.times()[:4])
        + sum(process.ticks for process in descendants(mark)) * TICK_S,
    )


def taken(before: Clocks, after: Clocks, cpus: int) -> float:
    """Return the share of the CPUs' time, from 0 to 1, that others had."""
    stolen_s = after.stolen_s - before.stolen_s
    others_s = after.busy_s - before.busy_s - (after.own_s - before.own_s)
    elapsed_s = after.at_s - before.at_s
    return (stolen_s + max(0.0, others_s)) / max(elapsed_s * cpus, TICK_S)
