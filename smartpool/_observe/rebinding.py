"""Which names a function rebinds outside of itself, as its bytecode tells.

In a worker process such a change would be lost without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import CodeType
from typing import NamedTuple

from .functions import AnyCallable, functions_behind


class _Opcodes(NamedTuple):
    on_globals: frozenset[int]
    on_cells: frozenset[int]
    extended_arg: int


def rebinds(fn: AnyCallable) -> str | None:
    """Return the first global or nonlocal name that `fn` stores or deletes.

    Functions defined inside of it count, and those that it wraps; functions that it
    only calls do not.
    """
    for function in functions_behind(fn):
        code = function.__code__
        name = _rebound(code, frozenset(code.co_freevars))
        if name is not None:
            return name
    return None


def _rebound(code: CodeType, outside: frozenset[str]) -> str | None:
    """Look for a store to a global, or to one of the nonlocals in `outside`."""
    outside = outside.intersection(code.co_freevars)
    for opcode, argument in _stores(code):
        if opcode in _opcodes().on_globals:
            return code.co_names[argument]
        cell = _cell_names(code)[argument]
        if cell in outside:
            return cell
    for constant in code.co_consts:
        name = _rebound(constant, outside) if isinstance(constant, CodeType) else None
        if name is not None:
            return name
    return None


def _stores(code: CodeType) -> Iterator[tuple[int, int]]:
    """Yield the instructions that store to globals or cells, with their argument.

    An instruction is two bytes, opcode and argument. An argument above 255 is in
    parts: `EXTENDED_ARG` has the higher ones. Inline caches read as opcode 0.
    """
    wanted = _opcodes().on_globals
    if code.co_freevars:
        wanted |= _opcodes().on_cells
    instructions = code.co_code
    if wanted.isdisjoint(instructions[::2]):
        return
    argument = 0
    for opcode, part in zip(instructions[::2], instructions[1::2], strict=True):
        argument = argument << 8 | part
        if opcode == _opcodes().extended_arg:
            continue
        if opcode in wanted:
            yield opcode, argument
        argument = 0


def _cell_names(code: CodeType) -> tuple[str, ...]:
    """Return the names that arguments of instructions on cells are indices of."""
    cells = tuple(name for name in code.co_cellvars if name not in code.co_varnames)
    return code.co_varnames + cells + code.co_freevars


@cache
def _opcodes() -> _Opcodes:
    from opcode import opmap  # 1 ms, and only needed where processes are thought of

    return _Opcodes(
        frozenset({opmap["STORE_GLOBAL"], opmap["DELETE_GLOBAL"]}),
        frozenset({opmap["STORE_DEREF"], opmap["DELETE_DEREF"]}),
        opmap["EXTENDED_ARG"],
    )
