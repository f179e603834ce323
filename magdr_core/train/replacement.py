"""Paired training of a face replacement: the dataset can draw the same picture with the other person's face.

The losses are the editor's (absolute and squared error, the error inside the changed region, image
gradients, a small hinge adversary); there is no attribute to tell the adversary. As in CycleGAN (its identity
loss), a share of the pictures shows the other person's face already and has to stay as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.objective import SUCCESS, ObjectiveName, build_objective, symmetric_mse
from magdr_core.components.rng import SampleRng
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.runtime.samples import draw_samples
from magdr_core.train.context import TESTED_FROM, TrainContext
from magdr_core.train.editing import change_map, image_gradients
from magdr_core.train.pairs import PairsTrainer

DISRUPTED = 64
"""Test faces that the card's disruption is measured on; each is attacked twice."""

CARD_TAU = 0.05
"""The tau of the shares on a card, output MSE in [-1,1] units; benchmarks ask for more."""


class ReplacingSplit(Protocol):
    """A split of one person's pictures that can also draw the exact replacement."""

    def __getitem__(self, indices: list[int]) -> Batch: ...

    def replaced(self, indices: list[int]) -> Tensor:
        """The same pictures with the other person's face: `[B,3,H,W]`."""


def patch_critic(width: int = 32) -> nn.Sequential:
    """Realness of the patches of an image, `[B,3,H,W]` in [0,1] -> `[B,1,H/8,W/8]`."""
    layers: list[nn.Module] = []
    for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 3, padding=1))


