"""Unit: facts of a callable, without calling it."""

import asyncio
import functools
import inspect
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartpool._observe.functions import (
    function_key,
    is_async,
    is_async_generator,
    is_generator,
    name_of,
)
from smartpool._observe.rebinding import rebinds
from tests.callables import (
    AnyCallable,
    Awaited,
    Called,
    Endless,
    Quiet,
    Service,
    async_generator,
    coro,
    counting,
    generator,
    plain,
    with_wraps,
    without_wraps,
)

ROOT = Path(__file__).parents[1]


ASYNC: dict[str, AnyCallable] = {
    "async def": coro,
    "partial": functools.partial(coro, 1),
    "partial of partial": functools.partial(functools.partial(coro), 1),
    "bound method": Service().fetch,
    "unbound method": Service.fetch,
    "partial of bound": functools.partial(Service().fetch, 1),
    "staticmethod": Service.outside,
    "classmethod": Service.inside,
    "partialmethod": Service().fetch_one,
    "mock": mock.AsyncMock(),
}
NOT_ASYNC: dict[str, AnyCallable] = {
    "def": plain,
    "lambda": lambda: None,
    "plain wrapper of async": with_wraps(coro),
    "builtin": len,
    "bound builtin": "".join,
    "class": Awaited,
    "type": int,
    "callable object": Called(),
    "quiet object": Quiet(),
    "generator": generator,
    "async generator": async_generator,
    "partialmethod": Service().work_one,
    "mock": mock.MagicMock(),
    "cached": functools.lru_cache(plain),
}


@pytest.mark.parametrize("fn", ASYNC.values(), ids=ASYNC)
def test_async(fn: AnyCallable) -> None:
    """What returns a coroutine is known."""
    assert is_async(fn)
    assert not is_generator(fn)
    assert not is_async_generator(fn)


@pytest.mark.parametrize("fn", NOT_ASYNC.values(), ids=NOT_ASYNC)
def test_not_async(fn: AnyCallable) -> None:
    """All else is not."""
    assert not is_async(fn)


@pytest.mark.parametrize(
    "fn",
    [*ASYNC.values(), *NOT_ASYNC.values()],
    ids=[*ASYNC, *(f"not {name}" for name in NOT_ASYNC)],
)
def test_inspect_agrees(fn: AnyCallable) -> None:
    """The standard library says the same, where it says anything."""
    if isinstance(fn, types.FunctionType | types.MethodType | functools.partial):
        assert is_async(fn) is inspect.iscoroutinefunction(fn) or (
            # 3.11 does not see through a partialmethod
            sys.version_info < (3, 13) and getattr(fn, "__name__", "") == "_method"
        )


def test_callable_objects() -> None:
    """An object with an `async def __call__` is called for a coroutine."""
    assert is_async(Awaited())
    assert is_async(functools.partial(Awaited()))
    assert not is_async(Called())


def test_asyncios_mark() -> None:
    """The mark that libraries borrowed from asyncio counts, as long as there is one."""
    mark = getattr(asyncio.coroutines, "_is_coroutine", None)
    if mark is None:
        pytest.skip("this asyncio has none")
    wrapper = with_wraps(coro)
    setattr(wrapper, "_is_coroutine", mark)  # noqa: B010 - functions declare none
    assert is_async(wrapper)
    assert is_async(functools.partial(wrapper, 1))
    setattr(wrapper, "_is_coroutine", True)  # noqa: B010
    assert not is_async(wrapper)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since 3.12")
def test_inspects_mark() -> None:
    """`inspect.markcoroutinefunction` is believed, on functions and objects."""
    mark: Callable[[Any], Any] = getattr(inspect, "markcoroutinefunction")  # noqa: B009
    assert is_async(mark(with_wraps(coro)))
    assert is_async(mark(Called()))
    assert not is_async(Called())


