"""Measure what a thread does while it calls items: working, waiting, holding the GIL.

The thread being measured does almost nothing for it. A second thread, the *heart*,
sleeps 1 ms at a time and adds up how late it gets the GIL back. The idea is
gilknocker's; set against the CPU time of the items it also tells mixed work. A heart
that gave its CPU up once, to sleep, and is late all the same had to wait for a CPU, and
not for the GIL. What follows from the numbers is decided elsewhere (`_decide.kinds`).

Raw threads, not `threading.Thread`: a start costs 25 us instead of 80 us, and a
probe of tiny items must not cost more than they do.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Self

from .._aside import SIGNAL_S
from .._decide.facts import Profile
from .switches import cpu_of_threads, own_switches, run_delay_s, switches_of

BEAT_S: Final = 0.001
"""How long the heart sleeps."""

PUNCTUAL_S: Final = 0.0002
"""Lateness of a beat that timers and a wake-up explain (benchmarks/held.py)."""

NATIVE_FROM: Final = 0.05
"""CPU of other threads, as a share of the time, from which on it is looked at whose they
are: a guess, half of what makes the GIL's state unclear."""

PYTHON_LEAST: Final = 0.25
"""That good part: a guess."""

_Mark = tuple[float, float, int | None]  # wall time, CPU time, switches

READ_DELAY_FROM_S: Final = 0.001
"""Shorter measurements are not worth the 40 us that reading run delay takes."""


def thread_cpu_s(ident: int) -> float | None:
    """Return the CPU time of another thread; `None` where that cannot be read."""
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(ident))
    except (AttributeError, OSError):
        return None


