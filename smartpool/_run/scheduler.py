"""One pool, sans I/O: leases places at the CPUs to runs, fairly.

A *lease* lets a run have one chunk in flight. It takes a share of a CPU: 1 for work,
2/5 for calls that wait 3/5 of their time, 0 for calls that only wait. Leases are given
while there is room at the pool's CPUs, each time to the run that holds the least, and
among equals to the one that has waited longest. So of two runs each gets half of the
CPUs, one that is alone gets all, and one that came late waits for a chunk to end, not
for a run.

Room for part of a share is enough. Else a run with small shares would take back each
bit of room that it gives, and one that needs a whole CPU would wait for its end. So
the shares given exceed the CPUs by less than one share.

A nested run (started from inside a call of another) may always hold one lease: the
call that waits for it keeps its own, and would wait for ever otherwise. Where there is
no room, that lease counts for nothing: it uses what the waiting call does not. Else
nested runs could keep all others out. A run that nobody knew to be nested counts as
such once it has starved for a while (`relief.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final

ROOM: Final = 1e-9
"""Shares are sums of fractions: less room than this is none."""


class Tenant:
    """What one run holds.

    Attributes:
        share: CPU that its next lease takes, from 0 to 1.
        most: Leases at once, at most.
        nested: Whether it may hold one lease whatever the others hold.
        held: CPU that its leases take.
        leases: How many those are.
        last: When it was given the last one, by the scheduler's own count.
    """

    __slots__ = ("held", "last", "leases", "most", "nested", "share")

    def __init__(self, share: float, most: int, *, nested: bool = False) -> None:
        self.share, self.most, self.nested = share, most, nested
        self.held = 0.0
        self.leases = self.last = 0


class Scheduler:
    """Decides which run may place the next chunk.

    Attributes:
        returned: How many leases were given back that took a CPU.
    """

    def __init__(self, cpus: float) -> None:
        self.cpus: float = cpus
        self.returned: int = 0
        self._used = 0.0
        self._leases = 0
        self._turn = count(1)

    def grant(self, wanting: Iterable[Tenant]) -> tuple[Tenant, float] | None:
        """Give a lease to one of those that want one; `None` if there is no room.

        Returns:
            Who got it, and the CPU share to give back to `release`.
        """
        room = self._used < self.cpus - ROOM
        fitting = [tenant for tenant in wanting if _fits(tenant, room=room)]
        if not fitting:
            return None
        tenant = min(fitting, key=lambda one: (one.held, one.last))
        share = tenant.share if room else 0.0
        tenant.last = next(self._turn)
        tenant.leases += 1
        tenant.held += share
        self._leases += 1
        self._used += share
        return tenant, share

    def take(self, tenant: Tenant) -> float:
        """Give a lease that has been taken already; return its share of a CPU."""
        tenant.last = next(self._turn)
        tenant.leases += 1
        tenant.held += tenant.share
        self._leases += 1
        self._used += tenant.share
        return tenant.share

    def release(self, tenant: Tenant, share: float) -> None:
        """Take a lease back."""
        self.returned += share > 0
        tenant.leases -= 1
        tenant.held = tenant.held - share if tenant.leases else 0.0
        self._leases -= 1
        self._used = self._used - share if self._leases else 0.0

    def release_all(self, tenant: Tenant) -> None:
        """Take all leases of `tenant` back, also one that nobody has noted."""
        self.returned += tenant.held > 0
        self._leases -= tenant.leases
        self._used = self._used - tenant.held if self._leases else 0.0
        tenant.leases, tenant.held = 0, 0.0

    def starving(self, wanting: Iterable[Tenant]) -> Tenant | None:
        """Return who waits longest of those that want a lease and have none."""
        hungry = [one for one in wanting if one.most and not one.leases]
        return min(hungry, key=lambda one: one.last, default=None)


def _fits(tenant: Tenant, *, room: bool) -> bool:
    if tenant.leases >= tenant.most:
        return False
    return room or not tenant.share or (tenant.nested and not tenant.leases)
