"""Pairs of a real picture and a forgery of it, drawn once: what forensic models are trained on.

Both of a pair are of one scene and go into one batch, so that neither who is shown nor where tells anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import constant
from magdr_core.train.context import TrainContext
from magdr_core.train.forensic_recipes import FAMILY

OF_GENERATORS: Mapping[str, Mapping[str, str]] = {
    "editing": {"generator": "stargan"},
    "reenactment": {"generator": "ganimation"},
    "replacement": {"generator": "cyclegan"},
}
"""Which generators those forgeries paste from; a training has no tables that say so."""

OF_PHOTO_GENERATORS: Mapping[str, Mapping[str, str]] = {"editing": {"generator": "photo-editor"}}
"""The same where photographs are learned from."""

TOGETHER = 32
"""Pictures that are forged at a time."""

OWN = 1000
"""Fork of a pair's stream for what no family draws from it."""


class MakesFakes(Protocol):
    """One way of making forged pictures; what comes back has `images` `[B,3,H,W]` and `masks` `[B,1,H,W]`.
    Core's wrapper of a forgery is one."""

    @property
    def has_innocent(self) -> bool: ...

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Any: ...

    def innocent(self, batch: Batch, rng: SampleRng) -> Any: ...


Families = Mapping[str, MakesFakes]


def shares(settings: Mapping[str, float]) -> dict[str, float]:
    """The forgeries that a recipe names, with their shares of the fakes.

    Raises:
        MagdrError: it names none.
    """
    named = {k.removeprefix(FAMILY): v for k, v in settings.items() if k.startswith(FAMILY) and v > 0}
    if not named:
        raise MagdrError(f"a forensic recipe names its forgeries in its settings: {FAMILY}NAME = share")
    total = sum(named.values())
    return {name: share / total for name, share in named.items()}


def families_of(context: TrainContext) -> dict[str, MakesFakes]:
    """The forgeries that the recipe names, built; no other one is.

    Raises:
        MagdrError: it names none, or one that there is not.
    """
    named = shares(context.recipe.settings)
    generators = OF_GENERATORS if context.recipe.photos is None else OF_PHOTO_GENERATORS
    return {name: context.toolkit.sibling("forgery", name, **generators.get(name, {})) for name in named}


@dataclass(frozen=True, eq=False)
class Pairs:
    """n real pictures, each with a forgery of it.

    Attributes:
        real, fake: `[n,3,H,W]`, uint8.
        masks: `[n,1,H,W]`, uint8 of 0/1, of the fakes.
        family: `[n]`, indices of `names`.
        names: the families.
    """

    real: Tensor
    fake: Tensor
    masks: Tensor
    family: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.real)

    def of_family(self, wanted: Tensor) -> Tensor:
        """Indices of the pairs whose family is among `wanted` `[k]`: `[m]`."""
        return torch.isin(self.family, wanted).nonzero()[:, 0]

    def pictures(self, pick: Tensor, mirror: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Real ones, fakes and masks of some pairs, `[m,3,H,W]`, `[m,3,H,W]` and `[m,1,H,W]` in [0,1].

        Args:
            pick: `[m]` indices.
            mirror: bool `[m]`, the pairs that are mirrored.
        """
        shown = (self.real[pick].float() / 255, self.fake[pick].float() / 255, self.masks[pick].float())
        real, fake, masks = (torch.where(mirror[:, None, None, None], x.flip(3), x) for x in shown)
        return real, fake, masks


def draw_pairs(
    context: TrainContext, families: Families, count: int, first: int = 0, *, innocent: float = 0.0
) -> Pairs:
    """Forge `count` pictures of the context's split, from an index on.

    Which family forges a picture is drawn by its id. Donors are other pictures of the same stretch.

    Args:
        innocent: share of the real pictures that went through their family's pipeline without its forgery:
            resampling and feathers tell nothing then.
    """
    share = shares(context.recipe.settings)
    names = tuple(share)
    ends = constant(list(share.values()), context.device).cumsum(0)
    parts: dict[str, list[Tensor]] = {"real": [], "fake": [], "masks": [], "family": []}
    for indices in context.chunks(count, TOGETHER, first):
        batch = context.split[indices]
        donors = context.split[[first + (i - first + 1 + count // 2) % count for i in indices]]
        rng = SampleRng(context.recipe.seed, "forged-pairs", batch.ids, device=context.device)
        family = torch.searchsorted(ends, rng.uniform()).clamp_max(len(names) - 1)
        fake, masks = forged_by(batch, donors, rng, families, names, family)
        real = batch.images
        if innocent:
            through = innocent_by(batch, rng, families, names, family)
            chosen = rng.fork(OWN).uniform() < innocent
            real = torch.where(chosen[:, None, None, None], through, real)
        parts["real"].append((real * 255).round().byte())
        parts["fake"].append((fake * 255).round().byte())
        parts["masks"].append(masks.byte())
        parts["family"].append(family)
    return Pairs(**{name: torch.cat(tensors) for name, tensors in parts.items()}, names=names)


def measured_pairs(test: TrainContext, families: Families, *, innocent: float = 0.0) -> Pairs:
    """`draw_pairs` of the test faces that a card's figures are measured on."""
    assert test.first is not None
    count = sum(len(indices) for indices in test.tested(TOGETHER))
    return draw_pairs(test, families, count, test.first, innocent=innocent)


@torch.no_grad()
def forged_by(
    batch: Batch,
    donors: Batch,
    rng: SampleRng,
    families: Families,
    names: tuple[str, ...],
    family: Tensor,
) -> tuple[Tensor, Tensor]:
    """Pictures of a batch forged by the family of each, `[B,3,H,W]`, and their masks, `[B,1,H,W]`.

    Args:
        family: `[B]`, indices of `names`.
    """
    fake, masks = batch.images.clone(), torch.zeros_like(batch.images[:, :1])
    for k, name in enumerate(names):
        rows = (family == k).nonzero()[:, 0]
        if len(rows):
            made = families[name](batch[rows], donors[rows], rng.select(rows))
            fake[rows], masks[rows] = made.images, made.masks.to(masks)
    return fake, masks


@torch.no_grad()
def innocent_by(
    batch: Batch, rng: SampleRng, families: Families, names: tuple[str, ...], family: Tensor
) -> Tensor:
    """Pictures of a batch after the pipeline of each one's family without its forgery, `[B,3,H,W]`: the
    pictures themselves, of families that have no such thing.

    Args:
        family: `[B]`, indices of `names`.
    """
    images = batch.images.clone()
    for k, name in enumerate(names):
        rows = (family == k).nonzero()[:, 0]
        own = families[name]
        if len(rows) and own.has_innocent:
            images[rows] = own.innocent(batch[rows], rng.select(rows)).images
    return images


def kept_pairs(context: TrainContext, families: Families) -> Pairs:
    """The recipe's pool, kept beside the checkpoint as `drawn_once` does; `innocent` among the settings is a
    share of its reals."""

    def draw() -> dict[str, Tensor]:
        innocent = context.recipe.settings.get("innocent", 0.0)
        pairs = draw_pairs(context, families, context.recipe.pool, innocent=innocent)
        return {"real": pairs.real, "fake": pairs.fake, "masks": pairs.masks, "family": pairs.family}

    return Pairs(**context.drawn_once(draw), names=tuple(shares(context.recipe.settings)))