class Meter:
    """Measure the thread that enters it, until it leaves it.

    Args:
        on_long: Called on the heart's thread when the measured thread has been at
            it for `long_s` seconds, and at each beat after that until it returns
            true. It may go on for as long as it likes.
        long_s: After how many seconds that is.
    """

    def __init__(
        self, on_long: Callable[[], bool] | None = None, long_s: float = 0.02
    ) -> None:
        self._on_long = on_long
        self._long_s = long_s
        self._stop = _thread.allocate_lock()
        self._gone = _thread.allocate_lock()
        self._late_s = self._waited_s = self._kept_off_s = 0.0
        self._beats = self._late_beats = 0
        self._switches: int | None = 0  # the heart's: so it begins
        self._due: float | None = None
        self._heart: tuple[int, int] | None = None
        self._delay_0: float | None = None
        self._others: tuple[float, dict[int, float]] | None = None
        self._end: _Reading | None = None
        self._apart_s = self._apart_cpu_s = 0.0

    def __enter__(self) -> Self:
        self._ident = _thread.get_ident()
        self._native = _thread.get_native_id()
        self._stop.acquire()
        self._gone.acquire()
        self._begin = _Reading(time.thread_time())
        self._mark = self._begin.wall_s, self._begin.cpu_s, own_switches()
        self._due = self._begin.wall_s + BEAT_S
        try:
            _thread.start_new_thread(self._beat, ())
        except BaseException:  # an interrupt, and the heart beats perhaps
            self.let_go()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the measurement, on the measured thread. What `on_long` does goes on."""
        try:
            if self._end is None:
                self._end = self._read(time.thread_time())
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let the heart end, whatever came of the measurement. Twice does no harm."""
        with suppress(RuntimeError):  # it was free already
            self._stop.release()

    def join(self) -> None:
        """Wait until the heart has gone, `on_long` included."""
        while not self._gone.acquire(timeout=SIGNAL_S):
            pass
        self._gone.release()

    @property
    def seen_s(self) -> float:
        """Seconds in which the heart could see anything: it had a CPU, or slept."""
        delay_s = run_delay_s(self._heart[1]) if self._heart else None
        return self.wall_s - (delay_s or 0.0)

    def leave_out(self, wall_s: float, cpu_s: float) -> None:
        """Leave out time that the measured thread has not spent in items."""
        self._apart_s += wall_s
        self._apart_cpu_s += cpu_s
        self.mark()

    def mark(self) -> None:
        """On the measured thread: from here on `look` looks."""
        self._mark = time.perf_counter(), time.thread_time(), own_switches()

    def look(self) -> None:
        """On the measured thread: see whether it has waited since the last mark.

        If it has not given up its CPU once, it was kept off it for whatever time it
        has no CPU time for. The next look begins here.
        """
        before = self._mark
        self.mark()
        self._kept_off_s += _kept_off_s(before, self._mark)

    @property
    def wall_s(self) -> float:
        """Seconds since the start, or from start to end."""
        end = self._end.wall_s if self._end else time.perf_counter()
        return end - self._begin.wall_s

    def profile(
        self,
        calls: int,
        *,
        item_s: float | None = None,
        where: Literal["here", "worker"] = "here",
        finished: bool = True,
    ) -> Profile:
        """Return what was measured, as means over `calls` items.

        On the measured thread after the end; or on the heart's thread, in `on_long`,
        while an item still goes on: then `finished` is false.

        Args:
            calls: Items that were called.
            item_s: Seconds that an item takes, if the caller knows better than the
                mean (it leaves a cold start out). All times are set to that pace:
                what parts of the time went where stays the same.
            where: Where they were called.
            finished: Whether they had ended.
        """
        begin, end = self._begin, self._end
        if end is None:
            cpu_s = thread_cpu_s(self._ident)
            end = self._read(begin.cpu_s if cpu_s is None else cpu_s)
            now = end.wall_s, end.cpu_s, switches_of(self._native)
            kept_off_s = self._kept_off_s + _kept_off_s(self._mark, now)
        else:
            kept_off_s = self._kept_off_s
        wall_s, cpu_s = end.wall_s - begin.wall_s, end.cpu_s - begin.cpu_s
        others_s = end.process_s - begin.process_s - cpu_s - end.heart_cpu_s
        others_share = max(0.0, others_s / wall_s) if wall_s > 0 else 0.0
        python_share = others_share
        worth_it = others_share > NATIVE_FROM and wall_s >= READ_DELAY_FROM_S
        if worth_it and self._is_native():
            python_share = 0.0
        wall_s = max(0.0, wall_s - self._apart_s)
        cpu_s = max(0.0, cpu_s - self._apart_cpu_s)
        share = 1 / calls if item_s is None or wall_s <= 0 else item_s / wall_s
        delay_s = end.delay_s
        if kept_off_s:
            delay_s = max(delay_s or 0.0, min(kept_off_s, wall_s))
        return Profile(
            calls=calls,
            wall_s=wall_s * share,
            cpu_s=cpu_s * share,
            delay_s=None if delay_s is None else delay_s * share,
            late_s=None if end.late_s is None else end.late_s * share,
            waited_s=None if end.late_s is None else end.waited_s * share,
            heart_delay_s=end.heart_delay_s * share,
            heart_slept_s=self._beats * BEAT_S * share,
            late_beats=end.late_beats,
            others_share=python_share,
            native_share=others_share - python_share,
            where=where,
            finished=finished,
        )

    def _is_native(self) -> bool:
        """Return whether other threads' CPU time is that of a library's threads.

        Of a matrix product, say, that several of them compute. Where threads that run
        Python have had a good part of it, all of it counts as theirs. Looked at from the
        first beat on.
        """
        begun, now = self._others, cpu_of_threads()
        if begun is None or now is None or self._native not in now:
            return False
        process_s, cpus = time.process_time() - begun[0], begun[1]
        python_s = {one: now[one] - cpus.get(one, 0.0) for one in now}
        own_s = sum(python_s.pop(one, 0.0) for one in self._own_threads())
        return sum(python_s.values()) < PYTHON_LEAST * (process_s - own_s)

    def _own_threads(self) -> list[int]:
        heart = [] if self._heart is None else [self._heart[1]]
        return [self._native, *heart]

    def _beat(self) -> None:
        clock, stop = time.perf_counter, self._stop
        try:
            self._heart = _thread.get_ident(), _thread.get_native_id()
            # First asleep: of a probe of tiny items it then sees nothing but the end,
            # and takes the GIL from nobody.
            while not stop.acquire(timeout=BEAT_S):
                now = clock()
                self._late_beats += self._add_lateness(now, slept=1)
                self._beats += 1
                if self._delay_0 is None:
                    # Not at the start, on the measured thread: these system calls
                    # would take longer than a probe of tiny items may. Each of them
                    # lets go of the GIL: how long they take to get it back counts.
                    self._due = now
                    self._delay_0 = run_delay_s(self._native)
                    self._others = _all_cpu_s()
                    self._add_lateness(clock(), slept=0)
                if self._is_long(now):
                    stop.acquire()  # its clocks are read until the end
                    return
                self._switches = own_switches()
                self._due = clock() + BEAT_S
        finally:
            self._gone.release()

    def _is_long(self, now: float) -> bool:
        """Tell that the thread has been at it for long; return whether to end."""
        if self._on_long is None or now - self._begin.wall_s < self._long_s:
            return False
        return self._on_long()

    def _add_lateness(self, now: float, slept: int) -> bool:
        """Add how late it is; return whether it had to wait for the GIL."""
        late_s = 0.0 if self._due is None else _late_s(now, self._due)
        self._late_s += late_s
        self._due = None
        before, self._switches = self._switches, own_switches()
        waited = late_s > 0 and _waited(before, self._switches, slept)
        if waited:
            self._waited_s += late_s
        return waited

    def _read(self, cpu_s: float) -> _Reading:
        """Read all clocks. The beat that has not come yet is late, too."""
        now = _Reading(cpu_s)
        if now.wall_s - self._begin.wall_s < READ_DELAY_FROM_S:
            return now
        due, now.waited_s, before = self._due, self._waited_s, self._switches
        overdue_s = 0.0 if due is None else _late_s(now.wall_s, due)
        now.late_s = self._late_s + overdue_s
        beats, late_beats = self._beats, self._late_beats
        if overdue_s:
            beats += 1
            heart = self._heart  # `None` while it waits for the GIL for the first time
            if heart is None or _waited(before, switches_of(heart[1]), slept=1):
                late_beats += 1
                now.waited_s += overdue_s
        now.late_beats = late_beats / max(1, beats)
        if self._delay_0 is not None:
            delay_s = run_delay_s(self._native)
            if delay_s is not None:
                now.delay_s = max(0.0, delay_s - self._delay_0)
        if self._heart is not None:  # it is alive: it waits for our stop
            now.heart_cpu_s = thread_cpu_s(self._heart[0]) or 0.0
            now.heart_delay_s = run_delay_s(self._heart[1]) or 0.0
        return now


