"""The table, the JSON file and the plot."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from smartpool import machine

from ..measuring import print_table, short
from .figures import Regret, geometric_mean, regret
from .runner import Measured, rivals

GOALS: Final = {
    "warm": (1.0, 1.2),
    "cold": (1.05, 1.4),
}
"""Geometric mean and worst of the regrets, at most; cold against those that do not fork."""


@dataclass(frozen=True)
class Row:
    """One workload.

    Attributes:
        workload: Its name.
        cold: Regret of the first call, against those that do not fork.
        forked: The same against all.
        warm: Regret of later calls.
    """

    workload: str
    cold: Regret | None
    forked: Regret | None
    warm: Regret | None


def row(workload: str, found: dict[str, Measured]) -> Row:
    """Work out the regrets of one workload."""
    ours = found["smartpool"]
    return Row(
        workload,
        regret(ours.cold, rivals(found, "cold", forks=False)),
        regret(ours.cold, rivals(found, "cold")),
        regret(ours.warm, rivals(found, "warm")),
    )


def print_rows(rows: list[Row]) -> None:
    """Print the table, and what it comes to beside the goals."""
    head = [
        *("workload", "cold", "best", "by", "regret", "with fork"),
        *("warm", "best", "by", "regret"),
    ]
    print_table(head, map(_cells, rows))
    for name in ("cold", "warm"):
        values = [one.value for each in rows if (one := getattr(each, name))]
        if values:
            mean, worst = GOALS[name]
            print(
                f"{name}: geometric mean {geometric_mean(values):.2f} (goal: at most"
                f" {mean:.2f}), worst {max(values):.2f} (goal: at most {worst:.2f})"
            )


def _cells(one: Row) -> list[str]:
    forked = "-" if one.forked is None else f"{one.forked.value:.2f}"
    return [one.workload, *_of(one.cold), forked, *_of(one.warm)]


def _of(one: Regret | None) -> Iterator[str]:
    if one is None:
        yield from ("-", "-", "-", "-")
    else:
        yield from (short(one.ours_s), short(one.best_s), one.best, f"{one.value:.2f}")


def save(
    path: Path, rows: list[Row], all_found: dict[str, dict[str, Measured]]
) -> None:
    """Write all that was measured, and where."""
    whole = {
        "machine": _machine(),
        "rows": [asdict(one) for one in rows],
        "measured": {
            workload: {name: asdict(one) for name, one in found.items()}
            for workload, found in all_found.items()
        },
    }
    path.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def _machine() -> dict[str, Any]:
    host = machine()
    return {
        "python": sys.version,
        "gil": host.gil,
        "cpus": host.cpus,
        "system": f"{platform.system()} {platform.machine()}",
        "load": os.getloadavg()[0],
    }


def plot(path: Path, rows: list[Row]) -> None:
    """Draw the regrets, sorted, on a logarithmic axis. Needs matplotlib."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    kept = [one for one in rows if one.warm is not None and one.cold is not None]
    kept.sort(key=lambda one: one.warm.value if one.warm else 0.0)
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(kept) + 1.2))
    places = range(len(kept))
    for name, marker in (("cold", "o"), ("warm", "D")):
        values = [getattr(one, name).value for one in kept]
        axes.scatter(values, places, marker=marker, label=name, zorder=3)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(places, [one.workload for one in kept])
    axes.set_xlabel("regret: smartpool's time / the best rival's (left is better)")
    axes.grid(axis="x", alpha=0.4)
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
