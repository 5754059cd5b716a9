"""Log records and warnings of a worker, told to the parent, which handles them.

A worker has the parent's log levels and warning filters, as of the start of the run: so
what nobody wants does not travel. What does is sent at once, before the outcome of its
item: after a crash nothing of it is missing.
"""

from __future__ import annotations

import sys

from . import wire
from .pickling import plain_dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Handler, LogRecord
    from typing import Any

    from .link import Link


class _State:
    """What was set up in this process."""

    link: Link | None = None
    handler: Handler | None = None
    levelled: set[str] = set()  # noqa: RUF012 - one process, one state
    filters: list[Any] = []  # noqa: RUF012


def apply(fields: dict[str, Any], link: Link) -> None:
    """Take over the levels and filters of the parent's program."""
    _State.link = link
    if fields["filters"] != _State.filters:
        _State.filters = fields["filters"]
        _take_filters(fields["filters"])
    if fields["levels"] is not None:
        _take_levels(*fields["levels"])


def _send(kind: int, thing: Any) -> None:  # noqa: ANN401
    """Tell the parent; nothing if it has gone, or cannot be told."""
    link = _State.link
    if link is None:
        return
    try:
        link.send(wire.frame(wire.SAID, bytes((kind,)), plain_dumps(thing, 5)))
    except OSError:
        pass


# -- warnings --------------------------------------------------------------------------


class Pattern:
    """A regular expression that is compiled when it is first of use.

    `re` takes longer to import than all that a worker needs.
    """

    def __init__(self, pattern: str, flags: int) -> None:
        """Keep both."""
        self._pattern = pattern, flags

    def match(self, text: str) -> Any:  # noqa: ANN401
        """Do what a compiled expression does."""
        import re

        return re.match(self._pattern[0], text, self._pattern[1])


def _take_filters(filters: list[Any]) -> None:
    import warnings

    known: Any = warnings.filters
    known[:] = [
        (action, _wanted(message), category, _wanted(module), line)
        for action, message, named, module, line in filters
        if (category := _category(*named)) is not None
    ]
    # Have Python notice: with one more that is taken away again.
    warnings.simplefilter("default", append=True)
    del known[-1]
    warnings.showwarning = _show_warning


def _category(module: str, name: str) -> Any:  # noqa: ANN401
    """Return a class of warnings; `None` if its module is not loaded: nobody warns so."""
    return getattr(sys.modules.get(module), name, None)


def _wanted(pattern: Any) -> Any:  # noqa: ANN401
    return Pattern(*pattern) if isinstance(pattern, tuple) else pattern


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,  # noqa: ANN401
    line: str | None = None,
) -> None:
    import warnings

    if file is not None:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        file.write(text)
        return
    try:
        _send(wire.WARNING, (message, category, filename, lineno))
    except Exception:  # noqa: BLE001 - a warning that cannot be pickled
        text = f"{category.__name__}: {message}"
        _send(wire.WARNING, (text, UserWarning, filename, lineno))


# -- log records -------------------------------------------------------------------------


def _take_levels(root: int, disabled: int, levels: dict[str, int]) -> None:
    import logging

    if _State.handler is None:
        _State.handler = _made_handler()
    if not logging.root.handlers:  # else a call has set up its own
        logging.root.addHandler(_State.handler)
    logging.root.setLevel(root)
    logging.disable(disabled)
    for name in _State.levelled - levels.keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    _State.levelled = set(levels)


def _made_handler() -> Handler:
    import logging

    class ToParent(logging.Handler):
        """Sends records to the parent's program, which handles them."""

        def emit(self, record: LogRecord) -> None:
            try:
                _send(wire.RECORD_MADE, _travelling(record))
            except Exception:  # noqa: BLE001 - as all handlers do
                self.handleError(record)

    return ToParent()


def _travelling(record: LogRecord) -> dict[str, Any]:
    """Return a record's attributes as they travel: with its text made, and what pickles."""
    fields = dict(record.__dict__)
    fields["msg"], fields["args"] = record.getMessage(), None
    if record.exc_info and not record.exc_text:
        import logging

        fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
    fields["exc_info"] = None
    try:
        plain_dumps(fields, 5)
    except Exception:  # noqa: BLE001 - `extra` of the user's may be anything
        fields = {name: one for name, one in fields.items() if _travels(one)}
    return fields


def _travels(value: object) -> bool:
    try:
        return bool(plain_dumps(value, 5))
    except Exception:  # noqa: BLE001 - user code
        return False
