"""The layers of the package as a table, and a reader of imports that holds them.

Imports at every depth count: at the top of a module, inside functions, by name
through `import_module`. Those that only type checkers see do not.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDS = {"_decide.facts", "_decide.plan"}
ERRORS = {"_errors", "_crash"}
LEAVES = {*ERRORS, "_aside", "_lock", "_outcome", "_fork"}
BELOW_RUN = {*LEAVES, "_decide", "_observe", "_worker", "_backends"}
HALVES = {*BELOW_RUN, "_run", "_report", "_hints"}
CALLERS = {"_drive", "_makers", "_executor", "_pool", "_api", "_smartpool"}
ALL = {*HALVES, *CALLERS, "__init__", "aio", "testing"}

MAY_IMPORT: dict[str, set[str]] = {
    "_aside": set(),
    "_errors": set(),
    "_outcome": set(),
    "_fork": {"_lock"},
    "_lock": set(),
    "_hints": {*RECORDS, "_observe.functions"},
    "_crash": {"_errors"},
    "_decide": {"_decide"},
    "_observe": {
        *LEAVES,
        *RECORDS,
        "_observe",
        "_worker.nesting",
        "_worker.pickling",
    },
    "_worker": {*LEAVES, *RECORDS, "_worker", "_observe.meter"},
    "_backends": {*LEAVES, *RECORDS, "_backends", "_worker", "_observe"},
    "_run": {*BELOW_RUN, "_run"},
    "_report": {*ERRORS, *RECORDS, "_report"},
    "_drive": {*HALVES, "_drive"},
    "_makers": {*BELOW_RUN, "_run"},
    "_executor": {*HALVES, "_drive", "_makers", "_executor"},
    "_pool": {*HALVES, "_drive", "_makers", "_executor", "_pool"},
    "_api": {*HALVES, "_drive", "_pool", "_api"},
    "_smartpool": {*HALVES, "_drive", "_makers", "_executor", "_pool", "_api"},
    "_demo": {*ALL, "_demo"},
    "__init__": ALL,
    "aio": ALL,
    "testing": ALL,
    "__main__": {*ALL, "_demo"},
}
"""Layer (a module or a package of ours) to what it may import; packages count with
all that is in them, dotted names alone."""

SHARED = {"alarm", "base", "crowd", "libraries"}
"""Modules of `_backends` that are no backend's own."""

EFFECTS = {
    "asyncio",
    "concurrent",
    "ctypes",
    "io",
    "logging",
    "mmap",
    "multiprocessing",
    "os",
    "pathlib",
    "queue",
    "random",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "_thread",
}
"""Modules that `_decide` must not import: with them it could see or do something."""

DEPENDENCIES: dict[str, set[str]] = {
    "anyio": {"aio"},
    "cloudpickle": {"_worker", "_backends"},
    "typing_extensions": {*MAY_IMPORT} - {"_worker"},
}
"""Third-party package to the layers that may import it."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: which module of ours or of others is loaded, and on which line."""

    line: int
    module: str
    ours: bool


def modules(package: Path) -> dict[str, Path]:
    """Return the package's modules: dotted name inside it, and file."""
    found: dict[str, Path] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def _is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Walk `node`, leaving out what stands under `if TYPE_CHECKING:`."""
    yield node
    if _is_type_checking(node):
        assert isinstance(node, ast.If)
        children: list[ast.AST] = [*node.orelse]
    else:
        children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield from _walk(child)


def _absolute(name: str, level: int, here: str, *, is_package: bool) -> str:
    """Return the full dotted name, `smartpool` first, of a possibly relative one."""
    if level == 0:
        return name
    base = ["smartpool", *(here.split(".") if here != "__init__" else [])]
    up = level - (1 if is_package else 0)
    base = base[: len(base) - up] if up else base
    return ".".join([*base, *([name] if name else [])])


def _names(
    node: ast.AST, here: str, known: set[str], *, is_package: bool
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = _absolute(node.module or "", node.level, here, is_package=is_package)
        inside = source.partition(".")[2]
        for alias in node.names:
            member = f"{inside}.{alias.name}".lstrip(".")
            ours = source.partition(".")[0] == "smartpool"
            yield f"smartpool.{member}" if ours and member in known else source
    elif isinstance(node, ast.Call) and node.args:
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        first = node.args[0]
        if (
            called in ("import_module", "__import__")
            and isinstance(first, ast.Constant)
            and isinstance(first.value, str)
        ):
            name = first.value.lstrip(".")
            level = len(first.value) - len(name)
            yield _absolute(name, level, here, is_package=is_package)


def imports_of(name: str, path: Path, known: set[str]) -> list[Import]:
    """Return what the module `name` at `path` imports; `known` are our modules."""
    is_package = path.name == "__init__.py"
    found: list[Import] = []
    for node in _walk(ast.parse(path.read_text("utf-8"), str(path))):
        for target in _names(node, name, known, is_package=is_package):
            top, _, inside = target.partition(".")
            ours = top == "smartpool"
            module = (inside or "__init__") if ours else top
            found.append(Import(getattr(node, "lineno", 0), module, ours))
    return found


def _backend_of(module: str) -> str | None:
    """Return whose module of `_backends` it is; `None` for what they share."""
    parts = module.split(".")
    if parts[0] != "_backends" or len(parts) == 1 or parts[1] in SHARED:
        return None
    return parts[1].lstrip("_")


def _complaint(name: str, layer: str, found: Import) -> str | None:
    """Return why `name`, of `layer`, must not import `found`; `None` if it may."""
    if not found.ours:
        if layer == "_decide" and found.module in EFFECTS:
            return f"{found.module}: what decides has no effects"
        allowed = DEPENDENCIES.get(found.module)
        if allowed is not None and layer not in allowed:
            return f"{found.module}: not in {layer}"
        return None
    target = found.module
    allowed = MAY_IMPORT.get(layer, set())
    if target.split(".")[0] not in allowed and target not in allowed:
        return f"{target}: {layer} may not import it"
    mine, theirs = _backend_of(name), _backend_of(target)
    if mine is not None and theirs is not None and mine != theirs:
        return f"{target}: backends never import one another"
    return None


def breaches(package: Path) -> list[str]:
    """Return each import in `package` that the tables do not allow."""
    found: list[str] = []
    known = modules(package)
    for name, path in known.items():
        layer = name.split(".")[0]
        if layer not in MAY_IMPORT:
            found.append(f"{path.relative_to(package)}: has no layer")
            continue
        for one in imports_of(name, path, set(known)):
            complaint = _complaint(name, layer, one)
            if complaint is not None:
                found.append(f"{path.relative_to(package)}:{one.line} {complaint}")
    return found
