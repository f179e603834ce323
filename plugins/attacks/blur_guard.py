"""Disruption without grain of its own, region by region (BlurGuard: Kim et al., NeurIPS 2025).

Purifiers take away what is rougher than a picture is. So each region of the face has a blur of its own, wide
where the picture is smooth, and the perturbation is ascended through it: first with widths that adapt until
the attacked picture is as rough as the clean one at every scale, then with these widths. The authors cut out
regions with a segmentation network; here it is a face parser.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Need, Objective, Parser, SampleRng, hookimpl
from magdr_core.functional import project_linf

from ._bounded_steps import mean_square
from ._region_blur import log_spectrum, region_blur
from ._sign_steps import DEFAULT_STEP, better

MAGDR_API = 1

WITHIN = 0.01
"""How far apart the logarithms of two spectra may be."""

NARROWEST, WIDEST = 0.3, 8.0
"""Widths in pixels: next to no blur, and the published kernel of 33 pixels at two standard deviations."""

BETAS, TINY = (0.9, 0.999), 1e-8
"""Of Adam (Kingma & Ba, ICLR 2015)."""


class BlurGuard:
    """The largest disruption by a perturbation that is blurred region by region, best iterate kept.

    Args:
        parser: finds the regions.
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps with widths that stay as they are.
        adapt: gradient steps before these, in which widths adapt.
        rate: Adam's, for the logarithms of the widths in pixels.
        step: root mean square of a step, in [0,1] units; 0 means eps / 5.
    """

    def __init__(
        self,
        *,
        parser: Parser,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 50,
        adapt: Annotated[int, Field(ge=0, le=10_000)] = 50,
        rate: Annotated[float, Field(gt=0, le=10)] = 0.05,
        step: Eps = 0.0,
    ) -> None:
        self.parser = parser
        self.eps, self.steps, self.adapt, self.rate = eps, steps, adapt, rate
        self.step_size = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1]."""
        with torch.no_grad():
            masks = self.parser(x)
            wanted = log_spectrum(x)
        widths = _Widths(x, masks, wanted, self.rate)
        delta = self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        for _ in range(self.adapt):
            delta = self._step(x, objective, masks, widths.log_sigma, delta)[0]
            widths.adapt(delta)
        best, best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)
        for _ in range(self.steps):
            moved, seen, loss = self._step(x, objective, masks, widths.log_sigma, delta)
            best, best_loss = better(seen, loss, best, best_loss)
            delta = moved
        seen = project_linf(x + region_blur(delta, masks, widths.log_sigma), x, self.eps)
        loss, _, _ = objective.evaluate(seen)
        return better(seen, loss, best, best_loss)[0]

    def _step(
        self, x: Tensor, objective: Objective, masks: Tensor, log_sigma: Tensor, delta: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(The next perturbation before its blur, `[B,3,H,W]`; the image of this one; its loss, `[B]`)."""
        with torch.enable_grad():
            raw = delta.detach().requires_grad_(True)
            blurred = region_blur(raw, masks, log_sigma)
            seen = project_linf(x + blurred.detach(), x, self.eps)
            loss, slope = objective.gradient(seen)
            (uphill,) = torch.autograd.grad(blurred, raw, slope)
        uphill = uphill / (mean_square(uphill).sqrt() + TINY * TINY)
        return (delta + self.step_size * uphill).clamp(-self.eps, self.eps), seen, loss


class _Widths:
    """Each region's width of blur, which grows while the attacked picture is unlike the clean one."""

    def __init__(self, x: Tensor, masks: Tensor, wanted: Tensor, rate: float) -> None:
        self.x, self.masks, self.wanted, self.rate = x, masks, wanted, rate
        self.log_sigma = torch.full(masks.shape[:2], math.log(2 * NARROWEST), device=x.device)
        self._first, self._second = torch.zeros_like(self.log_sigma), torch.zeros_like(self.log_sigma)
        self._number = 0

    def adapt(self, delta: Tensor) -> None:
        with torch.enable_grad():
            moved = self.log_sigma.detach().requires_grad_(True)
            attacked = (self.x + region_blur(delta, self.masks, moved)).clamp(0, 1)
            unlike = ((log_spectrum(attacked) - self.wanted).abs() - WITHIN).clamp_min(0)
            (slope,) = torch.autograd.grad(unlike.sum(), moved)
        self._number += 1
        self._first = BETAS[0] * self._first + (1 - BETAS[0]) * slope
        self._second = BETAS[1] * self._second + (1 - BETAS[1]) * slope.square()
        mean, spread = (
            self._first / (1 - BETAS[0] ** self._number),
            self._second / (1 - BETAS[1] ** self._number),
        )
        moved = self.log_sigma - self.rate * mean / (spread.sqrt() + TINY)
        self.log_sigma = moved.detach().clamp(math.log(NARROWEST), math.log(WIDEST))


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="blur-guard",
            build=BlurGuard,
            stochastic=True,
            needs={"parser": Need("parser")},
            cite="Kim et al., BlurGuard: A Simple Approach for Robustifying Image Protection Against "
            "AI-Powered Editing, NeurIPS 2025",
        )
    ]
