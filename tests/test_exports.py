"""The public names: exactly those meant, each importable and with a docstring."""

import importlib
import inspect
import types
from collections.abc import Iterable

import pytest

import smartpool

NAMES = {
    "ItemTimeoutError",
    "Learned",
    "Machine",
    "NotPicklableError",
    "Plan",
    "PoolClosedError",
    "Profile",
    "Reason",
    "Report",
    "Results",
    "RunTimeoutError",
    "SmartPool",
    "SmartPoolError",
    "SmartPoolWarning",
    "Stream",
    "WorkerCrashError",
    "call",
    "completed",
    "cpu_bound",
    "io_bound",
    "learned",
    "machine",
    "nogil",
    "run_parallel",
    "stream_parallel",
}
PUBLIC_MODULES = ("smartpool", "smartpool.testing")


def undocumented(names: Iterable[str], where: object) -> set[str]:
    """Return the public names, and public members of classes, with no docstring."""
    found: set[str] = set()
    for name in names:
        value = getattr(where, name)
        if not inspect.getdoc(value):
            found.add(name)
        if inspect.isclass(value):
            found |= {f"{name}.{member}" for member in _undocumented_members(value)}
    return found


def _undocumented_members(cls: type) -> set[str]:
    return {
        member
        for member, value in vars(cls).items()
        if not member.startswith("_")
        and isinstance(value, (types.FunctionType, property, classmethod, staticmethod))
        and not inspect.getdoc(value)
    }


def test_all_is_exact() -> None:
    """`__all__` holds the public names, sorted, each of them once."""
    assert list(smartpool.__all__) == sorted(NAMES)


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_name_in_all_is_there(module: str) -> None:
    """What `__all__` promises can be had, and is listed by `dir`."""
    loaded = importlib.import_module(module)

    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
    assert set(loaded.__all__) <= set(dir(loaded))


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_no_public_name_is_missing_from_all(module: str) -> None:
    """A function or class of ours without an underscore is a public one."""
    loaded = importlib.import_module(module)
    ours = {
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("smartpool")
    }

    assert ours <= set(loaded.__all__)


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_has_a_docstring(module: str) -> None:
    """Functions, classes and their public methods say what they do."""
    loaded = importlib.import_module(module)

    assert undocumented(loaded.__all__, loaded) == set()


def test_a_missing_docstring_is_seen() -> None:
    """The check above sees a bare function and a bare method."""

    class Planted:
        """Documented, but for its method."""

        def bare(self) -> None:
            pass

    def bare() -> None:
        pass

    where = types.SimpleNamespace(Planted=Planted, bare=bare)

    assert undocumented(("Planted", "bare"), where) == {"Planted.bare", "bare"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Names that load lazily do not hide that others do not exist."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = smartpool.no_such_name  # type: ignore[attr-defined, unused-ignore]
