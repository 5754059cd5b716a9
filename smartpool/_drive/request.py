"""What the user asked for, checked before anything is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any, Final, NamedTuple

from .._decide.facts import BACKENDS, HINTS, BackendName, Hint
from .._observe.functions import hint_of, is_async, is_async_generator, name_of


class Options(NamedTuple):
    """The options of a run, checked.

    Attributes:
        hint: As in `run_parallel`; the decorator's word if the call has none.
        backend: As in `run_parallel`.
        max_workers: As in `run_parallel`.
        chunksize: As in `run_parallel`.
        return_exceptions: As in `run_parallel`.
        window: Items that may be called ahead of the reader; `None` is no bound of
            the user's.
        lazy: Whether results are read one by one, so that input must not be pulled
            long before.
        timeout: As in `run_parallel`.
        item_timeout: As in `run_parallel`.
        crash_retries: As in `run_parallel`.
        isolated_by_pool: Why the pool wants no item called in this process; `None` if
            it does not mind.
    """

    hint: Hint | None = None
    backend: BackendName | None = None
    max_workers: int | None = None
    chunksize: int | None = None
    return_exceptions: bool = False
    window: int | None = None
    lazy: bool = False
    timeout: float | None = None
    item_timeout: float | None = None
    crash_retries: int = 0
    isolated_by_pool: str | None = None

    @property
    def ends_calls(self) -> bool:
        """Whether calls are to be ended, or called again when their worker has died."""
        return self.item_timeout is not None or self.crash_retries > 0

    @property
    def isolated(self) -> str | None:
        """Why no item may be called in this process; `None` if they may be."""
        if self.item_timeout is not None:
            return f"item_timeout={self.item_timeout:g}"
        if self.crash_retries:
            return f"crash_retries={self.crash_retries}"
        return self.isolated_by_pool

    def for_run(
        self,
        mark: Hint | None,
        max_workers: int | None,
        backend: BackendName | None,
        isolated: str | None,
        *,
        is_async: bool,
    ) -> Options:
        """Return these options with what stands behind them filled in.

        Args:
            mark: The function's decorator.
            max_workers: The pool's bound.
            backend: The pool's backend.
            isolated: Why the pool wants no item called in this process, or `None`.
            is_async: Whether the function is an `async def`.
        """
        chosen = self.backend or backend
        if pinned.backend is not None and not is_async:
            chosen = pinned.backend
        bounds = [one for one in (self.max_workers, max_workers) if one is not None]
        # Not `dataclasses.replace`: it takes 7 us, and a tiny run takes 50 us in all.
        return Options(
            self.hint or mark,
            chosen,
            min(bounds, default=None),
            self.chunksize,
            self.return_exceptions,
            self.window,
            self.lazy,
            self.timeout,
            self.item_timeout,
            self.crash_retries,
            isolated,
        )


class Pinned:
    """What `smartpool.testing.pin` has pinned, for the whole program."""

    backend: BackendName | None = None


pinned: Final = Pinned()

SECONDS_MOST: Final = 1e9
"""Some thirty years: more than this no clock is asked for. A guess."""

SHORT_MOST: Final = 60
"""Characters of a wrong value that an error shows."""


class Request(NamedTuple):
    """A run that was asked for.

    Attributes:
        fn: What to call.
        iterables: What to call it with.
        options: How.
        is_async: Whether `fn` is an `async def`.
    """

    fn: Callable[..., Any]
    iterables: tuple[Iterable[Any], ...]
    options: Options
    is_async: bool


def check_request(
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    options: Options,
    max_workers: int | None = None,
    backend: BackendName | None = None,
    isolated: str | None = None,
) -> Request:
    """Return the request if it makes sense, for a pool with a bound and a backend.

    Args:
        fn: What to call.
        iterables: What to call it with.
        options: How, as the call has it.
        max_workers: The pool's bound.
        backend: The pool's backend.
        isolated: Why the pool wants no item called in this process, or `None`.

    Raises:
        TypeError: If something is of the wrong type.
        ValueError: If something is of the right type and not allowed.
    """
    check_function(fn)
    if is_async_generator(fn):
        raise TypeError(
            f"fn must not be an async generator function, and {name_of(fn)} is one;"
            " write async def with return instead of yield"
        )
    check_iterables(fn, iterables)
    check_options(options)
    _check_isolated(options.isolated or isolated, options.backend or backend)
    asynchronous = is_async(fn)
    options = options.for_run(
        hint_of(fn), max_workers, backend, isolated, is_async=asynchronous
    )
    if options.backend is not None:
        _check_backend_takes(options.backend, fn, asynchronous=asynchronous)
    return Request(fn, iterables, options, asynchronous)


def place_of(fn: Callable[..., Any], backend: BackendName | None) -> BackendName:
    """Return where a single call of `fn` goes, in a pool with that backend.

    Raises:
        TypeError: If `fn` cannot be called.
        ValueError: If it cannot be called there.
    """
    check_function(fn)
    asynchronous = is_async(fn)
    if pinned.backend is not None and not asynchronous:
        return pinned.backend
    if backend is None:
        return "event_loop" if asynchronous else "processes"
    _check_backend_takes(backend, fn, asynchronous=asynchronous)
    return backend


def check_function(fn: object) -> None:
    """Raise unless `fn` can be called."""
    if isinstance(fn, CoroutineType):
        name = fn.__name__
        raise TypeError(
            f"fn must be a function, not a coroutine object of {name}.\n"
            f"  Probably you wrote:    run_parallel({name}(...), items)\n"
            f"  Instead, write:        run_parallel({name}, items)"
        )
    if not callable(fn):
        raise TypeError(
            f"fn must be callable, not {_short(fn)}; write run_parallel(fn, items)"
        )


def check_iterables(fn: Callable[..., Any], iterables: tuple[object, ...]) -> None:
    """Raise unless there is an iterable, and all are."""
    name = name_of(fn)
    if not iterables:
        raise TypeError(
            f"iterables must be at least one, none came; write"
            f" run_parallel({name}, items)"
        )
    for number, one in enumerate(iterables, 1):
        if not hasattr(type(one), "__iter__") and not hasattr(type(one), "__getitem__"):
            raise TypeError(
                f"iterables must be iterable, number {number} is {_short(one)}; for one"
                f" call write run_parallel({name}, [{_short(one)}])"
            )


def check_options(options: Options) -> None:
    """Raise unless the options are allowed."""
    check_one_of("hint", options.hint, HINTS)
    check_one_of("backend", options.backend, BACKENDS)
    check_count("max_workers", options.max_workers)
    check_count("chunksize", options.chunksize)
    check_count("buffersize", options.window)
    check_flag("return_exceptions", options.return_exceptions)
    check_seconds("timeout", options.timeout)
    check_seconds("item_timeout", options.item_timeout)
    check_retries("crash_retries", options.crash_retries)


def check_count(name: str, value: object) -> None:
    """Raise unless `value` is `None` or a whole number of at least 1."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number or None, not {_short(value)}")
    if value < 1:
        # The standard library's wording, which people and their tests know.
        raise ValueError(f"{name} must be greater than 0, not {value}")


