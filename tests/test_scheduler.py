"""Unit: leases are given fairly, and every one that is given back is free again."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._run.relief import RELIEF_S, Relief
from smartpool._run.scheduler import Scheduler, Tenant

SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.4, 2 / 3, 0.9, 1.0])


@dataclass
class Pool:
    """A pool whose chunks all take the same time: the one placed first ends first."""

    scheduler: Scheduler
    chunks: deque[tuple[Tenant, float]]

    @classmethod
    def of(cls, cpus: int) -> "Pool":
        return cls(Scheduler(cpus), deque())

    def place_all(self, wanting: list[Tenant]) -> list[Tenant]:
        """Give leases until nobody gets one; return who got them."""
        given_to = []
        while lease := self.scheduler.grant(wanting):
            self.chunks.append(lease)
            given_to.append(lease[0])
            assert len(given_to) < 10_000
        return given_to

    def end_one(self) -> Tenant:
        """End the chunk that was placed first."""
        tenant, share = self.chunks.popleft()
        self.scheduler.release(tenant, share)
        return tenant

    def used(self) -> float:
        return sum(share for _, share in self.chunks)


def turns(pool: Pool, wanting: list[Tenant], count: int) -> Counter[int]:
    """End chunks one by one; return how many leases each tenant got meanwhile."""
    pool.place_all(wanting)
    got: Counter[int] = Counter()
    for _ in range(count):
        pool.end_one()
        got.update(wanting.index(tenant) for tenant in pool.place_all(wanting))
    return got


@pytest.mark.parametrize("cpus", [1, 2, 3, 8])
def test_one_that_is_alone_gets_all(cpus: int) -> None:
    """Every CPU is used by the only run that wants one; no more than those."""
    pool, alone = Pool.of(cpus), Tenant(share=1.0, most=100)

    assert len(pool.place_all([alone])) == cpus


@pytest.mark.parametrize(("cpus", "workers"), [(2, 3), (2, 5), (3, 7), (4, 6), (8, 9)])
def test_shares_of_one_run_fill_the_cpus(cpus: int, workers: int) -> None:
    """A run with more workers than CPUs gets all of those, again and again."""
    pool, alone = Pool.of(cpus), Tenant(share=cpus / workers, most=workers + 5)

    assert len(pool.place_all([alone])) == workers
    for _ in range(1000):
        pool.end_one()
        assert len(pool.place_all([alone])) == 1


@pytest.mark.parametrize("cpus", [1, 2, 3, 8])
def test_two_runs_get_equal_shares(cpus: int) -> None:
    """Of two runs that work, each gets half of the turns."""
    both = [Tenant(share=1.0, most=100), Tenant(share=1.0, most=100)]
    got = turns(Pool.of(cpus), both, 200)

    assert abs(got[0] - got[1]) <= 1


@pytest.mark.parametrize("cpus", [2, 4, 8])
def test_equal_shares_are_of_cpus_not_of_chunks(cpus: int) -> None:
    """A run whose calls wait for half of their time gets twice as many of them."""
    pool = Pool.of(cpus)
    both = [Tenant(share=1.0, most=100), Tenant(share=0.5, most=100)]
    turns(pool, both, 200)

    assert both[0].held == pytest.approx(both[1].held, abs=1.0)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4, 1.0])
def test_a_late_comer_gets_the_next_lease(share: float) -> None:
    """It waits for one chunk to end, however small the shares of the others are."""
    pool = Pool.of(2)
    first, late = Tenant(share=share, most=100), Tenant(share=1.0, most=100)
    pool.place_all([first])

    pool.end_one()

    assert pool.place_all([first, late])[0] is late


def test_a_run_that_needs_a_whole_cpu_is_not_starved() -> None:
    """A run with small shares does not take back each bit of room that it gives."""
    pool = Pool.of(1)
    small, whole = Tenant(share=0.2, most=5), Tenant(share=1.0, most=1)
    got = turns(pool, [small, whole], 100)

    assert got[1] >= 10


def test_what_waits_takes_no_cpu_from_anyone() -> None:
    """Calls that only wait go on beside a full machine, up to their own bound."""
    pool = Pool.of(2)
    busy, waiting = Tenant(share=1.0, most=100), Tenant(share=0.0, most=30)
    pool.place_all([busy])

    assert pool.place_all([busy, waiting]) == [waiting] * 30


def test_a_nested_run_always_has_one() -> None:
    """The call that waits for it keeps its own lease, and would wait for ever."""
    pool = Pool.of(2)
    outer = Tenant(share=1.0, most=100)
    pool.place_all([outer])
    inner = [Tenant(share=1.0, most=100, nested=True) for _ in range(3)]

    assert pool.place_all([outer, *inner]) == inner


def test_a_lease_is_given_back_as_it_was_taken() -> None:
    """A run that changes its plan meanwhile gives back what it had."""
    pool, tenant = Pool.of(2), Tenant(share=1.0, most=2)
    pool.place_all([tenant])
    tenant.share, tenant.most = 0.4, 5
    while pool.chunks:
        pool.end_one()

    assert (tenant.held, tenant.leases) == (0.0, 0)
    assert len(pool.place_all([tenant])) == 5


def test_who_wants_nothing_gets_nothing() -> None:
    """Leases go to those who ask, and no further than their bound."""
    scheduler = Scheduler(2)

    assert scheduler.grant([]) is None
    assert scheduler.grant([Tenant(share=1.0, most=0)]) is None


class Watch:
    def cancel(self) -> None: ...


class Starving:
    """A pool that is full, runs that want a lease of it, and time that is asked for."""

    def __init__(self, *wanting: Tenant) -> None:
        self.pool = Pool.of(2)
        self.holder = Tenant(share=1.0, most=2)
        self.pool.place_all([self.holder])
        self.wanting = list(wanting)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.room_comes = False
        self.got: list[Tenant] = []
        self.relief = Relief(
            self.pool.scheduler, self.call_later, lambda: self.room_comes, self.place
        )
        self.place()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Watch:
        self.timers.append((delay_s, callback))
        return Watch()

    def place(self) -> None:
        self.got += self.pool.place_all(self.wanting)
        self.relief.look(self.wanting)

    def wait(self) -> None:
        """Let the time that was asked for go by."""
        ((delay_s, callback),) = self.timers
        assert delay_s == RELIEF_S
        self.timers.clear()
        callback()


def run() -> Tenant:
    return Tenant(share=1.0, most=5)


def test_who_starves_gets_one_lease() -> None:
    """The others may all wait for it; and again one, each time that was given back."""
    starving = Starving(run())

    assert not starving.got
    starving.wait()
    assert starving.got == starving.wanting
    starving.pool.chunks.rotate(1)
    starving.pool.end_one()
    starving.place()
    assert starving.got == starving.wanting * 2
    assert starving.pool.used() == 2
    assert not starving.timers


def test_relief_is_for_one_at_a_time() -> None:
    """It waits between them: a pool full of long items takes on no crowd at once."""
    starving = Starving(run(), run(), run())

    for expected in (1, 2, 3):
        starving.wait()
        assert starving.got == starving.wanting[:expected]
    assert not starving.timers


def test_no_relief_while_room_comes() -> None:
    """Whoever is next gets what was given back, and nobody more than there is."""
    starving = Starving(run(), run(), run())

    starving.pool.end_one()
    starving.place()
    starving.wait()

    assert starving.got == starving.wanting[:1]
    assert starving.pool.used() == 2
    starving.wait()
    assert starving.got == starving.wanting[:2]


def test_no_relief_while_a_worker_process_holds_a_lease() -> None:
    """It waits for no run, so room will come: the bound of processes holds."""
    starving = Starving(run())
    starving.room_comes = True

    for _ in range(5):
        starving.wait()

    assert not starving.got


def test_nobody_starves_who_has_a_lease() -> None:
    """Without a wish, or with one lease at least, no time is asked for."""
    alone = run()
    starving = Starving()
    starving.wanting = [starving.holder]
    starving.place()

    assert not starving.timers
    assert Scheduler(1).starving([]) is None
    assert Scheduler(1).starving([alone]) is alone


tenants = st.lists(
    st.builds(Tenant, share=SHARES, most=st.integers(1, 40), nested=st.booleans()),
    min_size=1,
    max_size=6,
)


@given(st.integers(1, 16), tenants, st.lists(st.integers(0, 63), max_size=60))
def test_no_run_is_starved_and_nothing_is_lost(
    cpus: int, wanting: list[Tenant], ends: list[int]
) -> None:
    """Whoever wants a lease gets one before long; CPUs are not given twice."""
    pool = Pool.of(cpus)
    pool.place_all(wanting)
    for end in ends:
        if pool.chunks:
            pool.chunks.rotate(end)
            pool.end_one()
        pool.place_all(wanting)
        assert pool.used() < cpus + 1
        assert all(one.leases <= one.most for one in wanting)
        assert all(one.leases for one in wanting if one.nested or not one.share)
    # A round in which everything that is placed ends once: all had their turn.
    had = {id(one) for one in wanting if one.leases}
    for _ in range(2 * len(wanting) * (len(pool.chunks) + 1)):
        if pool.chunks:
            pool.end_one()
        had |= {id(tenant) for tenant in pool.place_all(wanting)}
    assert had == {id(one) for one in wanting}


@given(st.integers(1, 16), tenants, st.integers(0, 50))
def test_accounts_return_to_zero(cpus: int, wanting: list[Tenant], count: int) -> None:
    """When all leases are given back, the pool is as it was: no rest of a fraction."""
    pool = Pool.of(cpus)
    turns(pool, wanting, count)
    while pool.chunks:
        pool.end_one()

    assert all((one.held, one.leases) == (0.0, 0) for one in wanting)
    fresh = Tenant(share=1.0, most=100)
    assert len(pool.place_all([fresh])) == cpus


@given(st.integers(1, 16), tenants, st.integers(0, 60))
def test_no_cpu_is_idle_while_somebody_wants_it(
    cpus: int, wanting: list[Tenant], count: int
) -> None:
    """What fits is given at once, whoever it is that fits."""
    pool = Pool.of(cpus)
    turns(pool, wanting, count)

    assert pool.used() >= cpus - 1e-6 or all(one.leases == one.most for one in wanting)


def test_a_run_that_is_dropped_leaves_all_its_room() -> None:
    """What it held, noted or not, is free again, and the others keep theirs."""
    pool = Pool.of(3)
    dropped, other = Tenant(share=2 / 5, most=4), Tenant(share=1.0, most=1)
    pool.place_all([other, dropped])
    assert dropped.leases > 1

    pool.scheduler.release_all(dropped)

    assert (dropped.leases, dropped.held) == (0, 0.0)
    late = Tenant(share=1.0, most=9)
    assert pool.place_all([late]) == [late, late]
    assert other.leases == 1
