"""All workloads, in the order of the table."""

from __future__ import annotations

from ..workload import Workload
from . import computing, coroutines, data, mixed, waiting

WORKLOADS: dict[str, Workload] = {
    one.name: one
    for module in (computing, waiting, mixed, data, coroutines)
    for one in module.WORKLOADS
}
