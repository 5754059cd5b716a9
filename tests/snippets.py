"""Reading the code in Markdown pages, and what the pages say that it prints.

A page's ``python`` blocks are one program, in their order. An ``output`` block says
what the ``python`` block above it prints; in it ``...`` stands for anything. With
``<!-- report -->`` above an ``output`` block it is a report: its first line has to be
as shown but for numbers and times; the others are this machine's at this moment, and
are at most 7. A block below ``<!-- not run -->`` is not run.

An example is a file that a page includes. Below it stands what it prints: a ``text``
block below ``<!-- with the GIL -->``, another below ``<!-- without the GIL -->``. Its
lines have to be as shown but for numbers and times; at their end comes a report.
"""

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- (?P<note>[\w ]+) -->\n+)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
EXAMPLE = re.compile(
    r"^```\{literalinclude\} examples/(?P<name>\w+\.py)$"
    r"|^<!-- (?P<build>with(?:out)? the GIL) -->\n+```text\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
REPORT = re.compile(r"^(?=\d+ items? on )", re.MULTILINE)
REPORT_LINES = 8
SEPARATOR = "-- next block --"
TIME = re.compile(
    r"\d[\d.,_]*((a|b|rc)\d+)?(e[-+]?\d+)?( ?(ns|us|µs|ms|s|min|MB|kB|B|%)\b)?"
)


@dataclass(slots=True)
class Snippet:
    """One block of code, and what it prints if the page says so."""

    line: int
    code: str
    output: str | None = None
    is_report: bool = False


def snippets(text: str) -> list[Snippet]:
    """Return the ``python`` blocks of a page that are to be run, in order."""
    found: list[Snippet] = []
    last: Snippet | None = None
    for block in BLOCK.finditer(text):
        language, note = block["language"], block["note"]
        if language == "python":
            line = text.count("\n", 0, block.start("text")) + 1
            last = Snippet(line, block["text"])
            if note != "not run":
                found.append(last)
        elif language == "output":
            assert last is not None, "an output block with no code above it"
            last.output, last.is_report = block["text"], note == "report"
            last = None
    return found


def examples(text: str) -> dict[str, dict[str, str]]:
    """Return what each example of a page prints: by its file's name, and by build."""
    found: dict[str, dict[str, str]] = {}
    name = ""
    for block in EXAMPLE.finditer(text):
        if block["name"]:
            name = block["name"]
            found[name] = {}
        else:
            found[name][block["build"]] = block["text"]
    return found


def program(parts: list[Snippet], page: Path) -> str:
    """Return one program that runs `parts` and prints a separator after each."""
    pieces: list[str] = []
    for part in parts:
        pieces += [
            f"# {page.name}, line {part.line}",
            part.code,
            f"print({SEPARATOR!r}, flush=True)",
        ]
    return "\n".join(pieces) + "\n"


def _shape(text: str) -> str:
    return re.sub(r"\s+", " ", TIME.sub("#", text)).strip()


def example_agrees(expected: str, printed: str) -> bool:
    """Say whether an example printed what its page shows: some lines, and a report."""
    head, report = REPORT.split(expected, maxsplit=1)
    said, *reported = REPORT.split(printed, maxsplit=1)
    return (
        len(reported) == 1
        and _shape(head) == _shape(said)
        and agrees(report, reported[0], is_report=True)
    )


def agrees(expected: str, printed: str, *, is_report: bool = False) -> bool:
    """Say whether `printed` is what the page shows."""
    if is_report:
        lines = printed.strip().splitlines()
        if not 0 < len(lines) <= REPORT_LINES:
            return False
        expected, printed = _shape(expected.splitlines()[0]), _shape(lines[0])
    pattern = ".*".join(map(re.escape, expected.strip().split("...")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
