"""Count to 50 000 000 in two halves.

In two threads of an interpreter with a GIL that takes as long as one after the
other; in two processes, or in two threads without a GIL, about half as long.
Nothing here says which: smartpool finds out. It begins the first half here, to measure
it, and sends the other to where it need not wait for the GIL.
"""

import time

from smartpool import machine, run_parallel

GOAL = 50_000_000
HALVES = [GOAL // 2, GOAL // 2]


def count(limit: int) -> int:
    n = 0
    while n < limit:
        n += 1
    return n


begin = time.perf_counter()
plain = [count(half) for half in HALVES]
plain_s = time.perf_counter() - begin

begin = time.perf_counter()
counted = run_parallel(count, HALVES)
smart_s = time.perf_counter() - begin

assert counted == plain
assert sum(counted) == GOAL

host = machine()
print(f"Python {host.python}, GIL {'on' if host.gil else 'off'}, {host.cpus} CPUs")
print(f"one half after the other: {plain_s:.2f} s")
print(f"run_parallel: {smart_s:.2f} s, a gain of {plain_s / smart_s:.1f} times")
print(counted.report)
