"""Training of forensic models on real faces alone: the fakes are blended on the fly, new ones each time.

After Face X-ray (Li et al., CVPR 2020, arXiv 1912.13458) and Self-Blended Images (Shiohara and Yamasaki, CVPR
2022, arXiv 2204.08376). With another face as what is blended in, that face is the most alike of a few; a
network that also gives a map learns the border of the blend beside the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.functional import CLASSES, constant, gaussian_blur
from magdr_core.measures.statistics import auroc
from magdr_core.train.context import TrainContext
from magdr_core.train.evasions import cross_entropy
from magdr_core.train.forged_pairs import Families, families_of, forged_by, measured_pairs, shares
from magdr_core.train.optimiser import NetOptimiser
from magdr_core.train.ordinary_augmentation import augmented

CANDIDATES = 8
"""Faces among which a donor is looked for."""

BORDER = 1.5
"""Sigma that makes a mask the soft one of a blend, in pixels of a picture of 64."""


class BlendingTrainer:
    """`settings` hold the share of each way of blending, as `forgery:NAME`; `augment`, 1 for the ordinary
    augmentation of reals and fakes alike; and `boundary`, the weight of the map's squared error, which is
    for networks that give one.

    Args:
        families: the ways of blending by name; those that the settings name, built, if None.
    """

    def __init__(self, context: TrainContext, families: Families | None = None) -> None:
        self.context = context
        self.net = context.net
        self.families = families_of(context) if families is None else families
        self.names = tuple(shares(context.recipe.settings))
        kept = context.drawn_once(self._reals)
        self.images, self.masks = kept["images"], kept["masks"]
        self._looks = looks(self.images, self.masks)
        self._net = NetOptimiser(self.net, context.recipe.lr, betas=(0.9, 0.999), muon_lr=None)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimisers = self._net.parts

    def _reals(self) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {"images": [], "masks": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            batch = self.context.split[indices]
            assert batch.masks is not None
            parts["images"].append((batch.images * 255).round().byte())
            parts["masks"].append((batch.masks * 255).round().byte())
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def batch(self, pick: Tensor, names: list[str]) -> Batch:
        """Some of the real faces, by indices `[B]`, under names of this step."""
        masks = self.masks[pick].float() / 255
        return Batch(self.images[pick].float() / 255, tuple(names), masks=masks)

    def donors(self, pick: Tensor, rng: SampleRng) -> Tensor:
        """For each face `[B]` the most alike of a few others: `[B]` indices."""
        others = rng.integers(CANDIDATES, high=len(self.images))
        others = torch.where(others == pick[:, None], (others + 1) % len(self.images), others)
        distance = (self._looks[others] - self._looks[pick][:, None]).square().sum(2)
        return others.gather(1, distance.argmin(1, keepdim=True))[:, 0]

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        count = max(1, recipe.batch // 2)
        drawn = SampleRng(recipe.seed, "blending-step", [str(i)], device=device)
        pick = drawn.integers(count, high=len(self.images))[0]
        names = [f"{i}.{j}" for j in range(count)]
        rng = SampleRng(recipe.seed, "blending", names, device=device)
        real = self.batch(pick, names)
        donors = self.batch(self.donors(pick, rng), [f"{name}.donor" for name in names])
        family = self._family(rng)
        fake, masks = forged_by(real, donors, rng, self.families, self.names, family)
        x = torch.cat([real.images, fake])
        wanted = boundary(torch.cat([torch.zeros_like(masks), masks]))
        mirror = (drawn.uniform(count)[0] < 0.5).repeat(2)[:, None, None, None]
        x, wanted = (torch.where(mirror, y.flip(3), y) for y in (x, wanted))
        if recipe.settings.get("augment"):
            each = SampleRng(recipe.seed, "blended", [f"{i}.{j}" for j in range(2 * count)], device=device)
            x = augmented(x, each)
        fake_or_not = torch.arange(2 * count, device=device).ge(count).float()
        return self._learn(x, fake_or_not, wanted)

    def _family(self, rng: SampleRng) -> Tensor:
        share = constant(list(shares(self.context.recipe.settings).values()), rng.device)
        return torch.searchsorted(share.cumsum(0), rng.uniform()).clamp_max(len(share) - 1)

    def _learn(self, x: Tensor, fake: Tensor, wanted: Tensor) -> dict[str, float]:
        with self.context.autocast():
            found = self.net(x)
        logits = found[1] if isinstance(found, tuple) else found
        verdict = cross_entropy(logits.float(), fake).mean()
        losses = {"verdict": float(verdict.detach())}
        loss, weight = verdict, self.context.recipe.settings.get("boundary", 0.0)
        if isinstance(found, tuple) and weight:
            border = F.mse_loss(found[0].float().sigmoid(), wanted)
            losses["boundary"] = float(border.detach())
            loss = loss + weight * border
        self._net.step(loss)
        return losses

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """AUC on test faces, blended in the ways that were trained."""
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        pairs = measured_pairs(test, self.families)
        scores = []
        for x in (pairs.real, pairs.fake):
            found = [self.net(some.float() / 255) for some in x.split(64)]
            logits = [one[1] if isinstance(one, tuple) else one for one in found]
            scores.append(torch.cat(logits).double().cpu().numpy())
        return {"auc": float(auroc(*scores))}


def boundary(masks: Tensor) -> Tensor:
    """`4 m (1 - m)` of the soft mask of a blend: 1 along its border, 0 inside and outside.

    Args:
        masks: `[B,1,H,W]` of 0/1.

    Returns:
        `[B,1,H,W]` in [0,1].
    """
    soft = gaussian_blur(masks, BORDER * masks.shape[-1] / 64)
    return 4 * soft * (1 - soft)


def looks(images: Tensor, masks: Tensor) -> Tensor:
    """Where a face is, how large, and of which colour, in units of how much faces differ in these: `[n,7]`.

    Args:
        images: `[n,3,H,W]`, uint8.
        masks: `[n,19,H,W]`, uint8.
    """
    found = []
    for x, m in zip(images.split(256), masks.split(256), strict=True):
        skin = m[:, [CLASSES.index("skin")]].float() / 255
        weight = skin.sum((2, 3)).clamp_min(1e-3)
        rows = torch.linspace(0, 1, x.shape[2], device=x.device)[:, None]
        columns = torch.linspace(0, 1, x.shape[3], device=x.device)
        places = [(skin * line).sum((2, 3)) / weight for line in (rows, columns)]
        spreads = [
            ((skin * (line - at[..., None, None]).square()).sum((2, 3)) / weight).sqrt()
            for line, at in zip((rows, columns), places, strict=True)
        ]
        colour = (x.float() / 255 * skin).sum((2, 3)) / weight
        found.append(torch.cat([*places, *spreads, colour], 1))
    every = torch.cat(found)
    return every / every.std(0).clamp_min(1e-6)
