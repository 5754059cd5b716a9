"""Unit: the decorators only mark."""

import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from smartpool._hints import cpu_bound, io_bound, nogil
from smartpool._observe.functions import MARK, hint_of

DECORATORS: list[tuple[Callable[[Any], Any], str]] = [
    (cpu_bound, "cpu"),
    (io_bound, "io"),
    (nogil, "nogil"),
]
each = pytest.mark.parametrize(
    ("decorator", "hint"), DECORATORS, ids=[hint for _, hint in DECORATORS]
)


@cpu_bound
def marked(x: int) -> int:
    """Return the next number."""
    return x + 1


class Service:
    @io_bound
    def fetch(self, x: int) -> int:
        return x

    @io_bound
    @staticmethod
    def outside(x: int) -> int:
        return x

    @classmethod
    @nogil
    def inside(cls, x: int) -> int:
        return x

    @cpu_bound
    def __call__(self, x: int) -> int:
        return x


@each
def test_the_same_function_comes_back(
    decorator: Callable[[Any], Any], hint: str
) -> None:
    """A marked function is the very same object, with a mark."""

    def fn() -> None: ...

    assert decorator(fn) is fn
    assert hint_of(fn) == hint


def test_a_marked_function_stays_as_it_was() -> None:
    """It can be called and pickled by reference, and keeps its name."""
    assert marked(1) == 2
    assert pickle.loads(pickle.dumps(marked)) is marked
    assert marked.__name__ == "marked"
    assert marked.__doc__ == "Return the next number."


@pytest.mark.parametrize(
    ("fn", "hint"),
    [
        pytest.param(marked, "cpu", id="function"),
        pytest.param(functools.partial(marked, 1), "cpu", id="partial"),
        pytest.param(
            functools.partial(io_bound(functools.partial(marked, 1))),
            "io",
            id="marked-partial-in-partial",
        ),
        pytest.param(functools.lru_cache(marked), "cpu", id="lru_cache"),
        pytest.param(Service().fetch, "io", id="bound"),
        pytest.param(Service.fetch, "io", id="unbound"),
        pytest.param(Service.outside, "io", id="staticmethod"),
        pytest.param(Service.inside, "nogil", id="classmethod"),
        pytest.param(Service(), "cpu", id="callable-object"),
        pytest.param(functools.partial(Service().fetch, 1), "io", id="partial-bound"),
        pytest.param(len, None, id="builtin"),
        pytest.param(Service, None, id="class"),
        pytest.param(lambda: None, None, id="lambda"),
    ],
)
def test_the_mark_is_found(fn: Callable[..., Any], hint: str | None) -> None:
    """Partials, methods and callable objects show the mark of their function."""
    assert hint_of(fn) == hint


def test_the_outermost_mark_wins() -> None:
    """A partial that is marked itself does not ask its function."""
    assert hint_of(nogil(functools.partial(marked, 1))) == "nogil"


@pytest.mark.parametrize("garbage", ["gpu", 1, None, [], b"cpu"], ids=repr)
def test_garbage_is_no_hint(garbage: object) -> None:
    """An attribute of that name with anything else in it is ignored."""

    def fn() -> None: ...

    setattr(fn, MARK, garbage)
    assert hint_of(fn) is None


@each
@pytest.mark.parametrize("wrong", [3, None, "cpu", [len]], ids=repr)
def test_only_callables_can_be_marked(
    decorator: Callable[[Any], Any], hint: str, wrong: object
) -> None:
    """What cannot be called is refused, with the decorator's name and the value."""
    del hint
    with pytest.raises(TypeError) as raised:
        decorator(wrong)
    assert str(raised.value) == (
        f"{decorator.__name__} expects a function to mark, not {wrong!r}"
    )


@each
@pytest.mark.parametrize(
    "stubborn", [len, "".join, int], ids=["function", "method", "class"]
)
def test_what_takes_no_mark_is_refused(
    decorator: Callable[[Any], Any], hint: str, stubborn: object
) -> None:
    """Builtins cannot be marked: the error says what to do."""
    with pytest.raises(TypeError, match=f"pass hint='{hint}' at the call instead"):
        decorator(stubborn)