def check_seconds(name: str, value: object) -> None:
    """Raise unless `value` is `None` or a finite number above 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"{name} must be a number of seconds or None, not {_short(value)}"
        )
    if not 0 < value <= SECONDS_MOST:  # `nan` is not, either
        bound = f"at most {SECONDS_MOST:g}" if value > 0 else "greater than 0"
        raise ValueError(
            f"{name} must be {bound}, not {_short(value)}; None is no limit"
        )


def check_retries(name: str, value: object) -> None:
    """Raise unless `value` is a whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {_short(value)}")
    if value < 0:
        raise ValueError(f"{name} must be 0 or greater, not {value}")


def check_flag(name: str, value: object) -> None:
    """Raise unless `value` is `True` or `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {_short(value)}")


def check_one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise unless `value` is `None` or one of those allowed."""
    if value is not None and value not in allowed:
        listed = ", ".join(repr(one) for one in allowed)
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name} must be {listed} or None, not {_short(value)}")


def _check_isolated(isolated: str | None, backend: BackendName | None) -> None:
    """Raise if what is asked for needs calls elsewhere, and the backend has none."""
    if backend == "serial" and isolated is not None:
        raise ValueError(
            f"{isolated} cannot be kept with backend='serial', whose calls are made"
            " right here; leave backend out, or write backend='processes'"
        )


def _check_backend_takes(
    backend: str, fn: Callable[..., Any], *, asynchronous: bool
) -> None:
    if asynchronous and backend not in ("event_loop", "processes"):
        raise ValueError(
            "backend must be 'event_loop', 'processes' or None for an async def, not"
            f" {backend!r}; {name_of(fn)} is one"
        )
    if not asynchronous and backend == "event_loop":
        raise ValueError(
            f"backend 'event_loop' is for an async def, and {name_of(fn)} is none;"
            " leave backend out, or write async def"
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHORT_MOST else f"{text[: SHORT_MOST - 3]}..."
