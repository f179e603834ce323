"""Training of the editor of photographs: classical edits of portraits as exact results, and drawn faces.

On top of the losses of :mod:`magdr_core.train.editing`, a hinge on the logits of the attention mask: over the
cut where the edit leaves a pixel as it is, so that the mask is exactly 1 there, and below the middle where it
changes the picture visibly. Where the change is faint the mask is free. A hinge and not a cross-entropy:
beyond its margin nothing pushes a logit on. A saturated mask learns no more, and hides what attacks could do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.functional import join_parts, luma, masked_mean, merge_classes, to_8bit
from magdr_core.train.adversarial import AdversarialEditingTrainer
from magdr_core.train.context import TrainContext
from magdr_core.train.editing import EditingTrainer, change_map, disruption, editing_quality


class PhotoEditingTrainer(EditingTrainer):
    """`settings` hold, besides the losses of an editor: `attention`, the weight of the hinge; `margin`, how
    far beyond the cut a logit is pushed; `nothing`, the share of pictures that are shown with no edit."""

    def drawn(self, i: int) -> tuple[Tensor, Tensor, VectorCondition]:
        x, target, c = super().drawn(i)
        rng = SampleRng(self.context.recipe.seed, "photo-nothing", [str(i)], device=x.device)
        nothing = rng.uniform(len(x))[0] < self.loss["nothing"]
        target = torch.where(nothing[:, None, None, None], x, target)
        # The values say what is shown in the end; without the edit, what was there before.
        undone = nothing[:, None] & c.changed
        values = torch.where(undone, (c.values == 0).to(c.values), c.values)
        return x, target, VectorCondition(values, c.changed & ~nothing[:, None])

    def wanted(self, images: Tensor, target: Tensor, seen: Tensor) -> Tensor:
        """The exact result of the edit; what it leaves as it is, as it is shown."""
        return torch.where(target == images, seen, target)

    def made(self, seen: Tensor, c: VectorCondition, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with self.context.autocast():
            colour, logits = self.net.logits(seen, c)
        colour, logits = colour.float(), logits.float()
        left = (target == images).all(1, keepdim=True).float()
        closed = self.net.cut_from + self.loss["margin"]
        hinge = attention_hinge(logits, left, change_map(images, target), closed)
        return self.net.blended(seen, colour, logits), self.loss["attention"] * hinge

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        quality = photo_quality(test, self.net) if test.first == 0 else editing_quality(test, self.net)
        return {**quality, **disruption(test, self.net)}


class HardenedPhotoTrainer(AdversarialEditingTrainer, PhotoEditingTrainer):
    """The same on attacked pictures; what is copied is copied with its perturbation, and no fault of the
    editor."""


def attention_hinge(logits: Tensor, left: Tensor, visible: Tensor, closed: float) -> Tensor:
    """How far logits of the attention mask are from where they should be, one number, `[]`.

    Args:
        logits: `[B,1,H,W]`; the higher, the more of the input.
        left: `[B,1,H,W]` of 0/1, where the edit leaves the picture as it is.
        visible: `[B,1,H,W]` of 0/1, where it visibly changes it (and a pixel around).
        closed: the logit to be reached where it is left.
    """
    missing = left * F.relu(closed - logits)
    opened = visible * (1 - left) * F.relu(logits)
    return missing.mean() + opened.mean()


Addition = tuple[str, Batch, VectorCondition, Tensor]
"""What is added, faces, conditions, and exact results `[n,3,H,W]` in [0,1]."""


def additions(test: TrainContext, names: tuple[str, ...], size: int) -> Iterator[Addition]:
    """Every addition to every test face of a context for testing, in chunks of a size."""
    for indices in test.tested(size):
        batch = test.split[indices]
        for j, name in enumerate(names):
            values = torch.zeros(len(batch), len(names), device=batch.images.device)
            values[:, j] = 1
            target = test.split.edited(indices, {name: values[:, j]})
            yield name, batch, VectorCondition(values, values > 0), target


@torch.no_grad()
def photo_quality(test: TrainContext, net: torch.nn.Module) -> dict[str, float]:
    """The gate of an editor of photographs: every edit of every test face.

    `ratio_*`: squared error inside the edit over the error of copying the input, by edit (hair: all three);
    by halves of the faces too, `ratio_*_skin` and `ratio_*_hair` by how light skin and hair are. `psnr`: over
    whole pictures, in dB; `psnr_outside`: of all pixels that the edit does not visibly change, against the
    input; `exact_outside`: the share of 8-bit pixels that the edit leaves and that are as they were.
    """
    made: dict[str, list[Tensor]] = {}
    errors, outside, exact = [], [], []
    names: tuple[str, ...] = tuple(net.condition_names)  # type: ignore[arg-type]
    for name, batch, c, target in additions(test, names, 64):
        x, y = batch.images, net(batch.images, c)
        region = change_map(x, target)
        inside, copied = (((a - target).square() * region).flatten(1).sum(1) for a in (y, x))
        made.setdefault(name, []).append(torch.stack([inside, copied, *_lightness(batch)]))
        errors.append((y - target).square().flatten(1).mean(1))
        outside.append(torch.stack([((y - x).square() * (1 - region)).sum(), 3 * (1 - region).sum()]))
        left = target == x
        exact.append(torch.stack([(left & (to_8bit(y) == x)).sum(), left.sum()]).double())
    found = {name: torch.cat(parts, 1) for name, parts in made.items()}
    every = torch.cat(list(found.values()), 1)
    quality = {
        "psnr": float(-10 * torch.cat(errors).log10().mean()),
        "psnr_outside": _decibels(*torch.stack(outside).sum(0).tolist()),
        "exact_outside": _over(*torch.stack(exact).sum(0).tolist()),
        "ratio_hair": _ratio(torch.cat([v for k, v in found.items() if k.endswith("_Hair")], 1)),
        **{f"ratio_{name.lower()}": _ratio(values) for name, values in found.items()},
    }
    for row, what in ((2, "skin"), (3, "hair")):
        light = every[row] > every[row].median()
        quality |= {
            f"ratio_darker_{what}": _ratio(every[:, ~light]),
            f"ratio_lighter_{what}": _ratio(every[:, light]),
        }
    return quality


def _lightness(batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean luma of skin and of hair, `[B]` in [0,1] each."""
    assert batch.masks is not None
    parts = merge_classes(batch.masks)
    masks = torch.cat([join_parts(parts, [part]) for part in ("skin", "hair")], 1)
    skin, hair = masked_mean(luma(batch.images), masks).unbind(1)
    return skin, hair


def _ratio(values: Tensor) -> float:
    made, copied = values[:2].sum(1).tolist()
    return _over(made, copied)


def _over(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _decibels(squares: float, count: float) -> float:
    return -10 * math.log10(max(squares / max(count, 1.0), 1e-10))
