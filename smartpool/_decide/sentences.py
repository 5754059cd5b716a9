"""What reasons say: facts in words, with the measured numbers in them."""

from __future__ import annotations

from typing import Final

from .facts import Profile
from .kinds import OTHERS_BUSY, held
from .plan import Fact, duration
from .situation import Facts

WORTH_SAYING: Final = 0.05
"""Share of an item's time without a CPU from which on a reason names it: a choice."""


def item_text(profile: Profile) -> str:
    """Return ``"1 ms an item, 98% of it on the CPU"``."""
    least = "" if profile.finished else "at least "
    text = f"{least}{duration(profile.wall_s)} an item"
    if profile.cpu_s is None or profile.wall_s <= 0:
        return text
    text += f", {min(1.0, profile.cpu_s / profile.wall_s):.0%} of it on the CPU"
    delay = (profile.delay_s or 0.0) / profile.wall_s
    if delay < WORTH_SAYING:
        return text
    return f"{text} and {min(1.0, delay):.0%} waiting for a busy one"


def what_showed(facts: Facts) -> str:
    """Return what the first items showed, and whose word it is."""
    hint, profile = facts.workload.hint, facts.profile
    word = [] if hint is None else [f"hint={hint!r} says so"]
    seen = [item_text(profile)] if profile else []
    return "; ".join(word + seen) or "nothing was measured"


def what_showed_holding(facts: Facts) -> str:
    """Return what the first items showed, and how long they held the GIL."""
    shown, profile = what_showed(facts), facts.profile
    share = None if profile is None else held(profile)
    if share is None or facts.workload.hint is not None:
        return shown
    return f"{shown}, with the GIL for about {share:.0%} of that"


def not_kept(facts: Facts) -> str:
    """Return what calls in this process cannot keep of what was asked for; or ""."""
    if not facts.workload.ends_calls:
        return ""
    if facts.workload.backend == "serial":
        lost = "calls right here cannot be stopped"
    elif facts.kind == "async":
        lost = "a coroutine that blocks its loop is let go"
    else:
        lost = "a call that takes too long is let go and not stopped"
    return (
        f"{facts.workload.isolated} needs worker processes to be kept in full: without"
        f" them {lost}, and a crash is the program's"
    )


def in_doubt(facts: Facts) -> str:
    """Return why threads could be of use, though the GIL is held or may be."""
    if facts.kind == "mixed":
        return f"the function waits and holds the GIL ({what_showed_holding(facts)})"
    return cannot_say(facts)


def taking_turns(facts: Facts) -> str:
    return (
        f"the function holds the GIL while it works ({what_showed_holding(facts)}), so"
        " threads would take turns"
    )


def cannot_say(facts: Facts) -> str:
    """Return why it is not known whether the function holds the GIL."""
    profile = facts.profile
    unclear = "it is not clear whether the function holds the GIL"
    if profile is None:
        return f"nothing was measured, so {unclear}"
    if profile.where == "worker":
        return f"{unclear}, in a worker process neither ({item_text(profile)})"
    if profile.others_share > OTHERS_BUSY:
        busy = f"{profile.others_share:.0%} of a CPU"
        text = f"other threads of this program compute ({busy})"
    elif profile.heart_delay_s > 0 or profile.delay_s:
        text = "other programs keep the CPUs busy"
    else:
        text = "the first items did not tell"
    return f"{text}, so {unclear} ({item_text(profile)})"


def count_cpus(count: int) -> str:
    return "1 CPU" if count == 1 else f"{count} CPUs"


def count_items(count: int | None) -> str:
    return "1 item" if count == 1 else f"{count} items"


def measured_numbers(facts: Facts) -> dict[str, Fact]:
    profile = facts.profile
    if profile is None:
        return {}
    return {
        "calls": profile.calls,
        "wall_s": profile.wall_s,
        "cpu_s": profile.cpu_s,
        "delay_s": profile.delay_s,
        "late_s": profile.late_s,
        "others_share": profile.others_share,
    }
