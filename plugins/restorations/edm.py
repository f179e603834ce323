"""Purification by a small pixel diffusion model: noise is added, and the model takes away more than that.

Nie et al., Diffusion Models for Adversarial Purification (DiffPure), ICML 2022 (arXiv 2205.07460), with the
model and the samplers of EDM (Karras et al., NeurIPS 2022) instead of a DDPM. Their t* of 30, 50, 75, 100 and
150 of 1000 steps are noise of .11, .17, .26, .34 and .54 in [-1,1], half of that in the [0,1] of `sigma`.

Without added noise the perturbation itself is taken for the noise, as Anti-disrupt (Yoon et al., IEEE Access
2024) does, which starts its chain on the received picture at t = 10: deterministic, cheap, and no obstacle to
an attack that knows of it. That form is a restoration, which Rec-Net may choose.

The gradient is exact: nothing is detached, and steps are computed again on the way back. A purifier's random
noise is judged over fresh draws; `noise = "fixed"` is the same noise for every picture, which an attacker
knows. Several copies with noise of their own vote by their outputs: the mean, or the one nearest to all.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core import functional
from magdr_core.api import (
    AnyCondition,
    DefenseSpec,
    Field,
    Generator,
    RestorationSpec,
    SampleRng,
    Weights,
    hookimpl,
    load_state,
)

from ._edm import SIGMA_MAX, Denoiser, Draw, reverse

MAGDR_API = 1

Sigma = Annotated[float, Field(gt=0, le=SIGMA_MAX / 2)]
Steps = Annotated[int, Field(ge=1, le=100)]
Churn = Annotated[float, Field(ge=0, le=100)]
Width = Annotated[int, Field(ge=6, le=384, multiple_of=6)]
Noise = Literal["fresh", "fixed"]
Vote = Literal["mean", "medoid"]


class EDM(Denoiser):
    """`[B,3,H,W]` in [0,1] -> same, by the reverse ODE from the received picture; no noise is added.

    Args:
        width: channels of the first level.
        sigma: noise level that is assumed, in [0,1] units.
        steps: passes of the network; 1 is a plain denoiser.
    """

    def __init__(self, width: int, *, sigma: float = 0.1, steps: int = 1) -> None:
        super().__init__(width)
        self.sigma, self.steps = sigma, steps

    def forward(self, x: Tensor) -> Tensor:
        return functional.in_pieces(lambda i: self.purified(x[i], self.sigma, self.steps), x)

    def purified(
        self, x: Tensor, sigma: float, steps: int, *, added: bool = False, churn: float = 0.0,
        noise: Draw | None = None, checkpointed: bool = True,
    ) -> Tensor:  # fmt: skip
        """Noise of level `sigma` ([0,1] units) added if `added`, and taken away; `[B,3,H,W]` in [0,1] -> same."""
        u = 2 * x - 1
        if added:
            assert noise is not None, "there is no noise to add"
            u = u + 2 * sigma * noise()
        u = reverse(
            self.denoise, u, 2 * sigma, steps, churn=churn, noise=noise, checkpointed=checkpointed
        )
        return functional.clamp_inclusive((u + 1) / 2)


def edm(
    *,
    weights: Weights = "builtin:diffusion-faces64",
    sigma: Sigma = 0.1,
    steps: Steps = 1,
    width: Width = 48,
) -> EDM:
    """A diffusion model as a denoiser: the perturbation is taken for noise of level `sigma`, none is added.

    `[B,3,H,W]` -> same. `steps` are passes of the network along the reverse ODE.
    """
    net = EDM(width, sigma=sigma, steps=steps)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="edm",
            build=edm,
            stage="denoise",
            grid={"sigma": [0.025, 0.05, 0.1]},
            gradient="exact",
            cite="Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022",
        )
    ]
