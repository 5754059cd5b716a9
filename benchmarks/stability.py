"""Is the choice the same each time? Run as ``python -m benchmarks.stability``.

Each row of the table of right choices, the function that it names, 30 times over: each
time as if it had never been seen. Choices that flip are worse than ones that are a
little wrong, since nobody can rely on them.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import Final

from smartpool import Plan, machine, stream_parallel
from smartpool._observe.learned import forget_all
from tests.choices import ROWS, Case

from .measuring import is_quick, print_machine, print_table

RUNS: Final = 30
LEAST: Final = 29
"""Of so many runs so many are to be right."""


def planned(case: Case) -> Plan:
    """Return how the items are called once it is known what they do."""
    forget_all()
    with stream_parallel(case.fn, case.items, ordered=False) as stream:
        for _ in stream:
            if stream.report.plan.rule not in ("ask-a-worker", "cannot-tell"):
                break
        return stream.report.plan


def main() -> None:
    """Print how often each row was planned rightly, and how."""
    runs = 3 if is_quick(__doc__) else RUNS
    print_machine()
    gil, rows = machine().gil, list[list[str]]()
    for row in ROWS.values():
        if row.name == "arrays" and find_spec("numpy") is None:
            continue
        seen, right = Counter[str](), 0
        case = row.named()
        for _ in range(runs):
            plan = planned(case)
            right += row.right(plan, gil)
            seen[f"{plan.backend} ({plan.rule})"] += 1
        plans = ", ".join(f"{count} x {name}" for name, count in seen.most_common())
        short = "" if right * RUNS >= LEAST * runs else "falls short"
        rows.append([row.name, f"{right} of {runs}", short, plans])
    print_table(["row", "right", "", "plans"], rows)


if __name__ == "__main__":
    main()
