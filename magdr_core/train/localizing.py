"""Training of segmenters that say where a picture is forged.

After the second stage of Delocate (Hu et al., IJCAI 2024, arXiv 2401.13516): what the network is shown beside
the picture is its own affair, its `guide`: nothing, a box, or the recovered face and the difference from it.

With a meta-split, each update holds one family out: the network takes a trial step on the other families,
and also learns what the held-out one says of the place where that step led (first order; Li et al., AAAI
2018, arXiv 1710.03463). The published split is by sample, which is no unknown family.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from magdr_core.components.rng import SampleRng
from magdr_core.measures.statistics import auroc
from magdr_core.train.context import TrainContext
from magdr_core.train.evasions import cross_entropy
from magdr_core.train.forged_pairs import Families, families_of, kept_pairs, measured_pairs
from magdr_core.train.optimiser import NetOptimiser
from magdr_core.train.ordinary_augmentation import augmented

DICE, VERDICT = 0.5, 0.5
"""Weights of the overlap on fakes and of the verdict on all, beside the cross entropy of pixels."""

FAKES = 2.0
"""How much the mapping of a fake counts, where that of a real counts 1."""

HELD_OUT = 0.3
"""Share of a batch that is of the held-out family."""


class LocalizingTrainer:
    """The network has `guide(x)`, further channels or None, and gives `(mask logits, logit)` for a picture
    and what guides it.

    `settings` hold the share of each forgery, as `forgery:NAME`; `innocent`, the share of reals that went
    through a forgery's pipeline without its forgery; `augment`, 1 for the ordinary augmentation, but for what
    moves pixels; `meta`, 1 for a meta-split by family; and
    `inner`, the length of its trial step.

    Args:
        families: the forgeries by name; those that the settings name, built, if None.

    Raises:
        ValueError: a meta-split of a single family.
    """

    def __init__(self, context: TrainContext, families: Families | None = None) -> None:
        self.context = context
        self.net = context.net
        self.families = families_of(context) if families is None else families
        self.pairs = kept_pairs(context, self.families)
        self.meta = bool(context.recipe.settings.get("meta"))
        there = self.pairs.family.unique()
        if self.meta and len(there) < 2:
            raise ValueError("a meta-split holds a family out, and needs two of them at least")
        self.rows = {int(k): self.pairs.of_family(k[None]) for k in there}
        self.guides = tuple(self._guide(x) for x in (self.pairs.real, self.pairs.fake))
        self._net = NetOptimiser(self.net, context.recipe.lr, betas=(0.9, 0.999), muon_lr=None)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimisers = self._net.parts

    @torch.no_grad()
    def _guide(self, x: Tensor) -> Tensor | None:
        """What guides the network on pictures `[n,3,H,W]` (uint8), worked out once, in half precision."""
        found = [self.net.guide(some.float() / 255) for some in x.split(64)]
        return None if found[0] is None else torch.cat([one.half() for one in found])

    def step(self, i: int) -> dict[str, float]:
        rng = SampleRng(self.context.recipe.seed, "localizing-step", [str(i)], device=self.context.device)
        count = max(1, self.context.recipe.batch // 2)
        if not self.meta:
            pick = rng.integers(count, high=len(self.pairs))[0]
            loss, losses = self.loss(pick, rng)
            self._net.step(loss)
            return losses
        known, held = self.split(count, rng)
        loss, losses = self.loss(known, rng)
        parameters = dict(self.net.named_parameters())
        slopes = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
        inner = self.context.recipe.settings["inner"]
        # A fixed step: its own slope is left out, which makes this first order.
        tried = {
            name: p - inner * g.detach() for (name, p), g in zip(parameters.items(), slopes, strict=True)
        }
        unknown, theirs = self.loss(held, rng, tried)
        self._net.step(loss + unknown)
        return {**losses, **{f"held_out_{name}": value for name, value in theirs.items()}}

    def split(self, count: int, rng: SampleRng) -> tuple[Tensor, Tensor]:
        """Indices of pairs of all families but one, `[m]`, and of that one, `[n]`: `count` together."""
        keys = list(self.rows)
        out = keys[int(rng.integers(1, high=len(keys))[0, 0])]
        kept = torch.cat([rows for k, rows in self.rows.items() if k != out])
        few = max(1, round(HELD_OUT * count))
        known = kept[rng.integers(max(1, count - few), high=len(kept))[0]]
        held = self.rows[out][rng.integers(few, high=len(self.rows[out]))[0]]
        return known, held

    def loss(
        self, pick: Tensor, rng: SampleRng, parameters: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss `[]` on some pairs, `[m]` indices, with its parts; of other weights than the network's
        own, where these are given."""
        mirror = rng.uniform(len(pick))[0] < 0.5
        real, fake, masks = self.pairs.pictures(pick, mirror)
        guides = [
            None if g is None else torch.where(mirror[:, None, None, None], g[pick].flip(3), g[pick]).float()
            for g in self.guides
        ]
        guide = None if guides[0] is None else torch.cat([g for g in guides if g is not None])
        x = torch.cat([real, fake])
        if self.context.recipe.settings.get("augment"):
            streams = rng.fork(1).repeat_interleave(len(x))
            x = augmented(x, streams, moving=False)
        with self.context.autocast():
            found = (
                self.net(x, guide)
                if parameters is None
                else functional_call(self.net, dict(parameters), (x, guide))
            )
        loss, losses = localization_loss(found[0].float(), found[1].float(), masks)
        weight = self.context.recipe.settings.get("mapping")
        if weight and guide is not None:
            mapped = mapping_loss(found[2].float(), guide[:, :3])
            loss, losses = loss + weight * mapped, {**losses, "mapping": float(mapped.detach())}
        return loss, losses

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """On test faces: IoU of the fakes at 1/2, the share of real pixels that is flagged, and the AUC of
        the verdict."""
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        pairs = measured_pairs(test, self.families)
        logits: dict[str, list[Tensor]] = {"real": [], "fake": []}
        ious, flagged = [], []
        for start in range(0, len(pairs), 64):
            for name, x in (("real", pairs.real), ("fake", pairs.fake)):
                shown = x[start : start + 64].float() / 255
                found, verdict = self.net(shown, self.net.guide(shown))[:2]
                logits[name].append(verdict)
                if name == "fake":
                    ious.append(overlap(found > 0, pairs.masks[start : start + 64] > 0))
                else:
                    flagged.append((found > 0).float().mean((1, 2, 3)))
        real, fake = (torch.cat(logits[name]).double().cpu().numpy() for name in ("real", "fake"))
        return {
            "iou": float(torch.cat(ious).mean()),
            "flagged_real": float(torch.cat(flagged).mean()),
            "auc": float(auroc(real, fake)),
        }


