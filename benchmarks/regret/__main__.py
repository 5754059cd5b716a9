"""How close is smartpool to the best choice? ``python -m benchmarks.regret``.

Each workload is done by smartpool, without a hint, and by all rivals, each as its own
documentation shows it. What is printed beside the seconds is the regret: smartpool's
time by that of the best rival.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ..measuring import print_machine
from . import goals, report
from .runner import QUICK, THOROUGH, Measured, compile_modules, race, who
from .workload import Workload
from .workloads import WORKLOADS

QUICKLY: Final = ("tiny", "1 ms", "sleep", "sha256", "json", "mixed", "async sleep")
"""Workloads of `--quick`."""

QUICK_RIVALS: Final = (
    *("smartpool", "loop", "threads", "threads, 256", "processes", "joblib"),
    *("gather",),
)


def main() -> None:
    """Measure, and print."""
    asked = _asked()
    print_machine()
    compile_modules()
    begin = time.monotonic()
    found: dict[str, dict[str, Measured]] = {}
    rows = list[report.Row]()
    for work in _workloads(asked):
        names = [one.name for one in who(work)]
        if asked.quick and not asked.goals:
            names = [name for name in names if name in QUICK_RIVALS]
        effort = QUICK if asked.quick else THOROUGH
        found[work.name] = race(work, names, effort, _say)
        rows.append(report.row(work.name, found[work.name]))
        if asked.verbose:
            _print_found(work, found[work.name])
    _say("")
    report.print_rows(rows)
    goals.print_goals(found, extras=asked.goals or not (asked.quick or asked.only))
    print(f"it took {time.monotonic() - begin:.0f} s")
    if asked.json:
        report.save(asked.json, rows, found)
    if asked.plot:
        report.plot(asked.plot, rows)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="regret", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few, in 3 minutes")
    parser.add_argument(
        "--goals", action="store_true", help="what the figures below the table need"
    )
    parser.add_argument("--only", help="names of workloads, with semicolons between")
    parser.add_argument("--json", type=Path, help="where to write all readings")
    parser.add_argument("--plot", type=Path, help="where to draw the regrets")
    parser.add_argument("--verbose", action="store_true", help="print all contenders")
    return parser.parse_args()


def _workloads(asked: argparse.Namespace) -> list[Workload]:
    names = list(QUICKLY if asked.quick else WORKLOADS)
    if asked.goals:
        names = list(goals.WORKLOADS)
    if asked.only:
        names = [name.strip() for name in asked.only.split(";")]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        sys.exit(f"no workload {unknown[0]!r}; there are: {'; '.join(WORKLOADS)}")
    works = [WORKLOADS[name] for name in names]
    return [one for one in works if not one.needs or find_spec(one.needs)]


def _say(text: str) -> None:
    """Show how far it is, on one line, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _print_found(work: Workload, found: dict[str, Measured]) -> None:
    print(f"\n{work.name}: {work.about}")
    for name, one in sorted(found.items(), key=lambda each: min(each[1].warm or [1e9])):
        cold = " ".join(f"{seconds:.3f}" for seconds in one.cold)
        warm = " ".join(f"{seconds:.3f}" for seconds in one.warm)
        print(f"  {name:22} cold {cold:40} warm {warm:40} {one.cannot}")
    print(*(f"    {line}" for line in found["smartpool"].report), sep="\n")


if __name__ == "__main__":
    main()
