"""Purification by a small pixel diffusion model: noise is added, and the model takes away more than that.

Nie et al., Diffusion Models for Adversarial Purification (DiffPure), ICML 2022 (arXiv 2205.07460), with the
model and the samplers of EDM (Karras et al., NeurIPS 2022) instead of a DDPM. Their t* of 30, 50, 75, 100 and
150 of 1000 steps are noise of .11, .17, .26, .34 and .54 in [-1,1], half of that in the [0,1] of `sigma`.

The gradient is exact: nothing is detached, and steps are computed again on the way back. A purifier's random
noise is judged over fresh draws; `noise = "fixed"` is the same noise for every picture, which an attacker
knows. Several copies with noise of their own vote by their outputs: the mean, or the one nearest to all. The
restoration `edm` is the same model without added noise.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core import functional
from magdr_core.api import (
    AnyCondition,
    DefenseSpec,
    Field,
    Generator,
    SampleRng,
    Weights,
    hookimpl,
    load_state,
)

from ..networks.edm import Denoiser, Sigma, Steps, Width, as_picture, reverse

MAGDR_API = 1

Churn = Annotated[float, Field(ge=0, le=100)]
Noise = Literal["fresh", "fixed"]
Vote = Literal["mean", "medoid"]


class DiffusionPurifier:
    """Adds noise and runs the reverse process of a diffusion model from there, once.

    Args:
        net: the model.
        sigma: standard deviation of the noise, in [0,1] units.
        steps: passes of the network.
        churn: EDM's S_churn; 0 is the ODE.
        noise: `fresh` for each picture, or `fixed`.
        seed: of the fixed noise.
    """

    def __init__(
        self,
        net: Denoiser,
        *,
        sigma: float,
        steps: int,
        churn: float = 0.0,
        noise: Noise = "fresh",
        seed: int = 0,
    ) -> None:
        self.net, self.sigma, self.steps, self.churn = net, sigma, steps, churn
        self.noise, self.seed = noise, seed

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        return self.purified(x, self.stream(rng))

    def stream(self, rng: SampleRng) -> SampleRng:
        """What noise is drawn from: the pictures' own streams, or the same one for all."""
        if self.noise == "fresh":
            return rng
        return SampleRng(self.seed, "diffusion-purifier", ["fixed"] * len(rng), device=rng.device)

    def purified(self, x: Tensor, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same, with noise of these streams."""

        def piece(i: slice | list[int]) -> Tensor:
            given, own = x[i], rng.select(i)

            def noise() -> Tensor:
                return own.normal(*given.shape[1:]).to(given.dtype)

            u = 2 * given - 1 + 2 * self.sigma * noise()
            u = reverse(self.net.denoise, u, 2 * self.sigma, self.steps, churn=self.churn, noise=noise)
            return as_picture(u)

        return functional.in_pieces(piece, x)


class VotingPurifier(DiffusionPurifier):
    """Several copies with noise of their own; what the generator makes of them votes.

    Args:
        copies: at least 2.
        vote: `mean` of the outputs, or `medoid`: the one with the least sum of squared distances to the rest.
    """

    def __init__(self, net: Denoiser, *, copies: int, vote: Vote, **settings: Any) -> None:
        super().__init__(net, **settings)
        self.copies, self.vote = copies, vote

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same: the mean of the copies, which measures of inputs are taken of."""
        return self.each(x, rng).mean(1)

    def output(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """The vote of what `G` makes of the copies, `[B,3,H,W]` in [0,1] -> same."""
        copies = self.each(x, rng)
        # As if each were handed on as a picture, copy by copy: conditions are repeated batch-wise.
        given = functional.straight_through(functional.to_8bit(copies), copies).transpose(0, 1).flatten(0, 1)
        outputs = G(given, c.repeat(self.copies)).unflatten(0, (self.copies, len(x)))
        if self.vote == "mean":
            return outputs.mean(0)
        apart = (outputs[:, None] - outputs[None]).detach().square().flatten(3).mean(3)  # [n,n,B]
        return outputs[apart.sum(1).argmin(0), torch.arange(len(x), device=x.device)]

    def each(self, x: Tensor, rng: SampleRng) -> Tensor:
        """The copies, `[B,n,3,H,W]`."""
        streams = self.stream(rng).repeat_interleave(self.copies)
        return self.purified(x.repeat_interleave(self.copies, 0), streams).unflatten(0, (len(x), self.copies))


def diffusion_purifier(
    *,
    weights: Weights = "builtin:diffusion-faces64",
    sigma: Sigma = 0.05,
    steps: Steps = 4,
    churn: Churn = 0.0,
    noise: Noise = "fresh",
    seed: Annotated[int, Field(ge=0)] = 0,
    copies: Annotated[int, Field(ge=1, le=256)] = 1,
    vote: Vote = "mean",
    width: Width = 36,
) -> DiffusionPurifier:
    """Noise of level `sigma` is added, and a diffusion model takes it away with the perturbation (DiffPure).

    `steps` are passes of the network; `churn` above 0 makes the way back stochastic (EDM's Algorithm 2).
    `noise = "fixed"` is the same for every picture, by `seed`. Several `copies` `vote` by their outputs.

    Args:
        weights: weight file of the diffusion model.
        sigma: standard deviation of the noise that is added, in [0,1] units.
        steps: passes of the network on the way back.
        churn: how much fresh noise is added on the way back, S_churn of EDM; 0 makes it deterministic.
        noise: whether each picture gets `fresh` noise, or all the `fixed` noise of `seed`.
        seed: seed of the fixed noise.
        copies: times that each picture is purified, with noise of its own.
        vote: how the outputs of several copies become one: their mean, or the medoid, nearest to all
            others.
        width: channels of the first level, as in the weight file.
    """
    net = Denoiser(width)
    load_state(net, weights)
    net.eval()
    how: dict[str, Any] = {"sigma": sigma, "steps": steps, "churn": churn, "noise": noise, "seed": seed}
    return (
        DiffusionPurifier(net, **how) if copies == 1 else VotingPurifier(net, copies=copies, vote=vote, **how)
    )


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="diffusion-purifier",
            build=diffusion_purifier,
            stochastic=True,
            gradient="exact",
            cite="Nie et al., DiffPure, ICML 2022 (arXiv 2205.07460)",
            tags=("baseline",),
        )
    ]
