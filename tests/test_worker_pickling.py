"""Unit: what travels by value, fingerprints of code, exceptions on their way."""

import functools
import pickle
import sys
from types import FunctionType
from typing import Any

import pytest

from smartpool._errors import SmartPoolError
from smartpool._worker.fingerprint import fingerprint, plain
from smartpool._worker.pickling import dumps, loads, missing_module
from smartpool._worker.raised import RemoteTraceback, dump_error, load_error
from tests import called, workloads


def function(source: str, **globals_: Any) -> Any:
    """Return the function `f` of `source`."""
    exec(source, globals_)
    return globals_["f"]


SAME = [
    "def f(x): return x + 1",
    "def f(x, y=(1, 'a', None), *, z={1: 2}): return x",
    "def f(x): return x in {'a', 'b', 'c', 'd', 'e'}",
    "def f(x):\n  def g(): return x\n  return g",
    "class f:\n  def m(self): return 1",
]


@pytest.mark.parametrize("source", SAME)
def test_the_same_code_has_the_same_fingerprint(source: str) -> None:
    """Whatever the file, the line, and what came before it."""
    moved = function("\n\n" + source)

    assert fingerprint(function(source)) == fingerprint(moved) != b""


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): return x + 2",
        "def f(x): return x - 1",
        "def f(x, y=1): return x + 1",
        "def f(y): return z + 1",
        "def f(x): return [x + 2 for x in 'abc']",
        "class f:\n  def m(self): return 1",
        "class f:\n  def m(self): return 2",
    ],
)
def test_other_code_has_another_fingerprint(source: str) -> None:
    """Constants, operators, defaults and names count."""
    others = {fingerprint(function(other)) for other in SAME if other != source}

    assert fingerprint(function(source)) not in others


def test_what_is_wrapped_counts() -> None:
    """Two functions under the same decorator differ."""
    one, two = (functools.wraps(fn)(lambda x: [x]) for fn in (called.same, called.fail))

    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(functools.lru_cache(called.same)) == fingerprint(called.same)


def test_what_has_no_code_has_no_fingerprint() -> None:
    """Functions and classes in C."""
    assert fingerprint(len) == b""
    assert fingerprint(int) == b""


def test_plain() -> None:
    """What is bound is taken off, in any nesting."""
    adder = called.Adder(1)

    assert plain(functools.partial(functools.partial(adder.add))) is called.Adder.add
    assert plain(adder) is adder


def test_a_function_that_wraps_itself() -> None:
    """A ring of wrappers ends."""

    def fn() -> None: ...

    fn.__wrapped__ = fn  # type: ignore[attr-defined]

    assert isinstance(fn, FunctionType)
    assert fingerprint(fn) != b""


def test_plain_pickles_stay_plain() -> None:
    """What can be imported is named, as pickle does it."""
    assert dumps((called.same, 1)) == pickle.dumps((called.same, 1), 5)


def test_lambdas_travel_by_value() -> None:
    """They have no name to be found by."""
    assert loads(dumps(lambda x: x + 1))(1) == 2


def test_missing_modules_are_named() -> None:
    """The module is named, and only if looking something up is what failed."""
    data = dumps(called.same).replace(b"tests.called", b"tests.nowher")

    assert missing_module(data) == "tests.nowher"
    assert missing_module(dumps(called.Bad("loads", called.fail))) == ""
    assert missing_module(dumps(1)) == ""


class Mutable(Exception):
    """Refuses to be made again, and has state."""

    def __init__(self, a: int, *, b: int) -> None:
        super().__init__(a + b)
        self.b = b


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __init__(self) -> None:
        super().__init__()
        self.frame = sys._getframe()


def there_and_back(exc: BaseException) -> BaseException:
    try:
        called.reraise(exc)
    except BaseException as caught:
        return load_error(dump_error(caught))
    raise AssertionError


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("a", 1),
        OSError(2, "no such file", "name"),
        PermissionError(13, "no"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "reason"),
        ExceptionGroup("group", [ValueError(1)]),
        Mutable(1, b=2),
        called.OddInit(3, "x"),
        SystemExit(4),
        StopIteration(5),
    ],
    ids=repr,
)
def test_exceptions_come_back_as_themselves(exc: BaseException) -> None:
    """The same type, text and attributes; the traceback as the cause."""
    back = there_and_back(exc)

    assert type(back) is type(exc)
    assert str(back) == str(exc)
    assert {**vars(back), "__notes__": 0} == {**vars(exc), "__notes__": 0}
    assert isinstance(back.__cause__, RemoteTraceback)
    assert "there_and_back" in str(back.__cause__)


def test_an_exception_that_cannot_even_be_printed() -> None:
    """Its type is what is left of it."""
    back = there_and_back(Unprintable())

    assert type(back) is SmartPoolError
    assert "Unprintable: (no text)" in str(back)


def test_an_exception_whose_notes_cannot_be_read() -> None:
    """It comes back as itself, without them."""
    back = there_and_back(workloads.NoNotesError("text"))

    assert type(back) is workloads.NoNotesError
    assert str(back) == "text"


class Marked(str):
    """Text, and not what `marshal` takes for it."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


class NoText:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_notes_that_are_no_text() -> None:
    """Each is text when it arrives; what cannot even be printed is stood in for."""
    exc, bad = Forgetful(), list[Any]([NoText(), Marked("marked"), 3])
    exc.__notes__ = bad

    notes = there_and_back(exc).__notes__

    assert notes == ["(no text)", "marked", "3"]
    assert {type(note) for note in notes} == {str}


def test_notes_survive_a_pickle_that_drops_them() -> None:
    """They are put back where a `__reduce__` of its own forgets them."""
    exc = Forgetful()
    exc.add_note("remember")

    assert there_and_back(exc).__notes__ == ["remember"]


class Forgetful(Exception):
    def __reduce__(self) -> Any:
        return Forgetful, ()
