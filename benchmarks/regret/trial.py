"""One workload by one contender, in a process that has done nothing before.

``python -c COMMAND WORKLOAD CONTENDER WARM BUDGET_S`` prints one line of JSON:
seconds of the first call (`cold`), what has to start included, and of up to `WARM` more
(`warm`), fewer once `BUDGET_S` seconds are over; or why it cannot (`cannot`).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

from .contenders import CONTENDERS
from .workloads import WORKLOADS

COMMAND: Final = "from benchmarks.regret.trial import main; main()"
"""With `-m` this would be a main module with relative imports, and `anyio.to_process`
loads that by its path, where there are none."""


def trial(workload: str, contender: str, warm: int, budget_s: float) -> dict[str, Any]:
    """Measure; the answers are looked at outside of what is timed."""
    work = WORKLOADS[workload]
    try:
        open_pool, forks, version = CONTENDERS[contender].load()
    except ImportError as exc:
        return {"cannot": f"not installed: {exc}"}
    seconds = list[float]()
    with work.host():
        case = work.make()
        begin = time.perf_counter()
        end = begin + budget_s
        try:
            with open_pool() as call:
                while not seconds or (len(seconds) <= warm and begin < end):
                    results = call(case.fn, case.items)
                    seconds.append(time.perf_counter() - begin)
                    if not case.is_right(results):
                        return {"cannot": "wrong answers"}
                    begin = time.perf_counter()
        except Exception as exc:  # noqa: BLE001 - whatever a library raises
            return {"cannot": f"{type(exc).__name__}: {exc}"[:200]}
    return {
        "forks": forks,
        "version": version,
        "cold": seconds[0],
        "warm": seconds[1:],
        "report": _explained(results),
    }


def _explained(results: Any) -> list[str]:
    report = getattr(results, "report", None)
    return [] if report is None else report.explain().splitlines()


def main() -> None:
    """Do what the command line says."""
    name, by, repeat, seconds = sys.argv[1:]
    print(json.dumps(trial(name, by, int(repeat), float(seconds))), flush=True)