class ReplacementTrainer(PairsTrainer):
    def __init__(self, context: TrainContext) -> None:
        super().__init__(context, patch_critic())
        pairs = context.drawn_once(self._pairs)
        self.images, self.replaced = pairs["images"], pairs["replaced"]

    def _pairs(self) -> dict[str, Tensor]:
        """Images and their exact replacements, as 8-bit images."""
        parts: dict[str, list[Tensor]] = {"images": [], "replaced": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            x, target = draw_pairs(self.context, indices)
            parts["images"].append((x * 255).round().byte())
            parts["replaced"].append((target * 255).round().byte())
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def step(self, i: int) -> dict[str, float]:
        recipe = self.context.recipe
        rng = SampleRng(recipe.seed, "replacement-step", [str(i)], device=self.context.device)
        pick = rng.integers(recipe.batch, high=len(self.images))[0]
        x, target = self.images[pick].float() / 255, self.replaced[pick].float() / 255
        stays = rng.uniform(recipe.batch)[0] < self.loss["identity"]
        x = torch.where(stays[:, None, None, None], target, x)

        with self.context.autocast():
            y = self.net(x, nothing(x)).float()
        with self.context.autocast():
            real, fake = self.critic(target), self.critic(y.detach())
            critic_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        self._critic.step(critic_loss)

        with self.context.autocast():
            adversarial = -self.critic(y).float().mean()
        error = (y - target).abs()
        region = change_map(x, target)
        inside = (error * region).sum((1, 2, 3)) / (3 * region.sum((1, 2, 3))).clamp_min(1)
        gradient = sum(
            (a - b).abs().mean() for a, b in zip(image_gradients(y), image_gradients(target), strict=True)
        )
        swapped = (~stays).sum().clamp_min(1)
        loss = (
            error.mean()
            + self.loss["square"] * error.square().mean()
            + self.loss["region"] * inside.sum() / swapped
            + self.loss["gradient"] * gradient
            + self.loss["adversarial"] * adversarial
        )
        self._net.step(loss)
        return {
            "l1": float(error.detach().mean()),
            "region": float(inside.detach().sum() / swapped),
            "critic": float(critic_loss.detach()),
        }

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        tested = self.context.recipe.tested
        context = self.context.for_testing()
        return {
            **replacement_quality(context, self.net, samples=tested),
            **replacement_disruption(context, self.net, samples=min(DISRUPTED, tested)),
        }


def nothing(x: Tensor) -> VectorCondition:
    """The condition without entries of a batch of images `[B,3,H,W]`: `[B,0]`."""
    values = x.new_zeros(len(x), 0)
    return VectorCondition(values, values.bool())


def draw_pairs(context: TrainContext, indices: list[int]) -> tuple[Tensor, Tensor]:
    """Images of the context's split and their exact replacements, `[B,3,H,W]` each."""
    split = cast(ReplacingSplit, context.split)
    return split[indices].images, split.replaced(indices)


@torch.no_grad()
def replacement_quality(
    context: TrainContext, net: Any, samples: int, first: int = TESTED_FROM
) -> dict[str, float]:
    """The gate of a replacement, on faces of the context's split.

    `ratio`: squared error inside the changed region over the error of copying the input; `l1_ratio` the same
    of absolute errors; `psnr` over whole images; `psnr_copied` that of copying.
    """
    made, copied = torch.zeros(2), torch.zeros(2)
    psnr: dict[str, list[Tensor]] = {"psnr": [], "psnr_copied": []}
    for indices in context.chunks(samples, 64, first):
        x, target = draw_pairs(context, indices)
        y = net(x, nothing(x))
        region = change_map(x, target)
        for name, picture in (("psnr", y), ("psnr_copied", x)):
            psnr[name].append(-10 * (picture - target).square().flatten(1).mean(1).log10())
        for i, power in enumerate((2, 1)):
            made[i] += float(((y - target).abs() ** power * region).sum())
            copied[i] += float(((x - target).abs() ** power * region).sum())
    ratio, l1_ratio = (made / copied).tolist()
    means = {name: float(torch.cat(parts).mean()) for name, parts in psnr.items()}
    return {**means, "ratio": ratio, "l1_ratio": l1_ratio}


def replacement_disruption(
    context: TrainContext, net: Any, samples: int, first: int = TESTED_FROM
) -> dict[str, float]:
    """What PGD (6/255, 30 steps) does, untargeted and towards the input, beside random signs and no attack.

    All in [-1,1] units. `pgd_*` and `noise_median`: output MSE to the clean output, as for editors.
    `towards_input_*`: the same and `towards_input_success`, the share of faces whose output is within tau of
    the input, so that no replacement happened; `clean_success` and `noise_success` are those shares without
    an attack and under noise. `*_to_input` are the medians of the output's MSE to the input.
    """
    G = GuardedGenerator(net, "the network in training")
    pgd = context.toolkit.sibling("attack", "pgd", eps=6 / 255, steps=30)
    noise = context.toolkit.sibling("attack", "noise", eps=6 / 255)
    attacks: dict[str, tuple[GuardedAttack, ObjectiveName]] = {
        "pgd": (pgd, "untargeted"),
        "towards_input": (pgd, "towards-input"),
        "noise": (noise, "untargeted"),
    }
    caused: dict[str, list[Tensor]] = {name: [] for name in attacks}
    to_input: dict[str, list[Tensor]] = {name: [] for name in ("clean", *attacks)}
    for indices in context.chunks(samples, 32, first):
        clean = draw_samples(context.split, G, first=indices[0], count=len(indices), seed=0)[0]
        x, c = clean.images, clean.conditions
        with torch.no_grad():
            reference = G(x, c)
        to_input["clean"].append(symmetric_mse(reference, x))
        for name, (attack, objective) in attacks.items():
            rng = SampleRng(0, f"attack/{name}", clean.ids, device=x.device)
            attacked = attack(x, build_objective(objective, G, x, c), rng=rng)
            with torch.no_grad():
                y = G(attacked, c)
            caused[name].append(symmetric_mse(y, reference))
            to_input[name].append(symmetric_mse(y, x))
    moved = {name: torch.cat(parts) for name, parts in caused.items()}
    near = {name: torch.cat(parts) for name, parts in to_input.items()}
    return {
        "disrupted_faces": float(samples),
        "pgd_mean": float(moved["pgd"].mean()),
        "pgd_median": float(moved["pgd"].median()),
        "pgd_success": float((moved["pgd"] > SUCCESS).float().mean()),
        "noise_median": float(moved["noise"].median()),
        "towards_input_mean": float(moved["towards_input"].mean()),
        "towards_input_median": float(moved["towards_input"].median()),
        **{f"{name}_to_input": float(values.median()) for name, values in near.items() if name != "pgd"},
        **{
            f"{name}_success": float((values < CARD_TAU).float().mean())
            for name, values in near.items()
            if name != "pgd"
        },
    }
