"""What does the meter see of known work? Run as ``python -m benchmarks.held``.

Functions whose kind is known are probed as `run_parallel` probes them, in three
situations: nothing else runs; another process computes; another thread of this
process computes. The thresholds in `smartpool/_decide/kinds.py` lie between the
readings of those that hold the GIL and those that do not; what holds it partly shows
how the share is read.
"""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from smartpool import machine
from smartpool._decide import probing
from smartpool._decide.facts import Profile
from smartpool._decide.kinds import held, kind_of, working
from smartpool._observe.meter import Meter

from .measuring import is_quick, print_machine, print_table

BLOCK: Final = random.Random(0).randbytes(256 * 1024) * 8
TEXT: Final = "".join(random.Random(0).choices("abcdefghij ", k=8_000))
PATTERN: Final = re.compile(r"(\w+?)[ab]{2}(\w*)[cd]{2}")
SPINNING: Final = "print(flush=True)\nwhile True: pass"
HEAD: Final = (
    "work",
    "beside",
    "cpu share",
    "held: least",
    "median",
    "most",
    "others",
    "run delay",
    "taken for",
)


def spin(seconds: float) -> None:
    """Compute in Python for so much time of this thread's CPU."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(100))


def mixed() -> None:
    """Wait, then compute."""
    time.sleep(0.006)
    spin(0.004)


def partly(share: float) -> Callable[[], None]:
    """Return what holds the GIL for this share of its CPU time."""

    def work() -> None:
        begin = time.thread_time()
        hashlib.sha256(BLOCK).digest()
        spin((time.thread_time() - begin) * share / (1 - share))

    return work


WORKS: Final[dict[str, Callable[[], object]]] = {
    "sha256, 2 MB": lambda: hashlib.sha256(BLOCK).digest(),
    "zlib, 2 MB": lambda: zlib.compress(BLOCK, 1),
    "pure Python, 1 ms": lambda: spin(0.001),
    "regex": lambda: PATTERN.findall(TEXT),
    "sleep, 20 ms": lambda: time.sleep(0.02),
    "wait 6 ms, compute 4": mixed,
    "half of it held": partly(0.5),
    "a quarter held": partly(0.25),
}


@contextmanager
def another_process() -> Iterator[None]:
    """Keep a process computing."""
    command = [sys.executable, "-S", "-c", SPINNING]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@contextmanager
def another_thread() -> Iterator[None]:
    """Keep a thread of this process computing."""
    end = threading.Event()

    def compute() -> None:
        while not end.is_set():
            spin(0.001)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


BESIDE: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "nothing": nullcontext,
    "a process": another_process,
    "a thread": another_thread,
}


@dataclass(slots=True)
class Readings:
    """What probes of one function showed."""

    profiles: list[Profile] = field(default_factory=list[Profile])

    def row(self, work: str, beside: str) -> Sequence[str]:
        """Return the line of the table."""
        gil = machine().gil
        shares = sorted(share for p in self.profiles if (share := held(p)) is not None)
        bounds = [each for p in self.profiles if (each := working(p)) is not None]
        low = median(each[0] for each in bounds)
        high = median(each[1] for each in bounds)
        kinds = Counter(kind_of(profile, gil=gil) for profile in self.profiles)
        delays = [(p.delay_s or 0.0) / p.wall_s for p in self.profiles]
        least, middle, most = (
            (shares[0], median(shares), shares[-1]) if shares else (float("nan"),) * 3
        )
        return (
            work,
            beside,
            f"{low:.2f}-{high:.2f}",
            f"{least:.2f}",
            f"{middle:.2f}",
            f"{most:.2f}",
            f"{median(profile.others_share for profile in self.profiles):.2f}",
            f"{median(delays):.2f}",
            ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
        )


def probe(work: Callable[[], object]) -> Profile:
    """Measure `work` for as long as a probe does."""
    calls = 0
    with Meter() as meter:
        while True:
            work()
            calls += 1
            spent_s = meter.wall_s
            if spent_s >= probing.ENOUGH_S and probing.is_clear(spent_s, meter.seen_s):
                break
    return meter.profile(calls)


def rows(probes: int) -> Iterator[Sequence[str]]:
    """Yield the lines of the table."""
    for beside, busy in BESIDE.items():
        with busy():
            for name, work in WORKS.items():
                work()
                yield Readings([probe(work) for _ in range(probes)]).row(name, beside)


def main() -> None:
    """Measure all, and print the table."""
    probes = 5 if is_quick(__doc__) else 30
    print_machine()
    print(f"{probes} probes each")
    print_table(HEAD, rows(probes))


if __name__ == "__main__":
    main()