def localization_loss(found: Tensor, verdict: Tensor, masks: Tensor) -> tuple[Tensor, dict[str, float]]:
    """What a segmenter is trained on: `[]`, and its parts.

    Cross entropy of the pixels, of reals to nothing; one minus the Dice overlap on fakes; and cross entropy
    of the verdict.

    Args:
        found: log odds of pixels `[2m,1,H,W]`, reals before fakes.
        verdict: log odds `[2m]`.
        masks: `[m,1,H,W]` of 0/1, of the fakes.
    """
    m = len(masks)
    wanted = torch.cat([torch.zeros_like(masks), masks])
    pixels = F.binary_cross_entropy_with_logits(found, wanted)
    p = found[m:].sigmoid()
    both, either = (p * masks).sum((1, 2, 3)), (p + masks).sum((1, 2, 3))
    dice = (1 - (2 * both + 1) / (either + 1)).mean()
    fake = torch.arange(2 * m, device=found.device).ge(m).float()
    image = cross_entropy(verdict, fake).mean()
    losses = {
        "pixels": float(pixels.detach()),
        "dice": float(dice.detach()),
        "verdict": float(image.detach()),
    }
    return pixels + DICE * dice + VERDICT * image, losses


def mapping_loss(mapped: Tensor, recovered: Tensor) -> Tensor:
    """How far mapped faces are from recovered ones, `[2m,3,H,W]` both, reals before fakes: `[]`.

    Of fakes it counts `FAKES` times as much. What weights Delocate gives the two is not known.
    """
    real, fake = (mapped - recovered).abs().mean((1, 2, 3)).chunk(2)
    return (real.mean() + FAKES * fake.mean()) / (1 + FAKES)


def overlap(found: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of masks, bool `[B,1,H,W]` both: `[B]`; 1 where both are empty."""
    both, either = ((found & truth).sum((1, 2, 3)), (found | truth).sum((1, 2, 3)))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)
