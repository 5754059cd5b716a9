"""The instrument that measures regret: who was the best, and whether answers are right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.regret.contenders import CONTENDERS
from benchmarks.regret.figures import geometric_mean, regret
from benchmarks.regret.runner import who
from benchmarks.regret.trial import trial
from benchmarks.regret.workloads import WORKLOADS


def test_regret_is_ours_by_the_best() -> None:
    """The slower rivals do not matter."""
    found = regret([3.0, 3.0], {"quick": [2.0, 2.0], "slow": [9.0, 9.0]})

    assert found is not None
    assert (found.best, found.best_s, found.value) == ("quick", 2.0, 1.5)


def test_who_chooses_does_not_time() -> None:
    """A rival with one lucky reading is chosen by it, and timed by its other."""
    readings: dict[str, Sequence[float]] = {
        "lucky": [1.0, 8.0],
        "steady": [2.0, 2.0],
    }
    found = regret([2.0], readings)

    assert found is not None
    assert found.best == "lucky"
    # Chosen by 1.0 it takes 8.0; by the other readings `steady` is chosen, and takes 2.0.
    assert found.value == pytest.approx(2.0 / geometric_mean([8.0, 2.0]))


@pytest.mark.parametrize(
    ("ours", "rivals"),
    [([], {"one": [1.0, 1.0]}), ([1.0], {"one": [1.0]}), ([1.0], {})],
)
def test_too_few_readings(
    ours: Sequence[float], rivals: dict[str, Sequence[float]]
) -> None:
    """Then there is no regret, rather than a guess."""
    assert regret(ours, rivals) is None


@pytest.mark.parametrize("name", ["too small", "files", "250 ms", "async, works"])
def test_answers_are_right(name: str) -> None:
    """By the library itself, whose answers are those of a plain loop."""
    said = trial(name, "smartpool", 1, 10.0)

    assert "cannot" not in said
    assert said["cold"] > 0
    assert said["report"]


def test_answers_that_are_arrays() -> None:
    """Their ends and lengths are looked at."""
    numpy = pytest.importorskip("numpy")
    case = WORKLOADS["arrays out"].make()
    right = [case.fn(item) for item in case.items]

    assert case.is_right(right)
    assert not case.is_right([*right[1:], right[0]])
    assert not case.is_right([numpy.full(3, float(item)) for item in case.items])


def test_wrong_answers_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contender that is quick by being wrong has no time."""
    from benchmarks.regret.contenders import loop

    monkeypatch.setattr(loop, "_loop", lambda fn, items: [0 for _ in items])

    assert trial("too small", "loop", 1, 1.0) == {"cannot": "wrong answers"}


def test_who_takes_part() -> None:
    """Those that are for the kind of function; what is tuned, where it belongs."""
    sync = {one.name for one in who(WORKLOADS["1 ms"])}
    coroutines = {one.name for one in who(WORKLOADS["async sleep"])}
    mixed = {one.name for one in who(WORKLOADS["mixed"])}

    assert {"smartpool", "loop", "threads", "Pool", "joblib"} <= sync
    assert {"smartpool", "loop", "gather"} <= coroutines
    assert not coroutines & {"threads", "Pool", "joblib"}
    assert mixed - sync == {one for one in CONTENDERS if one.startswith("processes, ")}
