"""Workloads that do more than one thing, or not always the same."""

from __future__ import annotations

import threading
import time
from typing import Final

from ..workload import Case, Workload
from .computing import STEPS_A_MS, work, worked

_lock = threading.Lock()


def wait_and_work(number: int) -> int:
    """Wait for 6 ms, then compute for 4 ms."""
    time.sleep(0.006)
    return work(4 * STEPS_A_MS + number)


def works_from_200(number: int) -> int:
    """Wait for 5 ms in the first half, compute for 5 ms in the other."""
    if number < 200:
        time.sleep(0.005)
        return number
    return work(5 * STEPS_A_MS + number)


def waits_from_200(number: int) -> int:
    """Compute for 5 ms in the first half, wait for 5 ms in the other."""
    if number < 200:
        return work(5 * STEPS_A_MS + number)
    time.sleep(0.005)
    return number


def hold_one_lock(number: int) -> int:
    """Compute for 2 ms under a lock that all calls in a process share."""
    with _lock:
        return work(2 * STEPS_A_MS + number)


def _mixed() -> Case:
    expected = [worked(4 * STEPS_A_MS + n) for n in range(200)]
    return Case(wait_and_work, range(200), expected)


def _worked(number: int) -> int:
    return worked(5 * STEPS_A_MS + number)


def _works_later() -> Case:
    expected = [n if n < 200 else _worked(n) for n in range(400)]
    return Case(works_from_200, range(400), expected)


def _waits_later() -> Case:
    expected = [_worked(n) if n < 200 else n for n in range(400)]
    return Case(waits_from_200, range(400), expected)


def _locked() -> Case:
    expected = [worked(2 * STEPS_A_MS + n) for n in range(400)]
    return Case(hold_one_lock, range(400), expected)


WORKLOADS: Final = [
    Workload("mixed", "200 x 6 ms of waiting, 4 ms of Python", _mixed, group="mixed"),
    Workload("waits, then works", "200 x 5 ms of each", _works_later, group="mixed"),
    Workload("works, then waits", "200 x 5 ms of each", _waits_later, group="mixed"),
    Workload("one lock", "400 x 2 ms of Python under a lock", _locked, group="mixed"),
]
