"""What the demo says, as lines of text."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from smartpool import Machine, Report

from .corpus import Source
from .measure import Measured

WIDTH: Final = 88
LABEL: Final = 11

MANY_TIMES: Final = 20
"""Gains from here on are shown without a decimal."""

SHORT_S: Final = 0.1
"""Durations below this are shown in milliseconds."""

QUIET: Final = 0.5
"""A load that is higher is worth a line."""

HEAD: Final = ("work", "items", "decided", "plain loop", "smartpool", "gain")


def opening(version: str, host: Machine, sources: Sequence[Source]) -> Iterator[str]:
    """Yield what is run, where, and on which input."""
    megabytes = sum(source.size for source in sources) / 1e6
    yield f"smartpool {version} on Python {host.python}"
    yield from _labelled("GIL", f"{'on' if host.gil else 'off'}: {host.gil_why}")
    yield from _labelled("CPUs", f"{host.cpus}: {host.cpus_why}")
    yield from _labelled(
        "input",
        f"{len(sources)} source files of this Python's standard library,"
        f" {megabytes:.1f} MB",
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > QUIET:
        text = f"{load:.1f} before the demo began: other programs make gains smaller"
        yield from _labelled("load", text)
    yield ""


def announced(number: int, measured: Measured) -> Iterator[str]:
    """Yield what was decided for a workload, why, and what came of it."""
    workload, report = measured.workload, measured.report
    yield f"{number}. {workload.title} ({workload.nature})"
    yield from _labelled("decided", decided(report))
    for reason in report.reasons:
        yield from _labelled("why", reason.text)
    yield from _labelled(
        "time",
        f"{seconds(measured.smartpool_s)} for {len(workload.items)} items; the plain"
        f" loop over all of them {seconds(measured.plain_s)}{_how(measured)}",
    )
    yield from _labelled("gain", f"{gain(measured.gain)} times")
    if not measured.equal:
        yield from _labelled("WRONG", "the results are not those of the plain loop")
    yield ""


def summary(all_measured: Sequence[Measured]) -> Iterator[str]:
    """Yield the table of all workloads."""
    rows = [HEAD, *(_row(measured) for measured in all_measured)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_aligned(row, widths) for row in rows]
    rule = "-" * max(map(len, lines))
    yield lines[0]
    yield rule
    yield from lines[1:]
    yield rule


def closing(all_measured: Sequence[Measured], took_s: float) -> Iterator[str]:
    """Yield what it comes to."""
    chosen = {measured.report.backend for measured in all_measured}
    yield from textwrap.wrap(
        f"One call each, run_parallel(function, items), without a word on what the"
        f" function does: {len(chosen)} different places were chosen"
        f" ({', '.join(sorted(chosen))}).",
        WIDTH,
    )
    wrong = [each.workload.name for each in all_measured if not each.equal]
    if wrong:
        yield f"WRONG results: {', '.join(wrong)}."
    else:
        yield "All results are those of the plain loop, in its order."
    yield f"The demo took {took_s:.0f} s."


def decided(report: Report) -> str:
    """Return ``"threads, 2 at once"``."""
    if report.backend == "serial":
        return "serial"
    if report.backend == "processes":
        return f"processes, {report.workers}"
    return f"{report.backend}, {report.concurrency} at once"


def gain(value: float) -> str:
    """Return a gain with as many digits as it is worth."""
    return f"{value:.0f}" if value >= MANY_TIMES else f"{value:.1f}"


def seconds(value: float) -> str:
    """Return a duration in seconds or milliseconds."""
    return f"{value:.2f} s" if value >= SHORT_S else f"{value * 1e3:.1f} ms"


def _how(measured: Measured) -> str:
    repeat = measured.workload.repeat
    return "" if repeat == 1 else f" (medians of {repeat})"


def _row(measured: Measured) -> tuple[str, ...]:
    workload, report = measured.workload, measured.report
    return (
        workload.name,
        str(len(workload.items)),
        decided(report),
        seconds(measured.plain_s),
        seconds(measured.smartpool_s),
        gain(measured.gain),
    )


def _aligned(row: Iterable[str], widths: Sequence[int]) -> str:
    """Return words to the left, numbers to the right."""
    name, items, decision, *numbers = (
        cell.rjust(width) if column in {1, 3, 4, 5} else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((name, items, decision, *numbers)).rstrip()


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"   {label}".ljust(LABEL) + " ",
        subsequent_indent=" " * (LABEL + 1),
        break_long_words=False,
    )
