"""A Flask view that computes, on one server process with a few threads.

Run it with a threaded WSGI server, for example::

    gunicorn --workers 1 --threads 8 s16_flask:app

The first request is computed right here, and measured. It holds the GIL, so later ones
go to worker processes, as many at once as there are CPUs, and the other threads of the
server go on answering. The pages that wait stay on the threads of the server.
"""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask

from smartpool import call, learned

app = Flask(__name__)


def count_primes(below: int) -> tuple[int, int]:
    """Return how many primes there are, and the process that has counted them."""
    primes = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))
    return primes, os.getpid()


def wait_for_the_database(seconds: float) -> int:
    """Stand in for a query; return the process that has waited for it."""
    time.sleep(seconds)
    return os.getpid()


@app.get("/primes/<int:below>")
def primes(below: int) -> dict[str, Any]:
    """Compute, wherever that is best."""
    count, process = call(count_primes, below)
    return {"primes": count, "process": process, "server": os.getpid()}


@app.get("/wait")
def wait() -> dict[str, Any]:
    """Wait, which threads of the server are as good at as anyone."""
    return {"process": call(wait_for_the_database, 0.02), "server": os.getpid()}


@app.get("/why")
def why() -> dict[str, Any]:
    """Say what has been learnt."""
    known = learned(count_primes)
    return {"why": [reason.text for reason in known.reasons] if known else []}
