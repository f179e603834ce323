"""Training of purifiers: on noise and a surrogate's perturbations, or on Eq. 8 for one generator.

A share of the attacks is smooth (`plugins/attacks/smooth.py`): what only ever saw perturbations of fine grain
lets low frequencies through.

A generator-agnostic purifier never meets the generator that it will defend: its adversarial examples are
those of the face parser. One for a given generator first learns from that generator's own adversarial
examples by pixels, and then from Eq. 8 itself: what G makes of the purified image must be what it makes of
the clean one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.functional import to_8bit
from magdr_core.train.context import TrainContext
from magdr_core.train.optimiser import NetOptimiser, as_named

MAX_EPS = 12 / 255
"""Strengths are drawn per image from 2/255 up to here, for attacks and noise alike."""

MIN_EPS = 2 / 255
STEPS = 8
"""Sign steps of the training attacks."""

SMOOTH_STEPS = 12
SMOOTH: tuple[dict[str, Any], ...] = (
    {"spectrum": "gaussian", "sigma": 0.7},
    {"spectrum": "gaussian", "sigma": 1.0},
    {"spectrum": "gaussian", "sigma": 2.0},
    {"spectrum": "dct", "cutoff": 0.12},
    {"spectrum": "dct", "cutoff": 0.25},
    {"spectrum": "dct", "cutoff": 0.5},
)
"""The smooth attacks of the training. One is drawn for each chunk of its images, and a strength. Enlarged
grids are left out, to be tested on."""

UNSEEN: dict[str, Any] = {"spectrum": "upsampled", "grid": 24, "eps": 6 / 255}
"""The smooth attack that the card's quality is measured on."""

ATTACKED, NOISY = 0.65, 0.25
"""Shares of a batch; the rest is clean, and must stay so."""


class _Change:
    """How far an output is from that on the clean images: what training attacks ascend."""

    def __init__(self, output: Callable[[Tensor], Tensor], clean: Tensor) -> None:
        self.output = output
        with torch.no_grad():
            self.reference = output(clean)

    def __call__(self, x: Tensor) -> Tensor:
        """Squared change, summed over the output: `[B]` of `[B,3,H,W]`, differentiable."""
        return (self.output(x) - self.reference).square().flatten(1).sum(1)

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(change `[B]`, its gradient `[B,3,H,W]`), without a graph."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            change = self(x)
            (gradient,) = torch.autograd.grad(change.sum(), x)
        return change.detach(), gradient

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(change `[B]`, the same, bool `[B]` of ones)."""
        change = self(x)
        return change, change, torch.ones(len(x), dtype=torch.bool, device=x.device)


class PurifyingTrainer:
    """`settings`: `eq8`, the weight of Eq. 8, which is 0 for a purifier of no generator's; `eq8_from`, the
    share of the steps after which it counts; `smooth`, the share of smooth ones among the attacked training
    images, 0 if left out."""

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.eq8 = context.recipe.settings["eq8"]
        self.smooth = context.recipe.settings.get("smooth", 0.0)
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
            parts["attacked"].append((self._training_attack(batch, c) * 255).round().byte())
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

    def _training_attack(self, batch: Batch, c: VectorCondition) -> Tensor:
        """Attacked images `[B,3,H,W]`: the last ones of a batch by a smooth attack, those before by signs."""
        own, fine = self.eq8 > 0, len(batch) - round(self.smooth * len(batch))
        parts = []
        if fine:
            parts.append(self._attacked(batch[:fine], c[:fine], own=own, steps=STEPS))
        if fine < len(batch):
            parts.append(self._smooth_attack(batch[fine:], c[fine:], own=own))
        return torch.cat(parts)

    def _attacked(self, batch: Batch, c: VectorCondition, *, own: bool, steps: int) -> Tensor:
        """Sign ascent on the change of the output: of the generator to be defended, or of the parser."""
        rng = self._rng("purifier-attack", batch)
        eps = rng.uniform(1, 1, 1, low=MIN_EPS, high=MAX_EPS)
        clean = batch.images
        change = self._change(batch, c, own=own)
        x = clean + eps * rng.uniform(*clean.shape[1:], low=-1.0, high=1.0)
        for _ in range(steps):
            x = x.clamp(0, 1)
            x = x + eps / 3 * change.gradient(x)[1].sign()
            x = torch.minimum(torch.maximum(x, clean - eps), clean + eps)
        return to_8bit(x.clamp(0, 1))

    def _smooth_attack(
        self, batch: Batch, c: VectorCondition, *, own: bool, kind: Mapping[str, Any] | None = None
    ) -> Tensor:
        """A smooth attack on the same change, of a drawn kind and strength where none is given."""
        if kind is None:
            drawn = self._rng("purifier-smooth", batch[:1])
            strength = float(drawn.uniform(1, low=MIN_EPS, high=MAX_EPS))
            kind = {**SMOOTH[int(drawn.integers(1, high=len(SMOOTH)))], "eps": strength}
        attack = self.context.toolkit.sibling("attack", "smooth", steps=SMOOTH_STEPS, **kind).component
        attacked: Tensor = attack(
            batch.images, self._change(batch, c, own=own), rng=self._rng("purifier-attack", batch)
        )
        return attacked

    def _change(self, batch: Batch, c: VectorCondition, *, own: bool) -> _Change:
        def output(x: Tensor) -> Tensor:
            with self.context.autocast():
                return (self._G(x, c) if own else self._parser(x)).float()

        return _Change(output, batch.images)

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
        """Output MSE (0 to 255 squared) on test faces: undefended and purified; attacked, attacked smoothly
        (of a kind that the training does not see), noisy and clean."""
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        sums: dict[str, float] = {}
        count = 0
        for indices in test.tested(32):
            batch = test.split[indices]
            count += len(batch)
            c = self._drawn(batch)
            reference = self.generator(batch.images, c)
            inputs = {
                "attacked": self._attacked(batch, c, own=True, steps=20),
                "smooth": self._smooth_attack(batch, c, own=True, kind=UNSEEN),
                "noisy": self._noisy(batch.images, self._rng("purifier-test", batch)),
                "clean": batch.images,
            }
            for name, x in inputs.items():
                for label, shown in (("undefended", x), ("purified", to_8bit(self.net(x)))):
                    error = (self.generator(shown, c) - reference).square().flatten(1).mean(1).sum()
                    key = f"mse_o_{name}_{label}"
                    sums[key] = sums.get(key, 0.0) + 255**2 * float(error)
        return {k: v / count for k, v in sums.items()}
