"""Training of purifiers: on noise and a surrogate's perturbations, or on Eq. 8 for one generator.

A generator-agnostic purifier never meets the generator that it will defend: its adversarial examples are
those of the face parser. One for a given generator first learns from that generator's own adversarial
examples by pixels, and then from Eq. 8 itself: what G makes of the purified image must be what it makes of
the clean one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.functional import to_8bit
from magdr_core.train.context import TESTED_FROM, TrainContext
from magdr_core.train.optimiser import NetOptimiser, as_named

MAX_EPS = 12 / 255
"""Strengths are drawn per image from 2/255 up to here, for attacks and noise alike."""

MIN_EPS = 2 / 255
STEPS = 8
"""Sign steps of the training attacks."""

ATTACKED, NOISY = 0.65, 0.25
"""Shares of a batch; the rest is clean, and must stay so."""


class PurifyingTrainer:
    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.eq8 = context.recipe.settings["eq8"]
        self.generator = context.toolkit.generator("victim")
        self.surrogate = context.toolkit.build("parser", "surrogate")
        # Their networks without the guard, which would not let bfloat16 out.
        self._G, self._parser = self.generator.component, self.surrogate.component
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.net.to(memory_format=torch.channels_last)
        self._net = NetOptimiser(self.net, context.recipe.lr)
        self.optimisers = as_named([("net", self._net)])
        kept = context.drawn_once(self._examples)
        self.images, self.attacked, self.outputs = kept["images"], kept["attacked"], kept["outputs"]
        self.conditions = VectorCondition(kept["values"], kept["changed"])

    def _examples(self) -> dict[str, Tensor]:
        """Clean images, attacked ones, and what G makes of the clean ones."""
        parts: dict[str, list[Tensor]] = {
            k: [] for k in ("images", "attacked", "outputs", "values", "changed")
        }
        for indices in self.context.chunks(self.context.recipe.pool, 32):
            batch = self.context.split[indices]
            c = self._drawn(batch)
            parts["images"].append((batch.images * 255).round().byte())
            attacked = self._attacked(batch, c, own=self.eq8 > 0, steps=STEPS)
            parts["attacked"].append((attacked * 255).round().byte())
            with torch.no_grad():
                parts["outputs"].append((self.generator(batch.images, c) * 255).round().byte())
            parts["values"].append(c.values)
            parts["changed"].append(c.changed)
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def _drawn(self, batch: Batch) -> VectorCondition:
        c = self.generator.draw(batch, self._rng("purifier-condition", batch))
        assert isinstance(c, VectorCondition), "the shipped generators take vectors"
        return c

    def _rng(self, name: str, batch: Batch) -> SampleRng:
        return SampleRng(self.context.recipe.seed, name, batch.ids, device=self.context.device)

    def _attacked(self, batch: Batch, c: VectorCondition, *, own: bool, steps: int) -> Tensor:
        """Sign ascent on the change of the output: of the generator to be defended, or of the parser."""
        rng = self._rng("purifier-attack", batch)
        eps = rng.uniform(1, 1, 1, low=MIN_EPS, high=MAX_EPS)
        clean = batch.images

        def output(x: Tensor) -> Tensor:
            with self.context.autocast():
                return (self._G(x, c) if own else self._parser(x)).float()

        with torch.no_grad():
            reference = output(clean)
        x = clean + eps * rng.uniform(*clean.shape[1:], low=-1.0, high=1.0)
        for _ in range(steps):
            with torch.enable_grad():
                x = x.clamp(0, 1).requires_grad_(True)
                (gradient,) = torch.autograd.grad((output(x) - reference).square().sum(), x)
            x = x.detach() + eps / 3 * gradient.sign()
            x = torch.minimum(torch.maximum(x, clean - eps), clean + eps)
        return to_8bit(x.clamp(0, 1))

    @staticmethod
    def _noisy(x: Tensor, rng: SampleRng) -> Tensor:
        """Half of the images get random signs, half Gaussian noise."""
        strength = rng.uniform(1, 1, 1, low=MIN_EPS, high=MAX_EPS)
        noise = torch.where(rng.uniform(1, 1, 1) < 0.5, rng.sign(*x.shape[1:]), rng.normal(*x.shape[1:]))
        return to_8bit((x + strength * noise).clamp(0, 1))

    def step(self, i: int) -> dict[str, float]:
        recipe = self.context.recipe
        rng = SampleRng(recipe.seed, "purifying-step", [str(i)], device=self.context.device)
        pick = rng.integers(recipe.batch, high=len(self.images))[0]
        kind = rng.uniform(recipe.batch)[0][:, None, None, None]
        each = SampleRng(
            recipe.seed,
            "purifying-noise",
            [f"{i}.{j}" for j in range(recipe.batch)],
            device=self.context.device,
        )
        clean = self.images[pick].float() / 255
        seen = torch.where(kind < ATTACKED, self.attacked[pick].float() / 255, clean)
        seen = torch.where(kind > 1 - NOISY, self._noisy(clean, each), seen)
        with self.context.autocast():
            purified = self.net.residual(seen).float()
        pixels = (purified - clean).abs().mean()
        losses = {"pixels": float(pixels.detach())}
        loss = pixels
        if self.eq8 > 0 and i >= recipe.settings["eq8_from"] * recipe.steps:
            with self.context.autocast():
                y = self._G(purified.clamp(0, 1), self.conditions[pick]).float()
            error = (y - self.outputs[pick].float() / 255).abs().mean()
            losses["eq8"] = float(error.detach())
            loss = loss + self.eq8 * error
        self._net.step(loss)
        return losses

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """Output MSE (0 to 255 squared) on test faces: undefended and purified, attacked, noisy and clean."""
        test = self.context.for_testing()
        sums: dict[str, float] = {}
        for indices in test.chunks(self.context.recipe.tested, 32, TESTED_FROM):
            batch = test.split[indices]
            c = self._drawn(batch)
            reference = self.generator(batch.images, c)
            inputs = {
                "attacked": self._attacked(batch, c, own=True, steps=20),
                "noisy": self._noisy(batch.images, self._rng("purifier-test", batch)),
                "clean": batch.images,
            }
            for name, x in inputs.items():
                for label, shown in (("undefended", x), ("purified", to_8bit(self.net(x)))):
                    error = (self.generator(shown, c) - reference).square().flatten(1).mean(1).sum()
                    key = f"mse_o_{name}_{label}"
                    sums[key] = sums.get(key, 0.0) + 255**2 * float(error)
        quality: dict[str, Any] = {k: v / self.context.recipe.tested for k, v in sums.items()}
        return quality
