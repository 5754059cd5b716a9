"""One workload by one contender, in a process that has done nothing before.

``python -m benchmarks.regret.trial WORKLOAD CONTENDER WARM BUDGET_S`` prints one line of JSON:
seconds of the first call (`cold`), what has to start included, and of up to `WARM` more
(`warm`), fewer once `BUDGET_S` seconds are over; or why it cannot (`cannot`).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from .contenders import CONTENDERS
from .workloads import WORKLOADS


def trial(workload: str, contender: str, warm: int, budget_s: float) -> dict[str, Any]:
    """Measure; the answers are looked at outside of what is timed."""
    work = WORKLOADS[workload]
    try:
        open_pool, forks, version = CONTENDERS[contender].load()
    except ImportError as exc:
        return {"cannot": f"not installed: {exc}"}
    said: dict[str, Any] = {"forks": forks, "version": version, "warm": []}
    with work.host():
        case = work.make()
        end = time.perf_counter() + budget_s
        begin = time.perf_counter()
        try:
            with open_pool() as call:
                results = call(case.fn, case.items)
                said["cold"] = time.perf_counter() - begin
                if not case.is_right(results):
                    return {"cannot": "wrong answers"}
                while len(said["warm"]) < warm and time.perf_counter() < end:
                    begin = time.perf_counter()
                    results = call(case.fn, case.items)
                    said["warm"].append(time.perf_counter() - begin)
                    if not case.is_right(results):
                        return {"cannot": "wrong answers"}
                said["report"] = _explained(results)
        except Exception as exc:  # noqa: BLE001 - whatever a library raises
            return {"cannot": f"{type(exc).__name__}: {exc}"[:200]}
    return said


def _explained(results: Any) -> list[str]:
    report = getattr(results, "report", None)
    return [] if report is None else report.explain().splitlines()


if __name__ == "__main__":
    name, by, repeat, seconds = sys.argv[1:]
    print(json.dumps(trial(name, by, int(repeat), float(seconds))), flush=True)
