"""A Celery task that computes in parallel, inside of a prefork worker.

Such a worker is a daemonic process, and those may not have `multiprocessing` children:
a `ProcessPoolExecutor` raises an AssertionError there, joblib goes on one item after
the other. smartpool's workers are plain programs, started when they are needed.

    celery --app s07_celery worker --pool prefork --concurrency 1
"""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from celery import Celery

from smartpool import run_parallel

broker = os.environ.get("BROKER", "redis://127.0.0.1:6379/0")
app = Celery("s07_celery", broker=broker, backend=broker)


def count_primes(below: int) -> tuple[int, int]:
    """Return how many primes there are, and the process that has counted them."""
    primes = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))
    return primes, os.getpid()


@app.task
def count_all(belows: list[int]) -> dict[str, Any]:
    """Count for each limit, in parallel."""
    results = run_parallel(count_primes, belows)
    return {
        "primes": [primes for primes, _ in results],
        "processes": sorted({process for _, process in results}),
        "here": os.getpid(),
        "daemonic": multiprocessing.current_process().daemon,
        "report": str(results.report),
    }
