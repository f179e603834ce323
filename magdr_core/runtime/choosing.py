"""What a run asks about its defenses and detectors: whose they are, and what they may choose from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from magdr_core.components.protocols import ImageMap
from magdr_core.guards import GuardedDefense
from magdr_core.registry.resolve import Resolved


class _Resolving(Protocol):
    def resolve(self, kind: str, label: str) -> Resolved: ...


def is_ours(toolkit: _Resolving, kind: str, label: str, ours: Collection[str]) -> bool:
    """Whether a row is marked as ours and is no baseline.

    Args:
        ours: `Profile.ours`, names of components as the tables' `use` gives them.

    Raises:
        MagdrError: there is no such component.
    """
    return toolkit.resolve(kind, label).instance.use in ours


def choices_of(guarded: GuardedDefense) -> Mapping[str, ImageMap]:
    """By name what a defense chooses from, in the order of its scores; empty of one that does not choose.

    Raises:
        ComponentError: it says what it chooses from and that is not image maps.
    """
    choosing = guarded.choosing
    return choosing.candidates if choosing.chooses else {}
