"""Has all trials made, side by side: one round after the other, each in another order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, Final

import smartpool

from .contenders import CONTENDERS, Contender
from .figures import Readings
from .trial import COMMAND
from .workload import Workload

RACE: Final = 2.5
"""A rival that takes so many times longer than the best, cold and warm, is out."""


NOT_NEEDED: Final = r"/(tests|matplotlib|fontTools|PIL|pip)/"
"""Of what is installed this is not compiled, which would take long."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: Processes for each pair.
        warm: Calls after the first one, in each.
        budget_s: Seconds for these.
        limit_s: Seconds after which a trial is given up.
    """

    rounds: int
    warm: int
    budget_s: float
    limit_s: float


THOROUGH: Final = Effort(rounds=6, warm=4, budget_s=4.0, limit_s=60.0)
QUICK: Final = Effort(rounds=2, warm=2, budget_s=1.0, limit_s=15.0)


@dataclass
class Measured:
    """What a contender has shown on one workload.

    Attributes:
        cold: Seconds of each first call.
        warm: Median seconds of the calls that followed, by process.
        cannot: Why it cannot, or nothing.
        forks: Whether its workers are forked.
        version: Of its library.
        report: What it says of its last call.
    """

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    cannot: str = ""
    forks: bool = False
    version: str = ""
    report: list[str] = field(default_factory=list)


def race(
    work: Workload, names: list[str], effort: Effort, say: Callable[[str], None]
) -> dict[str, Measured]:
    """Measure all contenders on one workload."""
    found: dict[str, Measured] = defaultdict(Measured)
    order = random.Random(work.name)
    for number in range(effort.rounds):
        turn = [name for name in names if number == 0 or _still_in(name, found)]
        order.shuffle(turn)
        for name in turn:
            _take_in(found[name], _trial(work.name, name, effort))
            say(f"{work.name}: {name}, round {number + 1} of {effort.rounds}")
    return dict(found)


def compile_modules() -> None:
    """Have all modules compiled that contenders import, and this package.

    What pip installs is. But a tree that is only read need not be, nor what some
    installers leave: then a first call would measure the compiler.
    """
    roots = {str(Path(smartpool.__file__).parent), sysconfig.get_path("purelib")}
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", "-x", NOT_NEEDED, *roots],
        check=False,  # some packages bring files that are no Python of this version
        stdout=subprocess.DEVNULL,
    )


def _still_in(name: str, found: dict[str, Measured]) -> bool:
    if found[name].cannot:
        return False
    if not CONTENDERS[name].is_rival:
        return True
    return any(_is_near(name, rivals(found, which)) for which in ("cold", "warm"))


def rivals(found: dict[str, Measured], which: str, *, forks: bool = True) -> Readings:
    """Return the readings of all rivals that have some.

    Args:
        found: What was measured on one workload.
        which: ``"cold"`` or ``"warm"``.
        forks: Whether those count whose workers are forked.
    """
    return {
        name: readings
        for name, one in found.items()
        if CONTENDERS[name].is_rival
        and (readings := getattr(one, which))
        and (forks or not one.forks)
    }


def _is_near(name: str, readings: Readings) -> bool:
    best_s = min(map(median, readings.values()), default=inf)
    return name in readings and median(readings[name]) <= RACE * best_s


def _trial(workload: str, contender: str, effort: Effort) -> dict[str, Any]:
    command = [
        sys.executable,
        *("-c", COMMAND, workload, contender),
        *(str(effort.warm), str(effort.budget_s)),
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        out, err = process.communicate(timeout=effort.limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # not waited for, so it is still its own
        process.communicate()
        return {"cannot": f"not in {effort.limit_s:.0f} s"}
    try:
        said: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        return {"cannot": (err.strip().splitlines() or ["it said nothing"])[-1]}
    return said


def _take_in(one: Measured, said: dict[str, Any]) -> None:
    one.cannot = said.get("cannot", "")
    if one.cannot:
        return
    one.cold.append(said["cold"])
    if said["warm"]:
        one.warm.append(median(said["warm"]))
    one.forks, one.version = said["forks"], said["version"]
    one.report = said["report"]


def who(work: Workload) -> Iterator[Contender]:
    """Yield those who can take part."""
    kind = "async" if work.is_async else "sync"
    for one in CONTENDERS.values():
        if one.takes in (kind, "both") and (not one.only or work.name in one.only):
            yield one
