"""End to end: the code in the README, the pages and the docstrings does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import smartpool
from tests.snippets import (
    SEPARATOR,
    Snippet,
    agrees,
    example_agrees,
    examples,
    program,
    snippets,
)

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in PAGES if snippets(page.read_text("utf-8"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
SHOWN = examples((ROOT / "docs" / "examples.md").read_text("utf-8"))
RIGHT = {"with the GIL": "processes", "without the GIL": "threads"}
"""What is right for the examples that compute in Python."""

ON_EACH = {"s14_async_fetches.py": "event_loop", "s15_kernels.py": "threads"}
"""The same for those for which the GIL makes no difference."""

WITH_DOCTESTS = [
    path
    for path in sorted((ROOT / "smartpool").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
TIMEOUT_S = 60.0
TRIES = 3
"""A machine that is busy with other programs may mislead one run, but hardly three."""

DOCTEST = """
import doctest, importlib, sys
module = importlib.import_module(sys.argv[1])
result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
sys.exit(result.failed or not result.attempted)
"""


def name_of(path: Path) -> str:
    """Return a readable id."""
    return str(path.relative_to(ROOT))


def run_file(path: Path) -> subprocess.CompletedProcess[str]:
    """Run `path` as a user would, with this tree's smartpool."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def is_typical() -> bool:
    """Say whether reports are as on the pages: made with the GIL, on 2 CPUs or more."""
    machine = smartpool.machine()
    return machine.gil and machine.cpus > 1


@pytest.mark.measures
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    """A page's code runs as one script, without a main guard, and prints as shown."""
    parts = snippets(page.read_text("utf-8"))
    script = tmp_path / "page.py"
    script.write_text(program(parts, page), "utf-8")

    out = run_file(script)

    assert out.returncode == 0, out.stderr
    printed = out.stdout.split(SEPARATOR + "\n")
    for part, said in zip(parts, printed, strict=False):
        if part.output is None or (part.is_report and not is_typical()):
            continue
        assert agrees(part.output, said, is_report=part.is_report), (
            f"{name_of(page)}, line {part.line}: printed\n{said}\nnot\n{part.output}"
        )


def right_for(example: str, build: str) -> str:
    """Return where the items of an example belong."""
    return ON_EACH.get(example, RIGHT[build])


@pytest.mark.measures
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_prints_what_its_page_shows(example: Path) -> None:
    """What was decided and gained: as on the page, and right for this build."""
    machine = smartpool.machine()
    build = "with the GIL" if machine.gil else "without the GIL"
    right = re.compile(
        rf"^\d+ items on {right_for(example.name, build)} ", re.MULTILINE
    )
    for _ in range(TRIES):
        out = run_file(example)
        assert out.returncode == 0, out.stderr
        if machine.cpus == 1 or right.search(out.stdout):
            break

    if machine.cpus > 1:
        assert right.search(out.stdout), out.stdout
        assert example_agrees(SHOWN[example.name][build], out.stdout), out.stdout


@pytest.mark.parametrize("path", WITH_DOCTESTS, ids=name_of)
def test_the_examples_in_docstrings_hold(path: Path) -> None:
    """What a docstring shows is what happens, in a program that did nothing else."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts).removesuffix(".__init__")
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", DOCTEST, module],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        check=False,
    )

    assert out.returncode == 0, out.stdout + out.stderr


def test_every_example_is_on_the_page() -> None:
    """None is left out, and each shows the decision and the gain, for both builds."""
    assert sorted(SHOWN) == [path.name for path in EXAMPLES]
    for name, by_build in SHOWN.items():
        assert by_build.keys() == RIGHT.keys(), name
        for build, text in by_build.items():
            assert f" items on {right_for(name, build)} " in text, name
            assert re.search(r"a gain of \d\.\d times", text), name


def test_the_readme_has_code_with_output() -> None:
    """The check above sees the README's example and its report."""
    (example,) = snippets((ROOT / "README.md").read_text("utf-8"))

    assert "print(results.report)" in example.code
    assert example.output is not None
    assert example.is_report


PAGE = """
```python
print(1)
```

```output
1
```

<!-- not run -->
```python
exit(1)
```

```python
print("took 5 ms")
```

<!-- report -->

```output
took 21.5 ms
```
"""


def test_blocks_are_read_as_stated() -> None:
    """Code, output and notes are found; what is not to be run is left out."""
    assert snippets(PAGE) == [
        Snippet(3, "print(1)\n", "1\n"),
        Snippet(16, 'print("took 5 ms")\n', "took 21.5 ms\n", is_report=True),
    ]


@pytest.mark.parametrize(
    ("expected", "printed", "report", "same"),
    [
        ("1\n", "1\n", False, True),
        ("1\n", "2\n", False, False),
        ("a ... c\n", "a b c\n", False, True),
        ("a ... c\n", "a b d\n", False, False),
        ("5 ms\n", "17.25 s\n", False, False),
        ("2 workers, 5 ms\n", "2 workers, 0.4 s\n", True, True),
        ("threads, 5 ms\n", "processes, 5 ms\n", True, False),
        ("400 items\n  why: a\n", "400 items\n  why: b\n", True, True),
        ("400 items\n", "", True, False),
        ("400 items\n", "400 items\n" * 9, True, False),
    ],
)
def test_a_planted_difference_is_seen(
    expected: str, printed: str, *, report: bool, same: bool
) -> None:
    """Output that is not as shown is noticed; varying numbers alone are not."""
    assert agrees(expected, printed, is_report=report) is same


EXAMPLE_PAGE = """
```{literalinclude} examples/a.py
:language: python
```

<!-- with the GIL -->
```text
GIL on, 2 CPUs
2 items on processes
  took 1 s
```

<!-- without the GIL -->

```text
GIL off, 2 CPUs
2 items on threads
```

```{literalinclude} examples/b.py
```
"""


def test_examples_are_read_as_stated() -> None:
    """Each file with what is shown below it; one with nothing below it is seen."""
    assert examples(EXAMPLE_PAGE) == {
        "a.py": {
            "with the GIL": "GIL on, 2 CPUs\n2 items on processes\n  took 1 s\n",
            "without the GIL": "GIL off, 2 CPUs\n2 items on threads\n",
        },
        "b.py": {},
    }


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("GIL on, 4 CPUs\n3 items on processes\n  took 9 ms\n", True),
        ("GIL on, 4 CPUs\n3 items on processes\n", True),
        ("GIL off, 4 CPUs\n3 items on processes\n", False),
        ("GIL on, 4 CPUs\n3 items on threads\n", False),
        ("GIL on, 4 CPUs\nmore\n3 items on processes\n", False),
        ("GIL on, 4 CPUs\n", False),
        ("3 items on processes\n", False),
        ("GIL on, 4 CPUs\n" + "3 items on processes\n" * 9, False),
    ],
)
def test_an_example_that_prints_something_else_is_seen(
    printed: str, *, same: bool
) -> None:
    """Another decision, other lines, no report: each is noticed."""
    shown = examples(EXAMPLE_PAGE)["a.py"]["with the GIL"]

    assert example_agrees(shown, printed) is same
