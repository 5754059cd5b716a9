"""Parameters of which only some are tested everywhere: the others are heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def and_heavy(plain: Iterable[Any], heavy: Iterable[Any]) -> list[Any]:
    """Return `plain`, and `heavy` with the mark; a tuple is one set of parameters."""
    return [*plain, *(_heavy(one) for one in heavy)]


def _heavy(one: Any) -> Any:
    values = one if isinstance(one, tuple) else (one,)
    return pytest.param(*values, marks=pytest.mark.heavy)
