"""Projected gradient ascent among the images of an SSIM, with steps that go where it looks least.

Structural similarity divides what changes by what varies around it, so that a picture's texture hides more
than its smooth parts. Perturbations are therefore in units of the clean picture's own deviation around each
pixel: in these units each of them costs about as much SSIM, and the gradient is the steepest way.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core.api import AttackSpec, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import clamp_inclusive, gaussian_blur

from ._bounded_steps import Direction, Ssim, ascend, of_ssim

MAGDR_API = 1

C2 = 0.03**2
"""The constant of SSIM that keeps it finite where nothing varies, for images in [0,1]."""

SIGMA, TRUNCATE = 1.5, 3.5
"""Of the window of 11 pixels that SSIM looks through."""


class SsimPGD:
    """The largest disruption at a structural similarity of the image, best iterate kept.

    Iterates are seen as they are returned, in 8 bits, so that the SSIM is that of the picture in a file.

    Args:
        ssim: structural similarity that each image keeps, 1 of equal ones.
        steps: gradient steps.
        direction: where a step goes, along the gradient or along its signs, in units of what varies around
            each pixel.
    """

    def __init__(
        self,
        *,
        ssim: Ssim = 0.95,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 50,
        direction: Direction = "gradient",
    ) -> None:
        self.ssim, self.steps, self.direction = ssim, steps, direction

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean 8-bit images -> `[B,3,H,W]` attacked 8-bit ones."""
        unit = hiding(x)

        def decode(delta: Tensor) -> Tensor:
            return clamp_inclusive(x + unit * delta)

        return ascend(
            x,
            objective,
            rng.uniform(*x.shape[1:], low=-1.0, high=1.0),
            decode,
            bound=of_ssim(self.ssim),
            limit=1.0 / C2,  # none: images are clamped, and the bound shrinks
            direction=self.direction,
            steps=self.steps,
        )


def hiding(x: Tensor) -> Tensor:
    """By how much a pixel may move for the same loss of SSIM, up to one factor: the root of the denominator
    of its contrast and structure, `[B,3,H,W]` of images `[B,3,H,W]` in [0,1]."""
    centred = x - 0.5
    mean = gaussian_blur(x, SIGMA, truncate=TRUNCATE) - 0.5
    variance = (gaussian_blur(centred.square(), SIGMA, truncate=TRUNCATE) - mean.square()).clamp_min(0)
    return (2 * variance + C2).sqrt()


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="pgd-ssim",
            build=SsimPGD,
            norm="ssim",
            stochastic=True,
            cite="Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment: From Error Visibility to "
            "Structural Similarity, IEEE TIP 13(4), 2004",
        )
    ]
