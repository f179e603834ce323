"""Training of a face parser on exact soft masks: clean, attacked and noisy inputs alike.

MagDR parses the image it is given, which may be attacked, so the parser must not be the weak link.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Batch
from magdr_core.components.objective import DisruptionObjective
from magdr_core.components.rng import SampleRng
from magdr_core.functional import PARTS, merge_classes, to_8bit
from magdr_core.train.context import TrainContext
from magdr_core.train.optimiser import NetOptimiser

MERGED = {"neck": "neck+cloth", "cloth": "neck+cloth"}
"""Parts that the quality figures count as one: where a collar begins is a matter of taste."""

GATED = ("background", "skin", "brows", "eyes", "nose", "mouth", "hair", "neck+cloth")


class ParsingTrainer:
    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.modules: dict[str, nn.Module] = {"net": self.net}
        muon = context.recipe.settings.get("muon")
        self.optimiser = NetOptimiser(self.net, context.recipe.lr, betas=(0.9, 0.999), muon_lr=muon)
        self.optimisers = self.optimiser.parts
        self.victim = context.toolkit.generator("victim")
        kept = context.drawn_once(self._examples)
        self.images, self.attacked, self.masks = kept["images"], kept["attacked"], kept["masks"]
        # Small parts weigh more, or brows and eyes would be left to the background.
        share = self.masks.float().mean((0, 2, 3)) / 255
        self.weights = (share + 1e-3).rsqrt()
        self.weights /= self.weights.mean()

    def _examples(self) -> dict[str, Tensor]:
        """Images and masks in 8 bits, and attacked versions of the first quarter: attacks cost most."""
        parts: dict[str, list[Tensor]] = {"images": [], "attacked": [], "masks": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            batch = self.context.split[indices]
            assert batch.masks is not None
            parts["images"].append((batch.images * 255).round().byte())
            parts["masks"].append((merge_classes(batch.masks) * 255).round().byte())
            if indices[0] < self.context.recipe.pool // 4:
                parts["attacked"].append((self._attacked(batch, steps=4) * 255).round().byte())
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def _attacked(self, batch: Batch, steps: int) -> Tensor:
        """A few steps of sign ascent on Eq. 1 with a strength drawn per image, up to 12/255."""
        rng = SampleRng(self.context.recipe.seed, "parser-attack", batch.ids, device=self.context.device)
        condition = self.victim.draw(batch, rng.fork(1))
        objective = DisruptionObjective(self.victim, batch.images, condition)
        eps = rng.uniform(1, 1, 1, low=2 / 255, high=12 / 255)
        x = batch.images + eps * rng.uniform(*batch.images.shape[1:], low=-1.0, high=1.0)
        for _ in range(steps):
            _, gradient = objective.gradient(x.clamp(0, 1))
            x = x + eps / 2 * gradient.sign()
            x = torch.minimum(torch.maximum(x, batch.images - eps), batch.images + eps)
        return to_8bit(x.clamp(0, 1))

    @staticmethod
    def _noisy(x: Tensor, rng: SampleRng) -> Tensor:
        strength = rng.uniform(1, 1, 1, high=0.08)
        return to_8bit((x + strength * rng.normal(*x.shape[1:])).clamp(0, 1))

    def step(self, i: int) -> dict[str, float]:
        recipe = self.context.recipe
        rng = SampleRng(recipe.seed, "parsing-step", [str(i)], device=self.context.device)
        pick = rng.integers(recipe.batch, high=len(self.images))[0]
        kind = rng.uniform(recipe.batch)[0]
        mirror = (rng.uniform(recipe.batch)[0] < 0.5)[:, None, None, None]
        is_attacked = kind < recipe.settings["attacked"]
        is_noisy = (kind > 1 - recipe.settings["noisy"])[:, None, None, None]
        pick = torch.where(is_attacked, pick % len(self.attacked), pick)
        clean = self.images[pick].float() / 255
        attacked = self.attacked[pick % len(self.attacked)].float() / 255
        each = SampleRng(
            recipe.seed,
            "parsing-noise",
            [f"{i}.{j}" for j in range(recipe.batch)],
            device=self.context.device,
        )
        x = torch.where(is_attacked[:, None, None, None], attacked, clean)
        x = torch.where(is_noisy, self._noisy(clean, each), x)
        masks = self.masks[pick].float() / 255
        x, masks = torch.where(mirror, x.flip(3), x), torch.where(mirror, masks.flip(3), masks)
        with self.context.autocast():
            heads = self.net.logits(x)
        weighted = masks * self.weights[:, None, None]
        # A network with auxiliary heads returns them after the main one; all count alike.
        losses = [
            -(weighted * logits.float().log_softmax(1)).sum(1).mean()
            for logits in (heads if isinstance(heads, tuple) else (heads,))
        ]
        self.optimiser.step(torch.stack(losses).sum())
        return {"loss": float(losses[0].detach())}

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """IoU per part on clean test faces, and the gated mean on clean, attacked and noisy ones."""
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        totals: dict[str, Tensor] = {}
        for indices in test.tested(50):
            batch = test.split[indices]
            assert batch.masks is not None
            truth = merge_classes(batch.masks).argmax(1)
            rng = SampleRng(1, "parsing-test", batch.ids, device=self.context.device)
            inputs = {
                "clean": batch.images,
                "attacked": self._attacked(batch, steps=10),
                "noisy": self._noisy(batch.images, rng),
            }
            for name, x in inputs.items():
                counts = iou_counts(self.net(x).argmax(1), truth)
                totals[name] = totals.get(name, torch.zeros_like(counts)) + counts
        quality = {}
        for name, counts in totals.items():
            ious = part_ious(counts)
            quality[f"miou_{name}"] = sum(ious[p] for p in GATED) / len(GATED)
            if name == "clean":
                quality |= {f"iou_{part.replace('+', '_')}": v for part, v in ious.items()}
        return quality


def iou_counts(predicted: Tensor, truth: Tensor) -> Tensor:
    """Intersection and union per part, merged as in `MERGED`: `[P,2]`, in pixels.

    Args:
        predicted, truth: indices of parts, of one shape: `[B,H,W]`.
    """
    rows = []
    for name in dict.fromkeys(MERGED.get(p, p) for p in PARTS):
        ids = torch.tensor([i for i, p in enumerate(PARTS) if MERGED.get(p, p) == name], device=truth.device)
        a, b = torch.isin(predicted, ids), torch.isin(truth, ids)
        rows.append(torch.stack([(a & b).sum(), (a | b).sum()]))
    return torch.stack(rows).double()


def part_ious(counts: Tensor) -> dict[str, float]:
    """Intersection over union by part, in [0,1], of counts `[P,2]` that `iou_counts` gives."""
    names = list(dict.fromkeys(MERGED.get(p, p) for p in PARTS))
    return {name: float(c[0] / c[1].clamp_min(1)) for name, c in zip(names, counts, strict=True)}
