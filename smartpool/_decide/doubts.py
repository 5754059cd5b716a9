"""Whether calls go as their plan took them to. Pure.

A plan is made from the first items, or from an earlier run. While it is carried out, what
its calls show is looked at now and then; what does not fit leads to a profile, from which
the rest is planned again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from .costs import STEPS_S
from .facts import Profile, at_pace
from .kinds import WAITS_BELOW, WORKS_ABOVE
from .plan import Plan, duration

LOOK_S: Final = 0.1
"""So often it is looked at, at most: a guess."""

LOOK_CALLS: Final = 8
"""What so many calls have shown is looked at anew after that, and not once more: a guess,
as many as any doubt needs."""

ENOUGH_S: Final = 0.02
"""Seconds of calls that have to show it: a guess, as much as a probe takes."""

ENOUGH_CALLS: Final = 2
"""And so many of them: a guess."""

TOGETHER_SHARE: Final = 0.7
"""CPU that calls which wait use together, from which on that is in doubt: with the GIL
on, calls that take turns use one CPU, and calls that wait next to none. It is a guess."""

CONTENDED: Final = 10.0
"""Items on threads that take so many times longer than all threads' items would one
after the other are in each other's way: with less than that, a busy machine or bigger
items could be the reason. It is a guess: one shared dict on 3.13t makes it 260."""

CONTENDED_CALLS: Final = 4
"""Items that have to show it: a guess."""

TURNS: Final = 8
"""Items after which it is seen whether threads take turns: a guess."""

NO_FASTER: Final = 1.1
"""Items on several threads that come so many times faster than one after the other, or
less, take turns: a guess."""

WAITS_IN_PART: Final = 0.6
"""Share of CPU below which calls that seemed to compute are taken for such as wait, too:
a guess, well below what a probe takes for work."""

WAITS_AGAIN: Final = 2.0
"""Coroutines that compute so many times less than is called computing go back to one
loop: a guess, so that none goes to and fro."""

OTHER_PACE: Final = 4.0
"""So many times longer or shorter than expected is something else: a guess, as in a plan
that is carried out here."""


class Shown(NamedTuple):
    """What calls have shown for a while.

    Attributes:
        calls: Calls that have ended.
        wall_s: Seconds that they took, together.
        cpu_s: Seconds of CPU that they used.
        delay_s: Seconds in which their workers were ready to run and had no CPU.
        elapsed_s: Seconds that have gone by.
        alone_s: Seconds that an item took when no other went on; `None` if not known.
        gil: Whether the GIL is on.
    """

    calls: int
    wall_s: float
    cpu_s: float
    delay_s: float
    elapsed_s: float
    alone_s: float | None = None
    gil: bool = True

    @property
    def item_s(self) -> float:
        """Seconds an item took, without those in which it had no CPU."""
        # Their run delay counts what they did besides as well: starting, waiting.
        return max(self.cpu_s, self.wall_s - self.delay_s) / max(1, self.calls)

    @property
    def working(self) -> float:
        """Share of CPU in that time."""
        return min(1.0, self.cpu_s / max(self.calls * self.item_s, 1e-9))


class Doubt(NamedTuple):
    """What does not fit.

    Attributes:
        profile: What the calls have shown, to plan again from.
        text: What is wrong, in words.
        whatever: Whether it is to be told even if the next plan is the same.
    """

    profile: Profile
    text: str
    whatever: bool = True


def doubt(plan: Plan, expected: Profile | None, shown: Shown) -> Doubt | None:
    """Return what does not fit, if something does not.

    Args:
        plan: What is carried out.
        expected: What it was made from; `None` if nothing was measured.
        shown: What its calls have shown since it was looked at last.
    """
    looks: list[Callable[[Plan, Profile | None, Shown], Doubt | None]]
    looks = [
        _take_turns,
        _work_together,
        _contend,
        _wait,
        _work,
        _compute_on_the_loop,
        _wait_on_loops,
        _have_another_pace,
    ]
    return next(
        (found for look in looks if (found := look(plan, expected, shown))), None
    )


def _take_turns(plan: Plan, _: Profile | None, shown: Shown) -> Doubt | None:
    """With the GIL on, threads may come no further together than one alone.

    What they take turns at may be the GIL, also where an item holds it while it waits
    (as the start of a program does), or a lock of theirs. Not of those that only wait:
    somebody else may let them wait for one another, and would for processes, too.
    """
    alone_s, calls = shown.alone_s, shown.calls
    if not shown.gil or plan.backend != "threads" or plan.concurrency < ENOUGH_CALLS:
        return None
    if alone_s is None or calls < TURNS or plan.kind not in ("mixed", "nogil"):
        return None
    if plan.rule in ("pinned", "contended") or plan.library_threads is not None:
        return None
    if calls * alone_s > NO_FASTER * shown.elapsed_s:
        return None
    text = (
        f"{calls} items took threads {duration(shown.elapsed_s)}, and one alone takes"
        f" {duration(alone_s)}"
    )
    profile = Profile(
        calls, alone_s, alone_s, late_s=alone_s, contended=True, where="worker"
    )
    return Doubt(profile, text)


def _work_together(plan: Plan, expected: Profile | None, shown: Shown) -> Doubt | None:
    """With the GIL on, calls that should wait may be taking turns.

    Many that do wait may use a whole CPU together as well; each of them about as much of
    it as expected.
    """
    used = shown.cpu_s >= TOGETHER_SHARE * shown.elapsed_s
    if plan.rule != "waits" or not (shown.gil and used and shown.calls):
        return None
    each_s = shown.cpu_s / shown.calls
    before_s = None if expected is None else expected.cpu_s
    if before_s is not None and each_s <= OTHER_PACE * before_s:
        return None
    profile = Profile(1, each_s, each_s, others_share=1.0)
    return Doubt(profile, "calls that seemed to wait use a whole CPU together")


def _contend(plan: Plan, _: Profile | None, shown: Shown) -> Doubt | None:
    """Threads without a GIL may be slower together than one of them."""
    alone_s = shown.alone_s
    if plan.rule != "gil-off" or alone_s is None or shown.calls < CONTENDED_CALLS:
        return None
    item_s = shown.wall_s / shown.calls
    if item_s < CONTENDED * plan.workers * alone_s:
        return None
    text = f"an item takes {duration(item_s)} on threads, {duration(alone_s)} alone"
    return Doubt(Profile(1, alone_s, alone_s, contended=True), text)


def _wait(plan: Plan, expected: Profile | None, shown: Shown) -> Doubt | None:
    """Calls in worker processes that seemed to compute may wait."""
    if not _is_clear(plan, shown) or (expected is not None and expected.contended):
        return None
    share = shown.working
    if plan.kind == "mixed" and share >= WAITS_BELOW:
        return None
    if share >= WAITS_IN_PART:
        return None
    how = "wait" if share < WAITS_BELOW else "wait in part"
    text = f"calls that seemed to compute {how} ({share:.0%} of their time on the CPU)"
    return Doubt(_profile(expected, shown), text)


def _work(plan: Plan, expected: Profile | None, shown: Shown) -> Doubt | None:
    """Calls in worker processes that seemed to wait in part may compute."""
    if plan.kind != "mixed" or not _is_clear(plan, shown):
        return None
    if shown.working <= WORKS_ABOVE:
        return None
    text = f"calls that seemed to wait compute ({shown.working:.0%} on the CPU)"
    return Doubt(_profile(expected, shown), text)


def _compute_on_the_loop(
    plan: Plan, expected: Profile | None, shown: Shown
) -> Doubt | None:
    """The steps of coroutines may keep their loop busy: they go one after the other."""
    each_s = shown.cpu_s / max(1, shown.calls)
    busy = shown.cpu_s >= TOGETHER_SHARE * shown.elapsed_s
    if plan.rule != "coroutines" or each_s < STEPS_S or not busy:
        return None
    if expected is not None and each_s <= OTHER_PACE * (expected.cpu_s or 0.0):
        return None
    text = f"the loop is busy: each call computes for {duration(each_s)}"
    return Doubt(Profile(shown.calls, each_s, each_s), text)


def _wait_on_loops(plan: Plan, _: Profile | None, shown: Shown) -> Doubt | None:
    """Coroutines in worker processes that should compute may only wait."""
    each_s = shown.cpu_s / max(1, shown.calls)
    if plan.rule != "coroutines-work" or shown.calls < LOOK_CALLS or shown.cpu_s <= 0:
        return None
    if each_s * WAITS_AGAIN > STEPS_S:
        return None
    text = f"each call computes for {duration(each_s)} only"
    return Doubt(Profile(shown.calls, each_s, each_s), text)


def _have_another_pace(
    plan: Plan, expected: Profile | None, shown: Shown
) -> Doubt | None:
    """Calls may take much longer than expected, or be much shorter."""
    if expected is None or plan.kind in ("unknown", "async"):
        return None
    if shown.calls < ENOUGH_CALLS:
        return None
    item_s, before_s = shown.item_s, expected.own_s
    if before_s / OTHER_PACE <= item_s <= OTHER_PACE * before_s:
        return None
    # On threads an item may take long because of others, but it is not short by that.
    shorter = plan.backend == "threads" and plan.kind == "nogil" and item_s < before_s
    if plan.backend != "processes" and not shorter:
        return None
    text = f"an item takes {duration(item_s)}, and not {duration(before_s)}"
    now = at_pace(expected, item_s)._replace(finished=True)
    return Doubt(now, text, whatever=False)


def _is_clear(plan: Plan, shown: Shown) -> bool:
    in_workers = plan.backend == "processes" and plan.kind in ("cpu", "mixed")
    enough = shown.calls >= ENOUGH_CALLS and shown.wall_s >= ENOUGH_S
    return in_workers and enough and shown.gil


def _profile(expected: Profile | None, shown: Shown) -> Profile:
    """Return what workers have shown; they held the GIL before, and so they do now."""
    cpu_s = shown.cpu_s / shown.calls
    profile = Profile(
        shown.calls, shown.item_s, cpu_s, delay_s=0.0, late_s=cpu_s, where="worker"
    )
    if expected is None:
        return profile
    return profile._replace(
        arg_bytes=expected.arg_bytes,
        result_bytes=expected.result_bytes,
        pickle_s=expected.pickle_s,
        unpicklable=expected.unpicklable,
    )
