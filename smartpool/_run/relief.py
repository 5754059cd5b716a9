"""No run waits for ever for a lease that is held by who waits for that run.

A call that starts a run keeps its own lease. That run is known to be nested by a
context variable, and may always hold one lease; but not one that was started on a
thread which does not inherit those (of a `ThreadPoolExecutor` of the user's, say). All
leases may then be held by calls that wait for it.

From outside such calls look like any that take long. So what is looked at is whether
room comes: if for a while no lease was given back that took a CPU, the run that has
waited longest counts as nested from then on. One run at a time: a pool full of long
items that others wait for takes on one call more with each such while, no faster.

Calls in worker processes never wait for a run of this pool. As long as one of them
holds a lease, room will come by itself; so where `max_workers` bounds memory, it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from .._backends.base import Watch
from .scheduler import Scheduler, Tenant

RELIEF_S: Final = 1.0
"""So long no room may come before a run gets a lease all the same: a guess. Chunks are
meant to take a fifth of it."""


class Relief:
    """Lets runs that starve have a lease.

    Args:
        scheduler: Who gives them.
        call_later: Calls back after a while.
        room_comes: Whether a lease is held by a call that waits for no other run.
        place_all: Places what may be placed, and looks here again.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        call_later: Callable[[float, Callable[[], None]], Watch],
        room_comes: Callable[[], bool],
        place_all: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._call_later = call_later
        self._room_comes = room_comes
        self._place_all = place_all
        self._waits = False

    def look(self, wanting: Iterable[Tenant]) -> None:
        """Look whether one of those starves who want a lease and did not get it."""
        tenant = None if self._waits else self._scheduler.starving(wanting)
        if tenant is not None:
            self._waits, returned = True, self._scheduler.returned
            self._call_later(RELIEF_S, lambda: self._relieve(tenant, returned))

    def _relieve(self, tenant: Tenant, returned: int) -> None:
        self._waits = False
        if returned == self._scheduler.returned and not self._room_comes():
            tenant.nested = True
        self._place_all()
