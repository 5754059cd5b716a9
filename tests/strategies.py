"""Hypothesis strategies: machines, workloads and profiles, realistic and wild.

A realistic fact is one that a probe could report. A wild one only has the right type:
no fact, however odd, may keep a plan from being made.
"""

from hypothesis import strategies as st

from smartpool._decide.facts import BACKENDS, HINTS, Machine, Profile, Workload

WHY = "it holds a generator"


def machines(
    cpus: st.SearchStrategy[int] | None = None,
) -> st.SearchStrategy[Machine]:
    """Machines of 1 to 256 CPUs, with a GIL or without."""
    return st.builds(
        Machine,
        cpus=st.integers(1, 256) if cpus is None else cpus,
        cpus_why=st.just("affinity"),
        gil=st.booleans(),
        gil_why=st.just("as it was built"),
        free_threaded=st.booleans(),
        python=st.just("3.13.0"),
        processes=st.booleans(),
        processes_why=st.just("no sockets here"),
        max_open_files=st.none() | st.integers(1, 1 << 20),
        memory_bytes=st.none() | st.integers(1 << 20, 1 << 40),
        depth=st.integers(0, 3),
    )


def workloads() -> st.SearchStrategy[Workload]:
    """Workloads of any size, an unknown one too, pinned or hinted or neither."""
    return st.builds(
        Workload,
        items=st.none() | st.integers(0, 3) | st.integers(0, 10**9),
        is_async=st.booleans(),
        hint=st.none() | st.sampled_from(HINTS),
        backend=st.none() | st.sampled_from(BACKENDS),
        max_workers=st.none() | st.integers(1, 4) | st.integers(1, 10_000),
        chunksize=st.none() | st.integers(1, 1000),
        unpicklable=st.none() | st.just(WHY),
        rebinds=st.none() | st.just("counter"),
        warm_workers=st.integers(0, 64),
        isolated=st.none() | st.just("item_timeout=2"),
        ends_calls=st.booleans(),
    )


def profiles() -> st.SearchStrategy[Profile]:
    """Profiles that a probe could report, and wild ones."""
    return realistic_profiles() | wild_profiles()


@st.composite
def realistic_profiles(draw: st.DrawFn) -> Profile:
    """Draw a profile whose parts add up, as those of a probe do."""
    wall_s = draw(st.floats(5e-8, 10.0))
    share = draw(st.floats(0.0, 1.0))
    delay = draw(st.just(0.0) | st.floats(0.0, 1.0 - share))
    heart_delay = draw(st.just(0.0) | st.floats(0.0, 1.0))
    late = draw(st.floats(heart_delay, 1.0))
    seen = wall_s > 1e-3
    return Profile(
        calls=draw(st.integers(1, 10_000)),
        wall_s=wall_s,
        cpu_s=share * wall_s,
        delay_s=draw(st.none() | st.just(delay * wall_s)) if seen else None,
        late_s=late * wall_s if seen else None,
        waited_s=draw(st.none() | st.floats(0.0, late)) if seen else None,
        heart_delay_s=heart_delay * wall_s if seen else 0.0,
        heart_slept_s=draw(st.floats(0.0, 1.0 - late)) * wall_s if seen else 0.0,
        late_beats=draw(st.floats(0.0, 1.0)),
        others_share=draw(st.just(0.0) | st.floats(0.0, 8.0)),
        arg_bytes=draw(st.none() | st.integers(0, 1 << 28)),
        result_bytes=draw(st.none() | st.integers(0, 1 << 28)),
        pickle_s=draw(st.none() | st.floats(0.0, 1.0)),
        unpicklable=draw(st.none() | st.just(WHY)),
        finished=draw(st.booleans()),
        where=draw(st.sampled_from(["here", "worker"])),
    )


def wild_profiles() -> st.SearchStrategy[Profile]:
    """Profiles whose numbers have nothing to do with one another."""
    seconds = st.just(0.0) | st.floats(0.0, 1e9)
    return st.builds(
        Profile,
        calls=st.integers(1, 10**9),
        wall_s=seconds,
        cpu_s=st.none() | seconds,
        delay_s=st.none() | seconds,
        late_s=st.none() | seconds,
        waited_s=st.none() | seconds,
        heart_delay_s=seconds,
        heart_slept_s=seconds,
        late_beats=st.floats(0.0, 1.0),
        others_share=st.floats(0.0, 1e6),
        arg_bytes=st.none() | st.integers(0, 1 << 60),
        result_bytes=st.none() | st.integers(0, 1 << 60),
        pickle_s=st.none() | seconds,
        unpicklable=st.none() | st.just(WHY),
        finished=st.booleans(),
        where=st.sampled_from(["here", "worker"]),
    )
