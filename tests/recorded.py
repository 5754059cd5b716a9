"""Recorded facts, and what should follow from them: the files in `tests/cases`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartpool._decide.facts import Machine, Profile, Workload
from smartpool._decide.plan import Plan
from smartpool._decide.rules import make_plan

CASES = Path(__file__).parent / "cases"

TWO_CPUS = Machine(
    cpus=2,
    cpus_why="affinity",
    gil=True,
    gil_why="this build has one",
    free_threaded=False,
    python="3.13.0",
    max_open_files=1 << 20,
)


@dataclass(frozen=True)
class Case:
    """Facts, and the plan that they should lead to.

    Attributes:
        expect: Attributes of the plan; and `says`, a part of its reason.
    """

    name: str
    machine: Machine
    workload: Workload
    profile: Profile | None
    expect: dict[str, Any]

    def plan(self) -> Plan:
        """Return the plan that the facts do lead to."""
        return make_plan(self.machine, self.workload, self.profile)


def _case(entry: dict[str, Any]) -> Case:
    profile = entry.get("profile")
    workload = {"items": None} | entry["workload"]
    return Case(
        entry["name"],
        TWO_CPUS._replace(**entry.get("machine", {})),
        Workload(**workload),
        None if profile is None else Profile(**profile),
        entry["expect"],
    )


def recorded_cases() -> list[Case]:
    """Return all of them, file by file."""
    return [
        _case(entry)
        for path in sorted(CASES.glob("*.toml"))
        for entry in tomllib.loads(path.read_text("utf-8"))["case"]
    ]
