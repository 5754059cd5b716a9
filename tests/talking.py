"""What the tests of what goes along have called in workers."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import warnings
from typing import Any

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("talking")


def log(x: Any) -> Any:
    """Make records of several loggers and levels, and import what that takes here."""
    import logging

    logging.getLogger("talking.debug").debug("debug %s", x)
    logging.getLogger("talking").info("info %s", x)
    logging.getLogger("talking.apart").error("error %s", x)
    return x


def log_oddly(_: Any) -> None:
    import logging

    logger = logging.getLogger("talking")
    logger.warning("of %r", threading.Lock(), extra={"lock": threading.Lock(), "n": 1})
    try:
        int("on purpose")
    except ValueError:
        logger.exception("caught")


def log_and_die(_: Any) -> None:
    import logging

    logging.getLogger("talking").warning("the last words")
    os._exit(3)


def log_much(count: int) -> int:
    import logging

    logger = logging.getLogger("talking")
    for n in range(count):
        logger.info("record %d", n)
    return count


def log_on_threads(count: int) -> None:
    threads = [threading.Thread(target=log_much, args=(count,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_enabled(name: str) -> tuple[bool, bool]:
    import logging

    logger = logging.getLogger(name)
    return logger.isEnabledFor(logging.DEBUG), logger.isEnabledFor(logging.ERROR)


def warn(text: str) -> str:
    warnings.warn(text, UserWarning, stacklevel=1)
    return text


def warn_and_catch(text: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(text, UserWarning, stacklevel=1)
    return [str(one.message) for one in caught]


def get(_: Any = None) -> Any:
    return variable.get(None)


def set_and_get(value: Any) -> Any:
    before = variable.get(None)
    variable.set(value)
    return before


def environment(name: str) -> str | None:
    return os.environ.get(name)


def change_environment(name: str) -> None:
    os.environ[name] = "changed by a call"


def shout(x: int) -> int:
    """Print a megabyte, and write to the descriptor itself, as C code does."""
    print("x" * (1 << 20))
    os.write(1, b"from below\n")
    sys.stderr.write("to stderr\n")
    return x


def is_loaded(name: str) -> bool:
    return name in sys.modules
