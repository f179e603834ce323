"""Smooth disruption: low frequencies alone, which filters and purifiers of fine grain let through.

Low-frequency perturbations: Guo, Frank & Weinberger, UAI 2019 (arXiv 1809.08758), who search among the low
cosines; Sharma, Ding & Brubaker, IJCAI 2019 (arXiv 1903.00073), who show that defenses built against
perturbations of all frequencies hardly hinder these. Against purifiers of generated images: Kassis,
Hengartner & Yu, DiffBreak (arXiv 2411.16598), who call theirs LF.

The perturbation itself is smooth, not the gradient alone: it is `eps * field(theta)`, and theta is ascended.
Rounding to 8 bits, and pixels that are nearly black or white, add what little it has of higher frequencies.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl

from ._sign_steps import better
from ._smooth_fields import (
    Interpolation,
    SmoothFields,
    Spectrum,
    dct_fields,
    gaussian_fields,
    upsampled_fields,
)

MAGDR_API = 1

MOMENTUM = 0.75
FIRST, LAST = 0.75, 0.042
"""Sizes of the first and the last step, in units of eps; a cosine leads from one to the other."""

EARLY = 0.2
"""Share of the steps whose next perturbation is the gradient itself, stretched to fill the ball: power
iterations, since near the clean image Eq. 1 is a quadratic form. Sign steps alone keep to the maximum that is
next to the start."""

TINY = 1e-12


class Smooth:
    """The largest disruption by a smooth perturbation, best iterate kept.

    Sign steps along the momentum of gradients that are divided by their mean absolute value. Iterates are
    seen as they are returned: in 8 bits, inside the ball.

    Args:
        spectrum: what smooth means: `gaussian`, fields blurred by a Gaussian of `sigma`; `dct`, cosines up
            to `cutoff` alone; `upsampled`, an enlarged picture of `grid` x `grid` values. Parameters of the
            other two are without effect.
        eps: L-infinity bound in [0,1] units.
        sigma: standard deviation of the `gaussian` blur, in pixels.
        cutoff: highest frequency along each axis, as a share of Nyquist (half a cycle a pixel); 1 leaves all.
        grid: values along each axis; as many as pixels at most.
        interpolation: how the `upsampled` grid is enlarged.
        steps: gradient steps of each start.
        restarts: random starts; the best one is kept for each image.
    """

    def __init__(
        self,
        *,
        spectrum: Spectrum = "gaussian",
        eps: Eps = 6 / 255,
        sigma: Annotated[float, Field(gt=0, le=256)] = 1.0,
        cutoff: Annotated[float, Field(gt=0, le=1)] = 0.25,
        grid: Annotated[int, Field(ge=1, le=4096)] = 16,
        interpolation: Interpolation = "bilinear",
        steps: Annotated[int, Field(ge=1, le=100_000)] = 50,
        restarts: Annotated[int, Field(ge=1, le=1000)] = 1,
    ) -> None:
        self.spectrum = spectrum
        self.eps = eps
        self.sigma = sigma
        self.cutoff = cutoff
        self.grid = grid
        self.interpolation = interpolation
        self.steps = steps
        self.restarts = restarts

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean 8-bit images -> `[B,3,H,W]` attacked 8-bit ones, within eps and [0,1]."""
        fields = self._fields(x)
        best, best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)
        for number in range(self.restarts):
            found, loss = self._ascend(x, objective, fields, rng.fork(number))
            best, best_loss = better(found, loss, best, best_loss)
        return best

    def _fields(self, x: Tensor) -> SmoothFields:
        height, width = x.shape[-2:]
        if self.spectrum == "gaussian":
            return gaussian_fields(height, width, self.sigma, x.device)
        if self.spectrum == "dct":
            return dct_fields(height, width, self.cutoff, x.device)
        return upsampled_fields(height, width, self.grid, self.interpolation, x.device)

    def _ascend(
        self, x: Tensor, objective: Objective, fields: SmoothFields, rng: SampleRng
    ) -> tuple[Tensor, Tensor]:
        """(The best iterate from one start, `[B,3,H,W]`; its loss, `[B]`)."""
        theta = fields.start(rng, x.shape[1])
        velocity = torch.zeros_like(theta)
        early = int(EARLY * self.steps)
        best, best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)
        for number in range(self.steps):
            seen = self._seen(x, fields.field(theta))
            loss, gradient = objective.gradient(seen)
            best, best_loss = better(seen, loss, best, best_loss)
            uphill = fields.adjoint(gradient)
            if number < early:
                theta = fields.largest(uphill)
                continue
            velocity = MOMENTUM * velocity + uphill / (_mean_size(uphill) + TINY)
            share = (number - early) / (self.steps - early)
            theta = fields.inside(theta + _step(share) * velocity.sign())
        seen = self._seen(x, fields.field(theta))
        loss, _, _ = objective.evaluate(seen)
        return better(seen, loss, best, best_loss)

    def _seen(self, x: Tensor, field: Tensor) -> Tensor:
        """The image with the perturbation in whole levels: to the nearest, which adds least roughness."""
        bound = self.eps * 255
        most = math.floor(bound + 1e-4)
        levels = (bound * field).round().clamp(-most, most)
        return (x + levels / 255).clamp(0, 1)


def _step(share: float) -> float:
    return LAST + (FIRST - LAST) * (1 + math.cos(math.pi * share)) / 2


def _mean_size(gradient: Tensor) -> Tensor:
    """`[B,1,1,1]`; in two steps, so that no image's sum is split between threads."""
    return gradient.abs().mean(-1).flatten(1).mean(1)[:, None, None, None]


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="smooth",
            build=Smooth,
            stochastic=True,
            cite="Guo et al., Low Frequency Adversarial Perturbation, UAI 2019 (arXiv 1809.08758); "
            "Sharma et al., On the Effectiveness of Low Frequency Perturbations, IJCAI 2019",
        )
    ]
