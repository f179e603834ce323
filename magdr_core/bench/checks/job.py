"""One row of sanity checks, as work that can be done in any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from magdr_core.bench.checks.check import SanityCheck


@dataclass(frozen=True)
class CheckJob:
    """One row: what identifies it, how it is checked, the work, and what the budget left undone of it.

    Attributes:
        passes: about how many images the checks send through the generator; 0 if nobody knows.
    """

    role: str
    component: str
    identity: Any
    how: Mapping[str, Any]
    checks: Callable[[], list[SanityCheck]]
    undone: SanityCheck | None = None
    passes: float = 0.0
