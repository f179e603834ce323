"""Paired training of a reenactment network: the dataset can draw the same face with other action units.

The losses of the face editor (:mod:`magdr_core.train.editing`), taken on the composited image, an adversary
that measures action units, and a penalty on attention, as in GANimation. Those alone end in a network that
copies its input: within a hundred steps the attention is 1 everywhere, and a colour image that nothing shows
learns nothing. So the colour image is held to the exact result too, inside the changed region; outside, it is
free, as in GANimation. The penalty on attention is strong: a network that copies most of the picture is a
poor stand-in for one that was trained without pairs, and what is copied cannot be disrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.objective import SUCCESS
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import part_index
from magdr_core.guards import GuardedGenerator
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.train.context import TESTED_FROM, TrainContext
from magdr_core.train.editing import PatchCritic, change_map, image_gradients
from magdr_core.train.pairs import PairsTrainer

DISRUPTED = 64
"""Test faces that the card's disruption is measured on."""

GROUPS = ("mouth", "brows", "eyes")
"""Parts whose action units are also set alone, to see that each of them moves."""

BORROWED = 0.25
"""Share of the training pairs with the action units of another face; the rest draws expressions."""


@runtime_checkable
class ReenactedSplit(Protocol):
    """A split that can draw its pictures with other action units."""

    def __getitem__(self, indices: Sequence[int]) -> Batch: ...

    def reenacted(self, indices: Sequence[int], action_units: Tensor) -> Tensor:
        """`action_units` `[B,17]` in [0,1] -> `[B,3,H,W]`."""


