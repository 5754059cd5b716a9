"""Where in the nesting of smartpool programs this one stands.

Set in a worker before any code of the user runs there, and read by what looks at
this machine: a run inside of a call shares the CPUs that its worker was given.
"""

from __future__ import annotations

depth: int = 0
"""How many smartpool workers this program runs inside of."""

cpus: int | None = None
"""CPUs that a call here may use at most; `None` if this is not a worker."""

forked: bool = False
"""This is no worker, but a child that a call in one has forked."""
