"""Projected gradient ascent among the images of a PSNR (an L2 ball; Madry et al., ICLR 2018)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core.api import AttackSpec, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import clamp_inclusive

from ._bounded_steps import Direction, Psnr, ascend, of_psnr

MAGDR_API = 1


class PsnrPGD:
    """The largest disruption at a PSNR of the image, best iterate kept.

    Iterates are seen as they are returned, in 8 bits, so that the PSNR is that of the picture in a file.

    Args:
        psnr: PSNR in dB that each image keeps.
        steps: gradient steps.
        direction: where a step goes, along the gradient or along its signs.
    """

    def __init__(
        self,
        *,
        psnr: Psnr = 40.0,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 50,
        direction: Direction = "gradient",
    ) -> None:
        self.psnr, self.steps, self.direction = psnr, steps, direction

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean 8-bit images -> `[B,3,H,W]` attacked 8-bit ones."""

        def decode(delta: Tensor) -> Tensor:
            return clamp_inclusive(x + delta)

        return ascend(
            x,
            objective,
            rng.uniform(*x.shape[1:], low=-1.0, high=1.0),
            decode,
            bound=of_psnr(self.psnr),
            limit=1.0,
            direction=self.direction,
            steps=self.steps,
        )


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="pgd-psnr",
            build=PsnrPGD,
            norm="psnr",
            stochastic=True,
            cite="Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018",
        )
    ]
