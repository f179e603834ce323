"""Paired training of networks whose result is known: a drawing of a picture, the picture behind a hole.

The losses are the editor's: absolute and squared error, the error again where it matters, image gradients,
and a small hinge adversary against the results as they should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.batch import VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.train.context import TrainContext
from magdr_core.train.editing import disruption, image_gradients
from magdr_core.train.pairs import PairsTrainer
from magdr_core.train.replacement import patch_critic


class TranslatingTrainer(PairsTrainer):
    """What the trainers of such networks share; each says what is asked for and what it should give."""

    def __init__(self, context: TrainContext) -> None:
        super().__init__(context, patch_critic())
        kept = context.drawn_once(self._pairs)
        self.images, self.results = kept["images"], kept["results"]

    def result(self, images: Tensor) -> Tensor:
        """What the network should make of pictures, where it does anything: `[B,3,H,W]` in [0,1] -> same."""
        raise NotImplementedError

    def asked(self, count: int, rng: SampleRng) -> VectorCondition:
        """Conditions for so many pictures; `rng` has a stream for each of them."""
        raise NotImplementedError

    def region(self, images: Tensor, c: VectorCondition) -> Tensor:
        """Where the error counts again, `[B,1,H,W]` of 0/1; outside of it the target is the picture."""
        raise NotImplementedError

    def copied(self, images: Tensor, region: Tensor) -> Tensor:
        """What a network that has learned nothing would give, `[B,3,H,W]`: what the card compares with."""
        raise NotImplementedError

    def _pairs(self) -> dict[str, Tensor]:
        """Pictures and what should become of them, as 8-bit images."""
        parts: dict[str, list[Tensor]] = {"images": [], "results": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            images = self.context.split[indices].images
            parts["images"].append((images * 255).round().byte())
            parts["results"].append((self.result(images) * 255).round().byte())
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        rng = SampleRng(recipe.seed, "translating-step", [str(i)], device=device)
        pick = rng.integers(recipe.batch, high=len(self.images))[0]
        mirror = (rng.uniform(recipe.batch)[0] < 0.5)[:, None, None, None]
        x, result = self.images[pick].float() / 255, self.results[pick].float() / 255
        x, result = torch.where(mirror, x.flip(3), x), torch.where(mirror, result.flip(3), result)
        ids = [f"{i}.{j}" for j in range(recipe.batch)]
        c = self.asked(len(x), SampleRng(recipe.seed, "translating-condition", ids, device=device))
        region = self.region(x, c)
        target = torch.where(region > 0, result, x)
        with self.context.autocast():
            y = self.net(x, c).float()
            critic_loss = F.relu(1 - self.critic(target)).mean() + F.relu(1 + self.critic(y.detach())).mean()
        self._critic.step(critic_loss)
        with self.context.autocast():
            adversarial = -self.critic(y).float().mean()
        error = (y - target).abs()
        inside = (error * region).sum((1, 2, 3)) / (3 * region.sum((1, 2, 3))).clamp_min(1)
        gradient = sum(
            (a - b).abs().mean() for a, b in zip(image_gradients(y), image_gradients(target), strict=True)
        )
        self._net.step(
            error.mean()
            + self.loss["square"] * error.square().mean()
            + self.loss["region"] * inside.mean()
            + self.loss["gradient"] * gradient
            + self.loss["adversarial"] * adversarial
        )
        return {
            "l1": float(error.detach().mean()),
            "region": float(inside.detach().mean()),
            "critic": float(critic_loss.detach()),
        }

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """`psnr` and `ratio` of :meth:`quality`, and what attacks do to the network."""
        return self.context.on_test_faces(lambda test: {**self.quality(test), **disruption(test, self.net)})

    def quality(self, test: TrainContext) -> dict[str, float]:
        """`psnr` over whole pictures; `ratio`, the squared error where something is to be made over that of a
        network that has learned nothing."""
        made = copied = 0.0
        psnr = []
        net: Any = self.net
        for indices in test.tested(64):
            batch = test.split[indices]
            c = self.asked(
                len(batch), SampleRng(test.recipe.seed, "translating-test", batch.ids, device=test.device)
            )
            x, region = batch.images, self.region(batch.images, c)
            target = torch.where(region > 0, self.result(x), x)
            error = (net(x, c) - target).square()
            psnr.append(-10 * error.flatten(1).mean(1).clamp_min(1e-10).log10())
            made += float((error * region).sum())
            copied += float(((self.copied(x, region) - target).square() * region).sum())
        return {"psnr": float(torch.cat(psnr).mean()), "ratio": made / max(copied, 1e-12)}