@pytest.mark.parametrize(
    "wrap",
    [lambda fn: fn, functools.partial, lambda fn: types.MethodType(fn, 1)],
    ids=["itself", "partial", "method"],
)
def test_generators(wrap: Callable[[AnyCallable], AnyCallable]) -> None:
    """Generator functions of both kinds are told from all else."""
    assert is_generator(wrap(generator))
    assert is_async_generator(wrap(async_generator))
    for fn in (plain, coro):
        assert not is_generator(wrap(fn))
        assert not is_async_generator(wrap(fn))
    assert not is_generator(wrap(async_generator))
    assert not is_async_generator(wrap(generator))


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.none())))
def test_garbage_is_nothing(garbage: Any) -> None:
    """What is no callable at all raises nothing and has no facts."""
    assert not is_async(garbage)
    assert not is_generator(garbage)
    assert rebinds(garbage) is None
    assert name_of(garbage) == type(garbage).__qualname__


def test_the_key_of_a_function() -> None:
    """Module, name and code make the key; bound arguments and objects do not."""
    key = function_key(plain)
    assert key[:2] == (plain.__module__, "plain")
    assert function_key(functools.partial(plain, 1)) == key
    assert function_key(Service().work) == function_key(Service.work)
    assert function_key(Service().work_one)[1] == "Service.work"
    assert function_key(Awaited()) == function_key(Awaited())
    assert hash(key) == hash(function_key(plain))


def test_the_key_of_code() -> None:
    """A reloaded function has the same key if its code is the same, else another."""

    def loaded(source: str) -> AnyCallable:
        space: dict[str, Any] = {"__name__": "reloaded"}
        exec(source, space)
        fn: AnyCallable = space["fn"]
        return fn

    first = loaded("def fn(x): return x + 1")
    for _ in range(5000):
        first(1)  # warm code is specialised, and still the same
    assert function_key(first) == function_key(loaded("def fn(x): return x + 1"))
    assert function_key(first) != function_key(loaded("def fn(x): return x - 1"))
    assert function_key(first) != function_key(loaded("def fn(x): return x + 2"))


def test_wrappers_have_keys_of_their_own() -> None:
    """What is decorated differs from what is not, and from all else so decorated."""
    keys = [
        function_key(fn)
        for fn in (
            *(plain, with_wraps(plain), without_wraps(plain), counting(plain)),
            *(coro, with_wraps(coro), without_wraps(coro)),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert function_key(with_wraps(plain))[:2] == keys[0][:2]
    assert function_key(without_wraps(plain)) == keys[2]


def test_keys_without_code() -> None:
    """Builtins and classes are told apart by name."""
    assert function_key(len) == ("builtins", "len", None)
    assert function_key(int) == ("builtins", "int", None)
    assert function_key("".join)[1:] == ("str.join", None)
    assert function_key(Quiet())[1:] == ("Quiet", None)


def test_the_key_of_what_wraps_without_end() -> None:
    """A chain of `__wrapped__` that never ends is followed so far and no further."""
    assert function_key(Endless())[1] == "Endless"


def test_names() -> None:
    """Names are short, and what a reader of the source would say."""
    names: dict[AnyCallable, str] = {
        plain: "plain",
        functools.partial(plain, 1): "plain",
        Service().work: "Service.work",
        Service().work_one: "Service.work",
        without_wraps(plain): "wrapper",
        with_wraps(plain): "plain",
        len: "len",
        "".join: "str.join",
        Service: "Service",
        Quiet(): "Quiet",
        (lambda: None): "<lambda>",
    }
    assert {fn: name_of(fn) for fn in names} == names


def test_facts_cost_no_heavy_import() -> None:
    """Looking at functions loads neither inspect nor asyncio of its own accord."""
    code = (
        "import smartpool._decide.plan, functools, sys; before = set(sys.modules); "
        "from smartpool._observe import functions, rebinding, machine, learned; "
        "functions.is_async(len); functions.function_key(print); machine.machine(); "
        "print(sorted(set(sys.modules) - before))"
    )
    child = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    loaded = {
        name
        for name in child.stdout.strip("[]\n").replace("'", "").split(", ")
        if not name.startswith("smartpool")
    }
    heavy = {"asyncio", "inspect", "dis", "opcode", "subprocess", "pathlib", "socket"}
    assert not loaded & (heavy | {"multiprocessing", "threading", "concurrent"})
