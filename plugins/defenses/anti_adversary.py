"""An anti-adversary layer for generators: the input moves to where the outputs agree with each other.

Alfarra, Perez, Thabet, Bibi, Torr and Ghanem, Combating Adversaries with Anti-Adversaries, AAAI 2022
(arXiv 2103.14347): before a classifier, a few gradient steps on the input towards more confidence in its own
answer. Nothing is trained; the model itself is the prior.

Adapted: a generator has no confidence. What takes its place is MagDR's consistency (Guo et al., CVPR 2021,
Eq. 7): the output on the picture against the outputs on processed copies, with their geometry undone, as mean
squared differences. The steps are signs of its gradient, as the paper's are, inside a ball around the
received picture.

The gradient that is passed on is the identity's: the layer's own one takes second derivatives of the
generator through every step, so it is declared as straight-through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, Need, hookimpl
from magdr_core.functional import project_linf, straight_through

MAGDR_API = 1


class Processing(Protocol):
    """An augmentation as core injects it."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def undo(self, y: Tensor) -> Tensor: ...


class AntiAdversary:
    """Gradient steps on the input towards outputs that agree with those of processed copies.

    Args:
        augmentations: image processings that make the copies.
        steps: steps of the descent; each takes a pass there and back for the picture and for each
            copy.
        step: length of the first one, in [0,1] units; they get shorter linearly, the last is `step / steps`.
        radius: how far a value may move, in [0,1] units.
        stay: weight of the squared distance from the received picture.
    """

    def __init__(
        self,
        *,
        augmentations: Sequence[Processing],
        steps: Annotated[int, Field(ge=1, le=1000)] = 10,
        step: Annotated[float, Field(gt=0, le=1)] = 2 / 255,
        radius: Annotated[float, Field(gt=0, le=1)] = 8 / 255,
        stay: Annotated[float, Field(ge=0, le=1000)] = 0.0,
    ) -> None:
        self.augmentations = augmentations
        self.steps, self.step, self.radius, self.stay = steps, step, radius, stay

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same; the gradient is the identity's (BPDA)."""
        received = x.detach()
        y = received
        for i in range(self.steps):
            with torch.enable_grad():
                y = y.detach().requires_grad_(True)
                loss = self.disagreement(y, c, G) + self.stay * (y - received).square().flatten(1).mean(1)
                (gradient,) = torch.autograd.grad(loss.sum(), y)
            moved = y.detach() - self.step * (1 - i / self.steps) * gradient.sign()
            y = project_linf(moved, received, self.radius)
        return straight_through(y.detach(), x)

    def disagreement(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """Mean squared difference between `G(x,c)` and what it makes of processed copies: `[B,3,H,W]` ->
        `[B]`, differentiable."""
        y = G(x, c)
        total = torch.zeros_like(y[:, 0, 0, 0])
        for f in self.augmentations:
            total = total + (f.undo(G(f(x), c)) - y).square().flatten(1).mean(1)
        return total / max(1, len(self.augmentations))


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="anti-adversary",
            build=AntiAdversary,
            needs={"augmentations": Need("augmentation", depth=1)},
            gradient="straight-through",
            cite="Alfarra et al., Combating Adversaries with Anti-Adversaries, AAAI 2022 (arXiv 2103.14347)",
            tags=("baseline",),
        )
    ]
