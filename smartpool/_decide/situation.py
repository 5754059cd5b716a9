"""All that a rule may look at, and what follows from it at once."""

from __future__ import annotations

from functools import cached_property

from . import limits
from .facts import Machine, Profile, Workload
from .kinds import kind_of
from .plan import Kind


class Facts:
    """All that a rule may look at."""

    def __init__(
        self, machine: Machine, workload: Workload, profile: Profile | None
    ) -> None:
        self.machine = machine
        self.workload = workload
        self.profile = profile

    @cached_property
    def kind(self) -> Kind:
        """What the function is taken for: the hint's word before the profile's."""
        gil, hint = self.machine.gil, self.workload.hint
        if self.workload.is_async:
            return "async"
        if hint is not None:
            return "nogil" if hint == "cpu" and not gil else hint
        return "unknown" if self.profile is None else kind_of(self.profile, gil=gil)

    @property
    def cpus(self) -> int:
        """CPUs that the run may keep busy."""
        return min(self.machine.cpus, self.workload.max_workers or self.machine.cpus)

    @property
    def stays(self) -> str | None:
        """Why no item of this run can be called in another process; else `None`."""
        work, profile = self.workload, self.profile
        if not self.machine.processes:
            return self.machine.processes_why
        if work.unpicklable is not None:
            return work.unpicklable
        if profile is not None and profile.unpicklable is not None:
            return profile.unpicklable
        if work.rebinds is not None and work.hint is None:
            return (
                f"it rebinds {work.rebinds!r}, and what a call changes outside of"
                " itself would be lost in another process"
            )
        return None

    @cached_property
    def waiting_calls(self) -> int:
        """Calls at once that Little's law asks for."""
        profile = self.profile
        if profile is None or profile.cpu_s is None:
            blind = self.workload.hint == "io"
            return limits.START_BLIND if blind else self.machine.cpus
        return limits.waits_at_once(profile.own_s, profile.cpu_s, self.machine.cpus)
