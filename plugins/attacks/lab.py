"""Disruption of colour alone, in CIE L*a*b* (Anti-Forgery: Wang et al., IJCAI 2022, arXiv 2206.00477).

The lightness of a picture stays; the two opponent colours a* and b* move. Its authors say that what is smooth
in colour survives reconstruction, MagDR's included. Two forms:

- `ascent = "adam"` is the published code's: Adam with a rate of 1e-4 of the scaled colours (a* and b* over
  110) for 100 steps, from no perturbation, last iterate. Adam moves an entry by about its rate a step, so
  this ends near .01 of the .05 that the bound allows: 1.1 of 5.5 units of L*a*b*.
- `"sign"` and `"gradient"` reach the bound: steps along signs fill the box of `limit`, steps along the
  gradient itself are the steepest where `psnr` binds first. Both keep the best iterate.

The gradient at the clean image is exactly zero, so that each form starts beside it. Colours that sRGB does
not have are clamped, each channel for itself; lightness moves there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import constant, from_lab, to_lab

from ._bounded_steps import Decode, Psnr, ascend, of_psnr, pulled_back, under
from ._sign_steps import Mean

MAGDR_API = 1

SCALE = 110.0
"""Units of a* and b* in one unit of the published code."""

BETAS, TINY = (0.9, 0.999), 1e-8
"""Of Adam (Kingma & Ba, ICLR 2015)."""


class Lab:
    """Disruption by colour at constant lightness.

    Args:
        psnr: PSNR in dB that each image keeps; 0 leaves `limit` alone to bound it.
        limit: by how much a* and b* of a pixel may move, in units of L*a*b*.
        ascent: `adam`, as published; or steps along `sign` or `gradient`, which reach the bound.
        steps: gradient steps.
        rate: Adam's, in units of 110 of L*a*b*.
        classes: aim at every condition that the face could be given, `adam` at one a step in turn, as the
            published code does, the others at their mean; else at the given one.
    """

    def __init__(
        self,
        *,
        psnr: Psnr = 25.0,
        limit: Annotated[float, Field(ge=0, le=SCALE)] = 5.5,
        ascent: Literal["adam", "sign", "gradient"] = "adam",
        steps: Annotated[int, Field(ge=1, le=100_000)] = 100,
        rate: Annotated[float, Field(gt=0, le=1)] = 1e-4,
        classes: bool = False,
    ) -> None:
        self.psnr, self.limit, self.ascent = psnr, limit, ascent
        self.steps, self.rate, self.classes = steps, rate, classes

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean 8-bit images -> `[B,3,H,W]` attacked 8-bit ones.

        Raises:
            ComponentError: `classes`, and the generator does not list its conditions.
        """
        clean = to_lab(x)
        colour = constant([0.0, 1.0, 1.0], x.device)[:, None, None]

        def decode(delta: Tensor) -> Tensor:
            return from_lab(clean + colour * delta)

        noise = colour * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        aims = list(objective.classes()) if self.classes else [objective]
        if self.ascent == "adam":
            return self._published(x, aims, noise, decode)
        return ascend(
            x,
            Mean(lambda: aims),  # best of all looks: those at single conditions could not be compared
            self.limit * noise,
            decode,
            bound=of_psnr(self.psnr),
            limit=self.limit,
            direction=self.ascent,
            steps=self.steps,
        )

    def _published(self, x: Tensor, aims: Sequence[Objective], noise: Tensor, decode: Decode) -> Tensor:
        """Adam's last iterate, of aims in turn; the bound cuts what is seen, not what Adam moves."""
        delta = self.rate * noise
        first, second = torch.zeros_like(delta), torch.zeros_like(delta)
        bound = self.limit / SCALE

        def shown(delta: Tensor) -> Tensor:
            return decode(SCALE * delta.clamp(-bound, bound))

        for number in range(1, self.steps + 1):
            _, slope = aims[(number - 1) % len(aims)].gradient(shown(delta))
            uphill = pulled_back(slope, delta, shown)
            first = BETAS[0] * first + (1 - BETAS[0]) * uphill
            second = BETAS[1] * second + (1 - BETAS[1]) * uphill.square()
            mean, spread = first / (1 - BETAS[0] ** number), second / (1 - BETAS[1] ** number)
            delta = delta + self.rate * mean / (spread.sqrt() + TINY)
        return under(of_psnr(self.psnr), x, SCALE * delta.clamp(-bound, bound), decode)[0]


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="lab",
            build=Lab,
            norm="psnr",
            stochastic=True,
            cite="Wang et al., Anti-Forgery: Towards a Stealthy and Robust DeepFake Disruption Attack via "
            "Adversarial Perceptual-aware Perturbations, IJCAI 2022 (arXiv 2206.00477)",
        )
    ]
