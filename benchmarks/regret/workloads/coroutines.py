"""Workloads that are an `async def`."""

from __future__ import annotations

import asyncio
from typing import Final

from ..workload import Case, Workload
from .computing import STEPS_A_MS, work, worked


async def nap(number: int) -> int:
    """Wait for 20 ms."""
    await asyncio.sleep(0.02)
    return number


async def nap_and_work(number: int) -> int:
    """Wait for 20 ms, then compute for 2 ms."""
    await asyncio.sleep(0.02)
    return work(2 * STEPS_A_MS + number)


def _naps() -> Case:
    return Case(nap, range(5000), range(5000))


def _works() -> Case:
    expected = [worked(2 * STEPS_A_MS + n) for n in range(500)]
    return Case(nap_and_work, range(500), expected)


WORKLOADS: Final = [
    Workload("async sleep", "5000 x 20 ms", _naps, is_async=True, group="async"),
    Workload(
        "async, works",
        "500 x 20 ms, then 2 ms of Python",
        _works,
        is_async=True,
        group="async",
    ),
]
