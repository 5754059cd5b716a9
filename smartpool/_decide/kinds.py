"""What a profile says of a function: does it work or wait, does it hold the GIL.

Every answer has three values, and *unknown* is one of them: a probe on a busy
machine must not decide by accident. What a probe cannot tell, a worker process is
asked.
"""

from __future__ import annotations

from typing import Final

from .facts import Profile
from .plan import Kind

WAITS_BELOW: Final = 0.15
"""Share of CPU in an item's time below which it is waiting (benchmarks/held.py)."""

WORKS_ABOVE: Final = 0.85
"""Share of CPU in an item's time above which it is working (benchmarks/held.py)."""

WORKS_ABOVE_FREE: Final = 0.7
"""The same where there is no GIL to wait for: a guess between work that a busy machine
delays and work that waits half of its time."""

HELD_ABOVE: Final = 0.4
"""GIL held, as a share of CPU time, from which on it may be held.

Measured by benchmarks/held.py, 100 probes each, also with another program computing
beside them: of SHA-256 and zlib one in 400 is read as more, the others as 0.15 at
most; pure Python and regular expressions as 0.9 at least; what holds it for half of
its CPU time as 0.4 to 0.9, what holds it for a quarter in 95 of 100 as 0.4 at most.
"""

HELD_SURELY: Final = 0.75
"""The same, from which on it is called held without a second look. What reads less
holds it partly, or the machine stood still in the 20 ms of the probe: then a worker is
asked, which takes it for held from `HELD_ABOVE` on (benchmarks/held.py; SHA-256 read as
0.47 to 0.72 in five probes of twenty while a hypervisor had other things to do)."""

WAITED_LEAST: Final = 0.5
"""A beat that the GIL made late waited for it so many times as long as it had slept,
or longer: less than that, and run delay that was measured a little too short would
count (benchmarks/held.py: SHA-256 and waiting work beside a process)."""

HIDDEN_MOST: Final = 0.5
"""Run delay of the heart, as a share of the items' CPU time, from which on it may
have missed that the GIL was held (benchmarks/held.py: mixed work, busy machine)."""

DELAYED_MOST: Final = 0.2
"""Run delay, as a share of an item's time, from which on a worker is asked
(benchmarks/held.py)."""

OTHERS_BUSY: Final = 0.10
"""CPU of this program's other threads from which on the GIL's state says nothing:
a guess."""


def working(profile: Profile) -> tuple[float, float] | None:
    """Return the least and the most that the item's share of CPU can be.

    Run delay is taken out: a machine that is busy makes nothing wait by itself. The
    most also takes out the heart's run delay, during which it may have had the GIL.
    """
    if profile.cpu_s is None or profile.wall_s <= 0:
        return None
    own_s = profile.wall_s - (profile.delay_s or 0.0)
    least = _share(profile.cpu_s, own_s)
    most = _share(profile.cpu_s, own_s - profile.heart_delay_s)
    return least, max(least, most)


def held(profile: Profile, less_s: float = 0.0) -> float | None:
    """Return the share of its CPU time that the item held the GIL.

    A thread, the heart, asks for the GIL each millisecond. How late it gets it, less
    the time in which it had no CPU, is time that somebody else held the GIL. Of the
    time in which it saw nothing, asleep or without a CPU, the GIL was held for the
    share of its beats that were late for want of the GIL. So one long stall of the
    machine, among many beats in time, counts for no more than it took. What is known
    not to have been a wait for the GIL does not count at all.

    Args:
        profile: What was measured.
        less_s: Seconds of its waiting that are to be left out.
    """
    if not profile.cpu_s or profile.wall_s <= 0:
        return None
    seconds = held_s(profile, less_s)
    return None if seconds is None else _share(seconds, profile.cpu_s)


def held_s(profile: Profile, less_s: float = 0.0) -> float | None:
    """Return for how many seconds the item held the GIL, also while it waited."""
    late_s, slept_s = profile.late_s, profile.heart_slept_s
    if late_s is None:
        return None
    waited_s = max(0.0, late_s - profile.heart_delay_s - less_s)
    if profile.waited_s is not None:
        waited_s = min(waited_s, profile.waited_s)
    unseen_s = profile.heart_delay_s + slept_s
    late_beats = profile.late_beats
    if slept_s > 0:
        late_beats = min(late_beats, waited_s / WAITED_LEAST / slept_s)
    return waited_s + late_beats * unseen_s


def holds_gil(profile: Profile) -> bool | None:
    """Return whether the item holds the GIL while it works; `None` is unknown."""
    share = held(profile)
    if share is None or profile.others_share > OTHERS_BUSY:
        return None
    if share >= HELD_ABOVE:
        # An item that was sent off the CPU just while it had the GIL kept it for as
        # long as it had no CPU: that says nothing of how it works.
        least = held(profile, less_s=profile.delay_s or 0.0)
        sure = HELD_SURELY if profile.where == "here" else HELD_ABOVE
        return True if least is not None and least >= sure else None
    # Had the heart no CPU just while the item worked, it could see nothing.
    hidden = profile.heart_delay_s > HIDDEN_MOST * (profile.cpu_s or 0.0)
    return None if hidden else False


def kind_of(profile: Profile, *, gil: bool) -> Kind:
    """Return what the function is taken for.

    Args:
        profile: What the probe showed.
        gil: Whether the GIL is on; if it is off, holding it means nothing, and all
            that works is ``"nogil"``.
    """
    bounds = working(profile)
    if bounds is None:
        return "unknown"
    busy = _machine_busy(profile) or (gil and profile.others_share > OTHERS_BUSY)
    if bounds[1] < (WAITS_BELOW / 10 if busy else WAITS_BELOW):
        return "io"  # beyond doubt, if others are busy
    if busy:
        return "unknown"
    if not gil:
        # Nobody waits for a GIL: only the item's own run delay is to be taken out.
        return "nogil" if bounds[0] > WORKS_ABOVE_FREE else "io"
    holds = holds_gil(profile)
    if holds is None:
        return "unknown"
    # Between the least and the most it takes what is the smaller mistake: one process
    # too many for what holds the GIL, no crowd of threads for what does not.
    if holds:
        return "cpu" if bounds[0] > WORKS_ABOVE else "mixed"
    return "nogil" if bounds[1] > WORKS_ABOVE else "io"


def _machine_busy(profile: Profile) -> bool:
    """Return whether other programs took the CPU from the item for too long.

    Then a thread of ours may have been without one while it had the GIL, and what
    looks like waiting was not. A worker process has no such threads.
    """
    delay_s = profile.delay_s or 0.0
    return profile.where == "here" and delay_s > DELAYED_MOST * profile.wall_s


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part) / whole) if whole > 0 else 1.0