class ReenactmentTrainer(PairsTrainer):
    def __init__(self, context: TrainContext) -> None:
        super().__init__(context, PatchCritic(len(context.net.condition_names)))
        pairs = context.drawn_once(self._pairs)
        self.images, self.moved = pairs["images"], pairs["moved"]
        self.conditions = VectorCondition(pairs["values"], pairs["changed"])

    def _pairs(self) -> dict[str, Tensor]:
        """Images with one expression each and how they look with it, as 8-bit images."""
        parts: dict[str, list[Tensor]] = {"images": [], "moved": [], "values": [], "changed": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            batch, c = draw_expressions(self.context, indices)
            source = action_units(batch)
            rng = SampleRng(self.context.recipe.seed, "borrowed", batch.ids, device=source.device)
            borrowed = rng.uniform(1) < BORROWED
            values = torch.where(borrowed, source.roll(1, 0), c.values)
            target = reenacted(self.context, indices, values)
            parts["images"].append((batch.images * 255).round().byte())
            parts["moved"].append((target * 255).round().byte())
            parts["values"].append(values)
            parts["changed"].append(values != source)
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def step(self, i: int) -> dict[str, float]:
        n, recipe = len(self.images), self.context.recipe
        rng = SampleRng(recipe.seed, "reenactment-step", [str(i)], device=self.context.device)
        pick = rng.integers(recipe.batch, high=n)[0]
        mirror = (rng.uniform(recipe.batch)[0] < 0.5)[:, None, None, None]
        x, target = self.images[pick].float() / 255, self.moved[pick].float() / 255
        x, target = torch.where(mirror, x.flip(3), x), torch.where(mirror, target.flip(3), target)
        c = self.conditions[pick]

        with self.context.autocast():
            colour, attention = (t.float() for t in self.net.heads(x, c))
        y = attention * x + (1 - attention) * colour
        with self.context.autocast():
            real, real_units = self.critic(target)
            fake, _ = self.critic(y.detach())
        critic_loss = F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()
        critic_loss = critic_loss + F.mse_loss(real_units.float(), c.values)
        self._critic.step(critic_loss)

        with self.context.autocast():
            fake, units = self.critic(y)
        adversarial = -fake.float().mean() + F.mse_loss(units.float(), c.values)
        region = change_map(x, target)
        gradient = torch.stack(
            [(a - b).abs().mean() for a, b in zip(image_gradients(y), image_gradients(target), strict=True)]
        )
        error = self._error(y, target)
        loss = (
            error.mean()
            + self.loss["region"] * inside(error, region).mean()
            + self.loss["colour"] * inside(self._error(colour, target), region).mean()
            + self.loss["gradient"] * gradient.sum()
            + self.loss["adversarial"] * adversarial
            + self.loss["attention"] * attention.mean()
        )
        self._net.step(loss)
        absolute = (y - target).detach().abs()
        return {
            "l1": float(absolute.mean()),
            "region": float(inside(absolute, region).mean()),
            "attention": float(attention.detach().mean()),
            "critic": float(critic_loss.detach()),
        }

    def _error(self, y: Tensor, target: Tensor) -> Tensor:
        difference = (y - target).abs()
        return difference + self.loss["square"] * difference.square()

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        test, tested = self.context.for_testing(), self.context.recipe.tested
        return {
            **reenactment_quality(test, self.net, samples=tested),
            **disruption(test, self.net, samples=min(DISRUPTED, tested)),
        }


def inside(values: Tensor, region: Tensor) -> Tensor:
    """Mean of `values` `[B,C,H,W]` over a region `[B,1,H,W]` of 0/1: `[B]`, 0 where it is empty."""
    area = values.shape[1] * region.sum((1, 2, 3))
    return (values * region).sum((1, 2, 3)) / area.clamp_min(1)


def action_units(batch: Batch) -> Tensor:
    """The action units of a batch, `[B,17]` in [0,1].

    Raises:
        MagdrError: the dataset does not know them.
    """
    if batch.action_units is None:
        raise MagdrError("reenactment is learned from a dataset that knows its action units")
    return batch.action_units


def draw_expressions(context: TrainContext, indices: list[int]) -> tuple[Batch, VectorCondition]:
    """Images of a split and another expression for each."""
    batch = context.split[indices]
    rng = SampleRng(context.recipe.seed, "reenactment-condition", batch.ids, device=context.device)
    return batch, context.net.draw(batch, rng)


def reenacted(context: TrainContext, indices: list[int], values: Tensor) -> Tensor:
    """How the pictures look with these action units, `[n,3,H,W]` in [0,1].

    Args:
        indices: n of them.
        values: `[n,17]` in [0,1].

    Raises:
        MagdrError: the dataset cannot draw that.
    """
    split = context.split
    if not isinstance(split, ReenactedSplit):
        raise MagdrError("reenactment is learned from a dataset that can draw a face with other action units")
    return split.reenacted(indices, values)


@torch.no_grad()
def reenactment_quality(context: TrainContext, net: Any, samples: int) -> dict[str, float]:
    """The gate of a reenactment network, on `samples` faces of the context's split.

    `ratio`: squared error inside the changed region over the error of copying the input; `ratio_mouth` and
    so on: the same where only the units of that part are set; `psnr` over whole images; `attention` and
    `attention_inside`: the mean mask, over the image and inside the changed region.
    """
    every = torch.eye(len(net.condition_names), dtype=torch.bool, device=context.device)
    parts = net.edited(VectorCondition(every.float(), every))
    chosen = {"ratio": torch.ones_like(every[0])}
    chosen |= {f"ratio_{part}": parts[:, part_index(part)] for part in GROUPS}
    made, copied = dict.fromkeys(chosen, 0.0), dict.fromkeys(chosen, 0.0)
    psnr, attention, attention_inside = [], [], []
    for indices in context.chunks(samples, 64, TESTED_FROM):
        batch, c = draw_expressions(context, indices)
        x = batch.images
        for name, units in chosen.items():
            values = torch.where(units, c.values, action_units(batch))
            target = reenacted(context, indices, values)
            colour, mask = net.heads(x, VectorCondition(values, c.changed & units))
            y, region = mask * x + (1 - mask) * colour, change_map(x, target)
            made[name] += float(((y - target).square() * region).sum())
            copied[name] += float(((x - target).square() * region).sum())
            if name == "ratio":
                psnr.append(-10 * (y - target).square().flatten(1).mean(1).log10())
                attention.append(mask.flatten(1).mean(1))
                attention_inside.append(inside(mask, region))
    return {
        "psnr": float(torch.cat(psnr).mean()),
        **{name: made[name] / max(copied[name], 1e-12) for name in chosen},
        "attention": float(torch.cat(attention).mean()),
        "attention_inside": float(torch.cat(attention_inside).mean()),
    }


class _Inside:
    """The generator as an attack sees it that cares about the changed region alone."""

    def __init__(self, generator: GuardedGenerator, region: Tensor) -> None:
        self.generator = generator
        self.region = region
        self.objective = generator.objective

    def __call__(self, x: Tensor, c: VectorCondition) -> Tensor:
        return self.generator(x, c) * self.region


def disruption(context: TrainContext, net: Any, samples: int) -> dict[str, float]:
    """Output MSE ([-1,1] units) that PGD (6/255, 30 steps) and random signs of that strength cause.

    Over whole images, and (`inside`) over the region that the exact result visibly changes: the rest of an
    attention network's output is its input, perturbation included. PGD on the whole output therefore spends
    itself on the copied pixels; `aimed` is PGD on the output inside the region.
    """
    G = GuardedGenerator(net, "the network in training")
    pgd = context.toolkit.sibling("attack", "pgd", eps=6 / 255, steps=30)
    attacks = {
        "pgd": pgd,
        "aimed": pgd,
        "noise": context.toolkit.sibling("attack", "noise", eps=6 / 255),
    }
    whole: dict[str, list[Tensor]] = {name: [] for name in attacks}
    changed: dict[str, list[Tensor]] = {name: [] for name in attacks}
    for indices in context.chunks(samples, 32, TESTED_FROM):
        clean = draw_samples(context.split, G, first=indices[0], count=len(indices), seed=0)[0]
        assert isinstance(clean.conditions, VectorCondition)
        region = change_map(clean.images, reenacted(context, indices, clean.conditions.values))
        with torch.no_grad():
            reference = G(clean.images, clean.conditions)
        for name, attack in attacks.items():
            seen: Any = _Inside(G, region) if name == "aimed" else G
            attacked = attack_samples(clean, attack, seen, name=name, seed=0)
            with torch.no_grad():
                error = 4 * (G(attacked, clean.conditions) - reference).square().mean(1, keepdim=True)
            whole[name].append(error.mean((1, 2, 3)))
            changed[name].append(inside(error, region))
    figures = {"disrupted_faces": float(samples)}
    for where, parts in (("", whole), ("_inside", changed)):
        values = {name: torch.cat(errors) for name, errors in parts.items()}
        for name in ("pgd", "aimed") if where else ("pgd",):
            figures[f"{name}_mean{where}"] = float(values[name].mean())
            figures[f"{name}_median{where}"] = float(values[name].median())
            figures[f"{name}_success{where}"] = float((values[name] > SUCCESS).float().mean())
        figures[f"noise_median{where}"] = float(values["noise"].median())
    return figures
