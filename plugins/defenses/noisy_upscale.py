"""Noisy upscaling: noise hides the perturbation, and what removes noise and enlarges paints over it.

Hoenig, Rando, Carlini and Tramer, Adversarial Perturbations Cannot Reliably Protect Artists From Generative
AI, ICLR 2025 (arXiv 2406.12027; github.com/ethz-spylab/robust-style-mimicry): Gaussian noise of .1 and a
diffusion upscaler that is told of it; without the upscaler, noise of .05 is their weakest baseline.

Adapted: the upscaler is whatever restorations the table names, in their order, since the authors' has 4
gigabytes. A generator has a native size, so a restoration that enlarges also shrinks back, as
`super-resolution` does. A denoiser among them should be told the level of the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, ImageMap, Need, SampleRng, hookimpl
from magdr_core.functional import clamp_inclusive

MAGDR_API = 1


class NoisyUpscale:
    """Gaussian noise, then restorations: a denoiser and an upscaler, say; none for the noise alone.

    Args:
        restorations: applied one after the other to the noisy picture.
        noise: its standard deviation, in [0,1] units.
    """

    def __init__(
        self,
        *,
        restorations: Sequence[ImageMap] | None,
        noise: Annotated[float, Field(ge=0, le=1)] = 0.06,
    ) -> None:
        self.restorations = restorations or ()
        self.noise = noise

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        y = clamp_inclusive(x + self.noise * rng.normal(*x.shape[1:]))
        for restoration in self.restorations:
            y = restoration(y)
        return y


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="noisy-upscale",
            build=NoisyUpscale,
            needs={"restorations": Need("restoration", depth=1, optional=True)},
            stochastic=True,
            # Its own part is exact; the shipped upscaler's denoiser is not.
            gradient="straight-through",
            cite="Hoenig et al., Adversarial Perturbations Cannot Reliably Protect Artists, ICLR 2025",
            tags=("baseline",),
        )
    ]
