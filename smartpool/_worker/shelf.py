"""Functions kept for the next run, by content: the same rule at both ends.

A warm worker that still has a function is not sent it again. The parent knows what it
has by keeping a shelf of its own for each worker, and telling it of the same functions
in the same order.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

KEPT: Final = 32
"""Functions kept by a worker. A guess: a program calls few functions often."""
LARGEST_BYTES: Final = 1 << 20
"""Larger ones are sent for each run: memory of all workers is dearer. A guess."""


class Shelf:
    """The last functions used, by a name for their content, and their bytes.

    The parent's shelf holds no bytes: it is told of empty ones.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._kept: dict[bytes, bytes] = {}

    def __contains__(self, content: bytes) -> bool:
        """Return whether it is kept."""
        return content in self._kept

    def take(self, content: bytes, data: bytes | None) -> bytes:
        """Return the bytes, which are `data` if they came along, and keep them.

        What was used longest ago goes when there are too many.
        """
        kept = self._kept.pop(content, None)
        current = data if data is not None else kept
        if current is None:
            raise KeyError(content)
        self._kept[content] = current
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return current
