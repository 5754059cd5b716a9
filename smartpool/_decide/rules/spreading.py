"""Rules that spread a run: threads for what waits or lets go, processes for the rest."""

from __future__ import annotations

from typing import Final

from ..making import (
    MIXED_MOST,
    computing_threads,
    mixed_processes,
    planned,
    waiting_threads,
)
from ..plan import Plan, Reason
from ..probing import ENOUGH_S
from ..sentences import (
    cannot_say,
    measured_numbers,
    taking_turns,
    what_showed,
    what_showed_holding,
)
from ..situation import Facts
from .rule import Rule


def _waits(facts: Facts) -> Plan:
    text = f"the function waits ({what_showed(facts)}): threads wait side by side"
    return waiting_threads(facts, Reason("waits", text, measured_numbers(facts)))


WAITS: Final = Rule(
    "waits",
    "the function waits (or `hint='io'`)",
    "threads: 1 + wait / CPU a core to begin with, more while that helps",
    lambda facts: facts.kind == "io",
    _waits,
)


def _mixed(facts: Facts) -> Plan:
    text = (
        f"the function waits and holds the GIL ({what_showed_holding(facts)}):"
        " more processes than CPUs, so that each CPU has one that works"
    )
    return mixed_processes(facts, Reason("mixed", text, measured_numbers(facts)))


MIXED: Final = Rule(
    "mixed",
    "the function waits, and holds the GIL while it works",
    "processes, more of them than CPUs: 1 + wait / CPU a core, at most"
    f" {MIXED_MOST} a core",
    lambda facts: facts.kind == "mixed",
    _mixed,
)


def _contended(facts: Facts) -> Plan:
    numbers = measured_numbers(facts)
    if facts.stays is not None:
        text = f"threads get into each other's way, and {facts.stays}: one thread"
        return planned(facts, "threads", 1, Reason("contended", text, numbers))
    text = "threads get into each other's way: one process a CPU"
    return planned(facts, "processes", facts.cpus, Reason("contended", text, numbers))


CONTENDED: Final = Rule(
    "contended",
    "threads were tried, and each item took longer than on one thread alone, by more"
    " than a busy machine would explain",
    "processes, one a CPU; one thread if the calls cannot leave this process",
    lambda facts: facts.profile is not None and facts.profile.contended,
    _contended,
)


def _released(facts: Facts) -> Plan:
    text = (
        f"the function lets go of the GIL while it works ({what_showed_holding(facts)}):"
        " one thread a CPU"
    )
    reason = Reason("gil-released", text, measured_numbers(facts))
    return computing_threads(facts, reason)


GIL_RELEASED: Final = Rule(
    "gil-released",
    "the function works, and lets go of the GIL meanwhile (or `hint='nogil'`)",
    "threads, one a CPU",
    lambda facts: facts.kind == "nogil" and facts.machine.gil,
    _released,
)


def _is_gil_off(facts: Facts) -> bool:
    return not facts.machine.gil and facts.kind in ("nogil", "unknown")


def _off(facts: Facts) -> Plan:
    if facts.kind == "unknown":
        text = (
            f"the GIL is off ({what_showed(facts)}): threads serve work and waits alike"
        )
        return waiting_threads(facts, Reason("gil-off", text, measured_numbers(facts)))
    text = f"the function works ({what_showed(facts)}) and the GIL is off: one thread a CPU"
    reason = Reason("gil-off", text, measured_numbers(facts))
    return computing_threads(facts, reason)


GIL_OFF: Final = Rule(
    "gil-off",
    "the function works, or nobody knows, and there is no GIL to hold",
    "threads, one a CPU; where nobody knows, more while that helps",
    _is_gil_off,
    _off,
)


def _held(facts: Facts) -> Plan:
    text = f"{taking_turns(facts)}: one process a CPU"
    reason = Reason("gil-held", text, measured_numbers(facts))
    return planned(facts, "processes", facts.cpus, reason)


GIL_HELD: Final = Rule(
    "gil-held",
    "the function holds the GIL while it works (or `hint='cpu'`)",
    "processes, one a CPU",
    lambda facts: facts.kind == "cpu",
    _held,
)


def _was_asked(facts: Facts) -> bool:
    return facts.profile is not None and facts.profile.where == "worker"


def _ask_a_worker(facts: Facts) -> Plan:
    text = f"{cannot_say(facts)}: a worker process is asked"
    reason = Reason("ask-a-worker", text, measured_numbers(facts))
    # One alone sees most. But items that take long must not wait for its answer.
    profile = facts.profile
    long = profile is None or not profile.finished or profile.wall_s > ENOUGH_S
    return planned(facts, "processes", facts.cpus if long else 1, reason)


ASK_A_WORKER: Final = Rule(
    "ask-a-worker",
    "the first items did not show whether the GIL is held, for example because"
    " other threads of this program compute",
    "one worker process, or one a CPU if items take long; the first chunk is measured"
    " there, and the rest is planned again",
    lambda facts: not _was_asked(facts),
    _ask_a_worker,
)


def _cannot_tell(facts: Facts) -> Plan:
    text = f"{cannot_say(facts)}: one process a CPU, which is never wrong by much"
    reason = Reason("cannot-tell", text, measured_numbers(facts))
    return planned(facts, "processes", facts.cpus, reason)


CANNOT_TELL: Final = Rule(
    "cannot-tell",
    "a worker did not find out either",
    "processes, one a CPU",
    _was_asked,
    _cannot_tell,
)
