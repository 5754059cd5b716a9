"""What is counted while a run goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._backends.base import Usage


@dataclass(slots=True)
class Stats:
    """What was counted while the run went on."""

    items: dict[str, int] = field(default_factory=dict[str, int])
    busy_s: float = 0.0
    cpu_s: float = 0.0
    most_at_once: int = 0  # chunks
    most_side_by_side: int = 0  # coroutines in workers
    let_go: list[int] = field(default_factory=list[int])
    crashed: list[int] = field(default_factory=list[int])
    refused: int = 0
    refusals_from: int = 0

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
