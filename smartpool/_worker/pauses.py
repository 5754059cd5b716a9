"""Short pauses: waited through awake, since to be woken takes longer than they last."""

from __future__ import annotations

from time import monotonic_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from select import poll
    from typing import Final

SHORT_NS: Final = 200_000
"""A pause below this is short (benchmarks/calls.py: a call and the next in a loop are
40 us apart, and 60 us more if somebody has to be woken)."""


class Pauses:
    """The pauses until something comes by a descriptor, one after the other.

    To sleep and to be woken takes both ends of a socket longer than a small call. So
    as long as the pauses are short, who waits looks again and again instead, which is
    for who has a CPU to spare. One that is long ends that: where others take the CPU,
    or the GIL between two looks, nobody looks for long.
    """

    __slots__ = ("_began_ns", "_quick")

    def __init__(self) -> None:
        """Begin with a sleep: nothing is known of them."""
        self._began_ns = 0
        self._quick = False

    def over(self, descriptors: poll) -> bool:
        """Begin one, and return whether something has come before it was long."""
        self._began_ns = now_ns = monotonic_ns()
        until_ns = now_ns + SHORT_NS * self._quick
        while not (ready := descriptors.poll(0)) and now_ns < until_ns:
            now_ns = monotonic_ns()
        return bool(ready)

    def end(self) -> None:
        """Note that something has come."""
        self._quick = monotonic_ns() - self._began_ns < SHORT_NS