class _Reading:
    """The clocks at one moment."""

    __slots__ = (
        "cpu_s",
        "delay_s",
        "heart_cpu_s",
        "heart_delay_s",
        "late_beats",
        "late_s",
        "process_s",
        "waited_s",
        "wall_s",
    )

    def __init__(self, cpu_s: float) -> None:
        self.wall_s = time.perf_counter()
        self.cpu_s = cpu_s
        self.process_s = time.process_time()
        self.delay_s: float | None = None
        self.late_s: float | None = None
        self.late_beats = self.waited_s = 0.0
        self.heart_cpu_s = 0.0
        self.heart_delay_s = 0.0


def _all_cpu_s() -> tuple[float, dict[int, float]] | None:
    """Return the CPU time of the program, and of its threads that run Python."""
    threads = cpu_of_threads()
    return None if threads is None else (time.process_time(), threads)


def _late_s(now: float, due: float) -> float:
    late = now - due
    return late if late > PUNCTUAL_S else 0.0


def _kept_off_s(before: _Mark, now: _Mark) -> float:
    """Return for how long a thread had no CPU, if it is known not to have waited."""
    if before[2] is None or before[2] != now[2]:
        return 0.0
    return max(0.0, now[0] - before[0] - (now[1] - before[1]))


def _waited(before: int | None, after: int | None, slept: int) -> bool:
    """Return whether a thread has waited, besides sleeping; true if not known."""
    return before is None or after is None or after - before > slept
