"""Unit: which names a function rebinds, from its bytecode."""

import contextlib
import dis
import functools
import importlib.util
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from smartpool._observe.rebinding import rebinds
from tests.callables import (
    AnyCallable,
    Called,
    Endless,
    coro,
    counting,
    plain,
    with_wraps,
    without_wraps,
)
from tests.heavy import and_heavy

counter = 0
other = 0


def stores_global() -> None:
    global counter
    counter += 1


def yields_global() -> Iterator[None]:
    global counter
    counter += 1
    yield


def deletes_global() -> None:
    global other
    del other


def stores_in_nested() -> AnyCallable:
    def nested() -> None:
        global counter
        counter = 1

    return nested


def stores_in_class() -> type:
    class Nested:
        global counter
        counter = 2

    return Nested


def closure(*, delete: bool = False) -> AnyCallable:
    total = 0

    def adds() -> None:
        nonlocal total
        total += 1

    def deletes() -> None:
        nonlocal total
        del total

    return deletes if delete else adds


def closure_within() -> AnyCallable:
    total = 0

    def outer() -> AnyCallable:
        def inner() -> None:
            nonlocal total
            total += 1

        return inner

    return outer


def own_cell() -> Any:
    """Rebind a variable of its own: nobody outside can see it."""
    total = 0

    def adds() -> None:
        nonlocal total
        total += 1

    adds()
    return total


def shadowing() -> AnyCallable:
    """Hold `total` outside; `inner` rebinds another one of that name."""
    total = 0

    def outer() -> int:
        def middle(total: int) -> int:
            def inner() -> None:
                nonlocal total
                total += 1

            inner()
            return total

        return middle(total)

    return outer


def reads_only() -> AnyCallable:
    values = [1]

    def reads() -> int:
        values.append(counter)
        return sum(value for value in values)

    return reads


def super_user() -> AnyCallable:
    class Child(Called):
        def __call__(self) -> None:
            super().__call__()

    return Child()


class Counting:
    def work(self) -> None:
        global counter
        counter += 1

    def __call__(self) -> None:
        stores_global.__code__.replace()
        self.work()


class CountingCall:
    def __call__(self) -> None:
        global counter
        counter += 1


REBINDING: list[tuple[str, AnyCallable, str | None]] = [
    ("global", stores_global, "counter"),
    ("del global", deletes_global, "other"),
    ("nested function", stores_in_nested, "counter"),
    ("nested class", stores_in_class, "counter"),
    ("nonlocal", closure(), "total"),
    ("del nonlocal", closure(delete=True), "total"),
    ("nonlocal, nested", closure_within(), "total"),
    ("partial", functools.partial(stores_global), "counter"),
    ("method", Counting().work, "counter"),
    ("partialmethod", functools.partial(Counting().work), "counter"),
    ("callable object", CountingCall(), "counter"),
    ("wraps", with_wraps(stores_global), "counter"),
    ("wraps twice", with_wraps(with_wraps(stores_global)), "counter"),
    ("cached", functools.lru_cache(stores_global), "counter"),
    ("in a cell", without_wraps(stores_global), "counter"),
    ("in a cell, bound", without_wraps(Counting().work), "counter"),
    ("in a cell of a cell", without_wraps(without_wraps(stores_global)), "counter"),
    ("partial in a cell", without_wraps(functools.partial(stores_global)), "counter"),
    ("wrapper that counts", counting(plain), "calls"),
    ("context manager", contextlib.contextmanager(yields_global), "counter"),
    ("async", coro, None),
    ("plain", plain, None),
    ("own cell", own_cell, None),
    ("shadowing", shadowing(), None),
    ("reads", reads_only(), None),
    ("super", super_user(), None),
    ("only called", Counting(), None),
    ("builtin", len, None),
    ("bound builtin", [].append, None),
    ("class", int, None),
    ("endless", Endless(), None),
    ("mock", mock.MagicMock(), None),
]


@pytest.mark.parametrize(
    ("fn", "name"),
    [case[1:] for case in REBINDING],
    ids=[case[0] for case in REBINDING],
)
def test_rebinds(fn: AnyCallable, name: str | None) -> None:
    """A store to a global or nonlocal is found wherever a call would run it."""
    assert rebinds(fn) == name


def test_rebinds_with_an_empty_cell() -> None:
    """A variable that is not bound yet is no function."""

    def outer() -> AnyCallable:
        def inner() -> Any:
            return later

        if counter < 0:
            later = 1
        return inner

    assert rebinds(outer()) is None


def test_rebinds_itself_in_a_cell() -> None:
    """A recursive closure ends."""

    def outer() -> AnyCallable:
        def inner(depth: int) -> Any:
            return inner(depth - 1) if depth else None

        return inner

    assert rebinds(outer()) is None


@pytest.mark.parametrize("names", [10, 300, 70_000])
def test_rebinds_with_many_names(names: int) -> None:
    """Arguments that need more than one byte, or two, are put together."""
    reads = "\n".join(f"    v{n}" for n in range(names))
    space: dict[str, Any] = {}
    exec(f"def fn():\n    global last\n{reads}\n    last = 1", space)
    assert rebinds(space["fn"]) == "last"


@pytest.mark.parametrize(
    "names",
    and_heavy(
        [*range(4), *range(126, 130), *range(254, 258)],
        [124, 125, 130, 131, *range(246, 254), *range(258, 262), *range(502, 518)],
    ),
)
def test_rebinds_with_many_cells(names: int) -> None:
    """The index of a cell counts arguments, locals and cells before it.

    About the numbers from which on the index, or that of a local, takes more bytes.
    """
    body = "".join(f"        a{n} = {n}\n" for n in range(names))
    used = ", ".join(f"a{n}" for n in range(0, names, 2)) or "0"
    source = (
        "def make():\n    total = 0\n    def fn(x, *, y=1):\n"
        f"        nonlocal total\n{body}        def held(): return x, ({used},)\n"
        "        total = [x for x in held()]\n    return fn"
    )
    space: dict[str, Any] = {}
    exec(source, space)
    assert rebinds(space["make"]()) == "total"


def codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_of(constant)


def by_dis(code: types.CodeType, outside: set[str]) -> set[str]:
    """Return the names stored outside, as `dis` has them."""
    outside = outside & set(code.co_freevars)
    found: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"} or (
            instruction.opname in {"STORE_DEREF", "DELETE_DEREF"}
            and instruction.argval in outside
        ):
            found.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= by_dis(constant, outside)
    return found


@pytest.mark.parametrize(
    "module",
    [
        *("ctypes", "contextlib", "functools", "inspect", "locale", "logging"),
        *("mimetypes", "random", "threading", "types", "typing", "unittest.mock"),
    ],
)
def test_dis_agrees(module: str) -> None:
    """On the standard library's functions, `dis` finds the same."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    for code in codes_of(compile(source, module, "exec")):
        cells = tuple(types.CellType() for _ in code.co_freevars)
        fn = types.FunctionType(code, {}, closure=cells)
        found, expected = rebinds(fn), by_dis(code, set(code.co_freevars))
        assert found in expected if expected else found is None
