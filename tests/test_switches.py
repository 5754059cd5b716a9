"""What gives up its CPU waits; what does not was kept off it. Read from the kernel."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

import pytest

from smartpool._decide.facts import Profile
from smartpool._decide.kinds import holds_gil, working
from smartpool._observe.gil import gil_enabled
from smartpool._observe.meter import Meter
from smartpool._observe.switches import own_switches, switches_of
from tests.choices import spin

pytestmark = pytest.mark.skipif(
    own_switches() is None, reason="this system does not count a thread's switches"
)

BLOCK = bytes(1_000_000)
"""Takes some 0.5 ms to hash, with the GIL let go."""


def digest() -> None:
    """Compute without the GIL, and wait for nothing."""
    sha256(BLOCK).digest()


def wait() -> None:
    """Wait on a lock that nobody lets go of."""
    lock = threading.Lock()
    lock.acquire()
    assert not lock.acquire(timeout=0.001)


@contextmanager
def one_cpu_for_two() -> Iterator[None]:
    """Run on one CPU, beside another program that keeps it busy."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    program = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"],
        stdout=subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        program.stdout.readline()
        yield
    finally:
        os.sched_setaffinity(0, before)
        program.kill()
        program.communicate()


def probe(work: Callable[[], object], calls: int) -> Profile:
    """Measure so many calls as a probe does."""
    with Meter() as meter:
        for _ in range(calls):
            work()
            meter.look()
    return meter.profile(calls)


def test_a_wait_is_a_switch() -> None:
    """A thread that waits gives its CPU up, and counts it."""
    before = own_switches()
    wait()

    after = own_switches()
    assert before is not None
    assert after is not None
    assert after > before


def test_others_see_the_same() -> None:
    """Another thread reads what this one counts."""
    native, read = threading.get_native_id(), list[int | None]()
    before = own_switches()
    reader = threading.Thread(target=lambda: read.append(switches_of(native)))
    reader.start()
    reader.join()

    after = own_switches()
    assert read[0] is not None
    assert before is not None
    assert after is not None
    assert before <= read[0] <= after


def test_of_what_is_no_thread_of_ours_nothing_is_known() -> None:
    """There is no number, and no error."""
    assert switches_of(os.getppid()) is None


def test_what_is_kept_off_its_cpu_does_not_wait() -> None:
    """Half of the time another program has the CPU: all of the own half is work."""
    with one_cpu_for_two():
        profile = probe(digest, 100)

    least, _ = working(profile) or (0.0, 0.0)
    assert profile.cpu_s is not None
    assert profile.cpu_s < 0.8 * profile.wall_s
    assert least > 0.85


def test_what_waits_is_not_kept_off_its_cpu() -> None:
    """What waits between its calls' work is seen to wait."""
    profile = probe(wait, 30)

    _, most = working(profile) or (1.0, 1.0)
    assert most < 0.15


@pytest.mark.skipif(not gil_enabled(), reason="needs a GIL")
def test_without_a_cpu_nothing_wrong_is_seen_of_the_gil() -> None:
    """Half of the time another program has the CPU: who holds the GIL, or unknown."""
    with one_cpu_for_two():
        free, held = probe(digest, 100), probe(lambda: spin(20_000), 100)

    assert holds_gil(free) is not True
    assert holds_gil(held) is not False
