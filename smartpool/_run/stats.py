"""What is counted while a run goes on."""

from __future__ import annotations

from .._backends.base import Usage


class Stats:
    """What was counted while the run went on.

    Attributes:
        items: Items that were called, by backend.
        busy_s: Seconds that their calls took, together.
        cpu_s: Seconds of CPU that they used.
        most_at_once: Chunks that went on at once, at most.
        most_side_by_side: Coroutines that did so in workers.
        let_go: Items whose calls could not be stopped.
        crashed: Items whose workers died, and which were called again.
        refused: Calls that found no descriptor left.
        refusals_from: Items that have to be called before those count again.
    """

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self.busy_s = self.cpu_s = 0.0
        self.most_at_once = self.most_side_by_side = 0
        self.let_go: list[int] = []
        self.crashed: list[int] = []
        self.refused = self.refusals_from = 0

    @property
    def called(self) -> int:
        """Items that were called, on all backends."""
        return sum(self.items.values())

    @property
    def item_s(self) -> float:
        """Seconds an item took, on average."""
        return self.busy_s / max(1, self.called)

    def count(self, backend: str, usage: Usage) -> None:
        """Add a chunk, or some of its items."""
        self.items[backend] = self.items.get(backend, 0) + usage.calls
        self.busy_s += usage.wall_s
        self.cpu_s += usage.cpu_s
        self.let_go += usage.let_go
        if usage.crashed is not None:
            self.crashed.append(usage.crashed)
