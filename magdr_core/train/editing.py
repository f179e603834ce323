"""Paired training of an attribute editor: the dataset can draw what the edit should have given.

L1 and squared error to the exact result, L1 again inside the changed region (small regions such as a mouth
would drown in the whole image), L1 of image gradients (sharpness), and a small hinge adversary with an
attribute head. The adversary matters beyond looks: editors trained on L1 alone are much harder to disrupt,
unlike the published ones, and a generator that cannot be disrupted makes a benchmark meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.components.batch import VectorCondition
from magdr_core.components.objective import SUCCESS, symmetric_mse
from magdr_core.components.rng import SampleRng
from magdr_core.guards import GuardedGenerator
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.train.context import TrainContext
from magdr_core.train.pairs import PairsTrainer

Shown = Literal["input", "real", "fake"]
"""The editor's inputs; the exact and the edited pictures that the critic tells apart."""

DISRUPTED = 128
"""Test faces that the card's disruption is measured on."""


class PatchCritic(nn.Module):
    """Patch realness and attribute logits of an image."""

    def __init__(self, attributes: int, width: int = 32) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            nn.LeakyReLU(0.1),
        )
        self.real = nn.Conv2d(4 * width, 1, 3, padding=1)
        self.attributes = nn.Conv2d(4 * width, attributes, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images `[B,3,H,W]` in [0,1] -> (realness of patches `[B,1,H/8,W/8]`, attribute logits `[B,A]`)."""
        h = self.trunk(2 * x - 1)
        return self.real(h), self.attributes(F.adaptive_avg_pool2d(h, 8)).flatten(1)


def image_gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the right and the lower neighbour: `[...,H,W]` -> `[...,H,W-1]` and `[...,H-1,W]`."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def change_map(x: Tensor, target: Tensor) -> Tensor:
    """Where the edit visibly changes the picture: `[B,1,H,W]` of 0/1, one pixel wider than the change.

    Visible is a difference over 0.05 in some channel; fainter changes of shading reach over half a face.
    """
    change = (target - x).abs().amax(1, keepdim=True)
    return F.max_pool2d((change > 0.05).float(), 3, 1, 1)


class EditingTrainer(PairsTrainer):
    def __init__(self, context: TrainContext) -> None:
        super().__init__(context, PatchCritic(len(context.net.condition_names)))
        pairs = context.drawn_once(self._pairs)
        self.images, self.edited = pairs["images"], pairs["edited"]
        self.conditions = VectorCondition(pairs["values"], pairs["changed"])

    def _pairs(self) -> dict[str, Tensor]:
        """Images with one edit each and its exact result, as 8-bit images."""
        parts: dict[str, list[Tensor]] = {"images": [], "edited": [], "values": [], "changed": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            batch, c, target = draw_pairs(self.context, indices)
            parts["images"].append((batch.images * 255).round().byte())
            parts["edited"].append((target * 255).round().byte())
            parts["values"].append(c.values)
            parts["changed"].append(c.changed)
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def shown(self, images: Tensor, c: VectorCondition, i: int, what: Shown, target: Tensor) -> Tensor:
        """What a network is shown instead of these images in step i, `[B,3,H,W]` in [0,1] -> same.

        Adversarial training attacks them.

        Args:
            target: `[B,3,H,W]`, the exact result of the edit.
        """
        return images

    def wanted(self, images: Tensor, target: Tensor, seen: Tensor) -> Tensor:
        """What the network is to make of these images where it is shown `seen` in their place, `[B,3,H,W]` in
        [0,1] each -> same: the exact result of the edit."""
        return target

    def made(self, seen: Tensor, c: VectorCondition, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(the network's output `[B,3,H,W]` in [0,1], what else shall get smaller: one number, `[]`)."""
        with self.context.autocast():
            return self.net(seen, c).float(), images.new_zeros(())

    def drawn(self, i: int) -> tuple[Tensor, Tensor, VectorCondition]:
        """The batch of step i: (images, exact results, `[B,3,H,W]` in [0,1] each, conditions)."""
        n, recipe = len(self.images), self.context.recipe
        rng = SampleRng(recipe.seed, "editing-step", [str(i)], device=self.context.device)
        pick = rng.integers(recipe.batch, high=n)[0]
        mirror = (rng.uniform(recipe.batch)[0] < 0.5)[:, None, None, None]
        x, target = self.images[pick].float() / 255, self.edited[pick].float() / 255
        x, target = torch.where(mirror, x.flip(3), x), torch.where(mirror, target.flip(3), target)
        return x, target, self.conditions[pick]

    def step(self, i: int) -> dict[str, float]:
        x, target, c = self.drawn(i)
        seen = self.shown(x, c, i, "input", target)
        y, more = self.made(seen, c, x, target)
        region = change_map(x, target)
        target = self.wanted(x, target, seen)
        real = self.shown(target, c, i, "real", target)
        fake = self.shown(y.detach(), c, i, "fake", target)
        with self.context.autocast():
            real, real_labels = self.critic(real)
            fake, _ = self.critic(fake)
            critic_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            critic_loss = critic_loss + F.binary_cross_entropy_with_logits(real_labels.float(), c.values)
        self._critic.step(critic_loss)

        with self.context.autocast():
            fake, labels = self.critic(y)
        adversarial = -fake.float().mean() + F.binary_cross_entropy_with_logits(labels.float(), c.values)
        error = (y - target).abs()
        inside = (error * region).sum((1, 2, 3)) / (3 * region.sum((1, 2, 3))).clamp_min(1)
        gradient = sum(
            (a - b).abs().mean() for a, b in zip(image_gradients(y), image_gradients(target), strict=True)
        )
        loss = (
            error.mean()
            + self.loss["square"] * error.square().mean()
            + self.loss["region"] * inside.mean()
            + self.loss["gradient"] * gradient
            + self.loss["adversarial"] * adversarial
            + more
        )
        self._net.step(loss)
        return {
            "l1": float(error.detach().mean()),
            "region": float(inside.detach().mean()),
            "critic": float(critic_loss.detach()),
        }

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        return {
            **editing_quality(self.context.for_testing(), self.net),
            **disruption(self.context.for_testing(), self.net),
        }


def disruption(context: TrainContext, net: Any, *, most: int = DISRUPTED) -> dict[str, float]:
    """Output MSE ([-1,1] units) that PGD (6/255, 30 steps) and random signs of that strength cause.

    Args:
        context: for testing.
        most: test faces, where there are as many.
    """
    G = GuardedGenerator(net, "the network in training")
    attacks = {
        "pgd": context.toolkit.sibling("attack", "pgd", eps=6 / 255, steps=30),
        "noise": context.toolkit.sibling("attack", "noise", eps=6 / 255),
    }
    caused: dict[str, list[Tensor]] = {name: [] for name in attacks}
    for indices in context.tested(32, most):
        clean = draw_samples(context.split, G, first=indices[0], count=len(indices), seed=0)[0]
        with torch.no_grad():
            reference = G(clean.images, clean.conditions)
        for name, attack in attacks.items():
            attacked = attack_samples(clean, attack, G, name=name, seed=0)
            with torch.no_grad():
                caused[name].append(symmetric_mse(G(attacked, clean.conditions), reference))
    values = {name: torch.cat(parts) for name, parts in caused.items()}
    return {
        "disrupted_faces": float(len(values["pgd"])),
        "pgd_mean": float(values["pgd"].mean()),
        "pgd_median": float(values["pgd"].median()),
        "pgd_success": float((values["pgd"] > SUCCESS).float().mean()),
        "noise_median": float(values["noise"].median()),
    }


def draw_pairs(context: TrainContext, indices: list[int]) -> tuple[Any, VectorCondition, Tensor]:
    """Images of a split, one edit each, and the exact result of the edit, `[n,3,H,W]` in [0,1].

    Args:
        indices: n of them.
    """
    batch = context.split[indices]
    net = context.net
    rng = SampleRng(context.recipe.seed, "editing-condition", batch.ids, device=context.device)
    c = net.draw(batch, rng)
    changes = dict(zip(net.condition_names, c.values.unbind(1), strict=True))
    return batch, c, context.split.edited(indices, changes)


@torch.no_grad()
def editing_quality(context: TrainContext, net: Any) -> dict[str, float]:
    """The gate of an editor, on the test faces of a context for testing.

    `ratio_*`: squared error inside the edited region over the error of copying the input, per kind of edit;
    `l1_ratio_*` the same of absolute errors; `psnr` over whole images.
    """
    sums: dict[str, list[float]] = {}
    psnr = []
    for indices in context.tested(64):
        batch, c, target = draw_pairs(context, indices)
        y, x = net(batch.images, c), batch.images
        region = change_map(x, target)
        psnr.append(-10 * (y - target).square().flatten(1).mean(1).log10())
        for power, prefix in ((2, "ratio"), (1, "l1_ratio")):
            made = ((y - target).abs() ** power * region).flatten(1).sum(1)
            copied = ((x - target).abs() ** power * region).flatten(1).sum(1)
            for j, name in enumerate(net.condition_names):
                kind = "hair" if name.endswith("_Hair") else name.lower()
                for k in torch.nonzero(c.changed[:, j]).flatten().tolist():
                    total = sums.setdefault(f"{prefix}_{kind}", [0.0, 0.0])
                    total[0] += float(made[k])
                    total[1] += float(copied[k])
    quality = {name: made / copied for name, (made, copied) in sums.items()}
    return {"psnr": float(torch.cat(psnr).mean()), **quality}
