"""Reading the code in Markdown pages, and what the pages say that it prints.

A page's ``python`` blocks are one program, in their order. An ``output`` block says
what the ``python`` block above it prints; in it ``...`` stands for anything. With
``<!-- report -->`` above an ``output`` block it is a report: its first line has to be
as shown but for numbers and times; the others are this machine's at this moment, and
are at most 7. A block below ``<!-- not run -->`` is not run.
"""

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- (?P<note>[\w ]+) -->\n+)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
REPORT_LINES = 8
SEPARATOR = "-- next block --"
TIME = re.compile(r"\d[\d.,_]*(e[-+]?\d+)?( ?(ns|us|µs|ms|s|min|MB|kB|B|%)\b)?")


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


def agrees(expected: str, printed: str, *, is_report: bool = False) -> bool:
    """Say whether `printed` is what the page shows."""
    if is_report:
        lines = printed.strip().splitlines()
        if not 0 < len(lines) <= REPORT_LINES:
            return False
        expected, printed = _shape(expected.splitlines()[0]), _shape(lines[0])
    pattern = ".*".join(map(re.escape, expected.strip().split("...")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
