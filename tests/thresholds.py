"""What the source says of the numbers that decide: where each of them came from."""

import ast
import re
from pathlib import Path

BENCHMARK = re.compile(r"benchmarks/\w+\.py")
CONFESSES = re.compile(r"\ba\s+(guess|choice)\b")
SOURCES = ("aiohttp", "asyncio", "CACM", "joblib", "trio")


def _is_final(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and "Final" in ast.unparse(node.annotation)


def _is_number(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.AnnAssign) else None
    return value is not None and all(
        isinstance(part, ast.operator | ast.unaryop | ast.BinOp | ast.UnaryOp)
        or (isinstance(part, ast.Constant) and isinstance(part.value, int | float))
        for part in ast.walk(value)
    )


def _text_below(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def unfounded(source: str, root: Path) -> list[str]:
    """Return the numbers of a module of which nobody says where they come from.

    Args:
        source: The module.
        root: The repository, where the benchmarks that it names should be.
    """
    found = []
    body = ast.parse(source).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not (_is_final(node) and _is_number(node)):
            continue
        assert isinstance(node, ast.AnnAssign)
        name, text = ast.unparse(node.target), _text_below(below)
        missing = [one for one in BENCHMARK.findall(text) if not (root / one).is_file()]
        founded = BENCHMARK.search(text) or CONFESSES.search(text)
        if not founded and not any(one in text for one in SOURCES):
            found.append(f"{name}: from nowhere")
        found += [f"{name}: there is no {one}" for one in missing]
    return found
