"""What a pipeline asks of the defense that it puts before a generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Generator, ImageMap
from magdr_core.magdr import Outcome
from magdr_core.magdr.outcome import Reconstruction


@runtime_checkable
class Method(Protocol):
    """A calibrated defense that decides and restores, and tells why: MagDR, or one that tells as much."""

    @property
    def candidates(self) -> Mapping[str, ImageMap]:
        """By name what plans are made of; empty where they are composed otherwise."""

    def run(self, x: Tensor, c: Condition, G: Generator) -> Outcome:
        """Decide about images `[B,3,H,W]` and restore what is disrupted."""

    def inspect(self, x: Tensor, c: Condition, G: Generator) -> Outcome:
        """Decide about images `[B,3,H,W]` alone: `restored` is what came in."""

    def reconstruct(self, x: Tensor, c: Condition, G: Generator) -> Reconstruction:
        """Restore images `[B,3,H,W]` that are known to be disrupted."""


def output_behind(method: object, restored: Tensor, x: Tensor, c: Condition, G: Generator) -> Tensor:
    """The output behind a defense, `[B,3,H,W]`: its own, where it has one, else G's on what it restored.

    Args:
        restored: `[B,3,H,W]`, what the method made of `x`.
        x: `[B,3,H,W]` in [0,1], as received.
    """
    own = getattr(method, "output_on", None)
    y: Tensor = G(restored, c) if own is None else own(restored, x, c, G)
    return y
