"""Sphinx directives that make "How it decides" from the code that decides.

`{rules}` is the table of rules, in order. `{thresholds} MODULE ...` lists the
numbers of these modules of `smartpool._decide`, each with the text below it in the
source, which says where the number came from.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib import import_module
from inspect import getsource
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number that decides something, and what its source says of it."""

    name: str
    value: object
    text: str


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def thresholds(module: ModuleType) -> Iterator[Threshold]:
    """Yield the constants of `module` that have a text below them, in order."""
    body = ast.parse(getsource(module)).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not _is_text(below):
            continue
        assert isinstance(node.target, ast.Name)
        assert isinstance(below, ast.Expr)
        assert isinstance(below.value, ast.Constant)
        text = " ".join(str(below.value.value).split())
        name = node.target.id
        yield Threshold(name, getattr(module, name), text)


def _row(cells: Iterable[nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        row += nodes.entry("", cell)
    return row


def _table(
    head: list[str], widths: list[int], rows: Iterable[list[nodes.Node]]
) -> nodes.table:
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row(nodes.paragraph(text=text) for text in head))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group)


class _Generated(SphinxDirective):
    """What both directives share: text with `code` in it becomes a paragraph."""

    def text(self, text: str) -> nodes.Node:
        """Return a paragraph; what stands between backquotes is code."""
        paragraph = nodes.paragraph()
        for index, part in enumerate(text.split("`")):
            paragraph += nodes.literal(text=part) if index % 2 else nodes.Text(part)
        return paragraph

    def depends_on(self, module: ModuleType) -> None:
        """Have the page made again when `module` changes."""
        if module.__file__ is not None:
            self.env.note_dependency(module.__file__)


class RulesDirective(_Generated):
    """The table of rules, first to last."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        module = import_module("smartpool._decide.rules")
        self.depends_on(module)
        rows = [
            [
                nodes.paragraph(text=str(number)),
                nodes.paragraph("", "", nodes.literal(text=rule.name)),
                self.text(rule.when),
                self.text(rule.plan),
            ]
            for number, rule in enumerate(module.RULES, 1)
        ]
        return [_table(["", "rule", "when", "plan"], [4, 16, 40, 40], rows)]


class ThresholdsDirective(_Generated):
    """The numbers that decide, each with what its source says of it."""

    required_arguments = 1
    optional_arguments = 20

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows: list[list[nodes.Node]] = []
        for name in self.arguments:
            module = import_module(f"smartpool._decide.{name}")
            self.depends_on(module)
            rows += [
                [
                    nodes.paragraph("", "", nodes.literal(text=one.name)),
                    nodes.paragraph("", "", nodes.literal(text=f"{one.value!r}")),
                    self.text(one.text),
                ]
                for one in thresholds(module)
            ]
        return [
            _table(["number", "value", "what for, and where from"], [20, 10, 70], rows)
        ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("rules", RulesDirective)
    app.add_directive("thresholds", ThresholdsDirective)
    return {"version": "1", "parallel_read_safe": True}
