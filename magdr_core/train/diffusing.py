"""Training of a small pixel diffusion model on drawn faces: the denoising loss of EDM.

Karras et al., NeurIPS 2022 (arXiv 2206.00364), Eq. 8 with the weight of Table 1, (s^2 + .25) / (.5 s)^2. Here
ln s is uniform over the levels that purification visits, not normal around images that are mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from magdr_core.components.rng import SampleRng
from magdr_core.train.context import TrainContext
from magdr_core.train.optimiser import NetOptimiser, as_named

SIGMA_DATA = 0.5
"""Of EDM's preconditioning, for pictures in [-1,1]."""

TESTED = (0.05, 0.1, 0.2, 0.4)
"""Noise levels of the card's figures, in [-1,1] units."""


class DiffusingTrainer:
    """The network has `denoise(u, s)` of pictures `[B,3,H,W]` and noise levels `[B]`, both in [-1,1] units.

    `settings` hold `sigma_from` and `sigma_to`, between which levels are drawn, and `crop`, the side of the
    squares that are learned from: what removes so little noise looks at a pixel's surroundings only.
    """

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.net.to(memory_format=torch.channels_last)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self._net = NetOptimiser(self.net, context.recipe.lr)
        self.optimisers = as_named([("net", self._net)])
        self.images = context.drawn_once(self._pictures)["images"]

    def _pictures(self) -> dict[str, Tensor]:
        batches = self.context.chunks(self.context.recipe.pool, 64)
        return {"images": torch.cat([(self.context.split[i].images * 255).round().byte() for i in batches])}

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        rng = SampleRng(recipe.seed, "diffusing-step", [str(i)], device=device)
        x = self.images[rng.integers(recipe.batch, high=len(self.images))[0]].float() / 255
        x = torch.where((rng.uniform(recipe.batch)[0] < 0.5)[:, None, None, None], x.flip(3), x)
        # One place for the whole batch, as where enlarging is learned.
        side = int(recipe.settings["crop"])
        top, left = (rng.integers(1, high=size - side + 1).item() for size in x.shape[2:])
        x = x[..., top : top + side, left : left + side]
        low, high = (math.log(recipe.settings[name]) for name in ("sigma_from", "sigma_to"))
        s = rng.uniform(recipe.batch, low=low, high=high)[0].exp()
        ids = [f"{i}.{j}" for j in range(recipe.batch)]
        noise = SampleRng(recipe.seed, "diffusing-noise", ids, device=device).normal(*x.shape[1:])
        u = 2 * x - 1
        with self.context.autocast():
            clean = self.net.denoise(u + s[:, None, None, None] * noise, s)
        weight = (s.square() + SIGMA_DATA**2) / (s * SIGMA_DATA).square()
        squared = (clean.float() - u).square().mean((1, 2, 3))
        self._net.step((weight * squared).mean())
        return {
            "loss": float((weight * squared).mean().detach()),
            "rms": float(squared.detach().mean().sqrt()),
        }

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """On test faces, `rms_S`: what is left of Gaussian noise of standard deviation S, and `rms_clean_S`:
        what is taken from clean faces at that level, all in [-1,1] units."""
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        sums: dict[str, list[Tensor]] = {}
        for indices in test.tested(8):
            batch = test.split[indices]
            u = 2 * batch.images - 1
            for s in TESTED:
                rng = SampleRng(self.context.recipe.seed, "diffusing-test", batch.ids, device=u.device)
                for name, seen in (("rms", u + s * rng.normal(*u.shape[1:])), ("rms_clean", u)):
                    made = self.net.denoise(seen, u.new_full((len(u),), s))
                    sums.setdefault(f"{name}_{s:g}", []).append((made - u).square().flatten(1).mean(1))
        return {name: math.sqrt(torch.cat(parts).mean()) for name, parts in sums.items()}
