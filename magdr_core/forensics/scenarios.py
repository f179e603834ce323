"""Forged pictures as images of a benchmark, and everything at lower quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import CLEAN, Slice
from magdr_core.components.task_run import Planning, SharedImages
from magdr_core.errors import MagdrError
from magdr_core.forensics.clips import check_whole, clips_of, has_clips
from magdr_core.forensics.making import degrade, forge, parser_identity, quality_kind, takes_clips
from magdr_core.forensics.pieces import batches
from magdr_core.results.cell import CLEAN as CLEAN_IMAGES
from magdr_core.results.cell import FORGED as PREFIX

FORGED, QUALITY, EVASION, RESTORED = "forged", "picture-quality", "evasion", "restored"

_MASKS = "masks"
"""What the settings of a slice say whose images are the masks of another."""


def masks_of(part: Slice) -> Slice:
    """The slice whose images are a forged slice's masks, three times over."""
    return Slice(part.name, FORGED, part.label, part.component, settings=_MASKS)


def forged_from(part: Slice) -> Slice | None:
    """The slice of the forgeries that a slice shows, whatever was done to them since; None if it shows
    reals."""
    source = source_of(part) if is_made(part) else part
    return source if source.scenario == FORGED else None


def is_made(part: Slice) -> bool:
    """Whether a slice's pictures were made of another's: degraded, attacked or restored."""
    return part.scenario in (QUALITY, EVASION, RESTORED)


def source_of(part: Slice) -> Slice:
    """The slice whose pictures a slice's were made of."""
    assert isinstance(part.settings, Slice)
    return part.settings


def quality_of(part: Slice) -> str:
    """The label of the quality that a slice's pictures have; empty of untouched ones."""
    return part.label if part.scenario == QUALITY else ""


def untouched(part: Slice) -> Slice | None:
    """The slice of the real pictures that a slice's were made of, at the same quality, which nobody edited,
    attacked or restored; None: the clean ones themselves."""
    if part.scenario != QUALITY:
        return None
    return _at(Slice(CLEAN, CLEAN_IMAGES), part.label, part.component)


def reals_beside(part: Slice) -> Slice | None:
    """The slice of the real pictures that fakes are told from: those that went through the same; None: the
    clean ones themselves."""
    if part.scenario != RESTORED:
        return untouched(part)
    return behind(Slice(CLEAN, CLEAN_IMAGES), part.label, part.component)


def _at(source: Slice, label: str, component: str) -> Slice:
    """A slice's pictures at a quality, under a name that no other has."""
    return Slice(f"{source.name}@{label}", QUALITY, label, component, settings=source)


def behind(source: Slice, label: str, component: str) -> Slice:
    """A slice's pictures as a defense restores them, under a name that no other has."""
    name, eps, steps = f"{source.name}>{label}", source.eps, source.steps
    return Slice(name, RESTORED, label, component, eps, steps, source.samples, settings=source)


class ForgedScenario(Scenario):
    """Each of a profile's `forgeries`, where it has forensic models."""

    name = FORGED
    key = "forgeries"
    main = False
    grows = True

    def check(self, plan: Planning) -> None:
        for label in self.configured(plan.profile) or ():
            plan.check("forgery", label)

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        if not self.wanted(plan):
            return
        for label in self.configured(plan.profile) or ():
            yield Slice(f"{PREFIX}{label}", self.name, label, plan.used("forgery", label))

    def report_pictures(self, images: SharedImages, shown: int) -> Mapping[tuple[str, str, str, str], Tensor]:
        """The fakes and, where they are known, their masks, `[n,3,H,W]` in [0,1] each."""
        if self.configured(images.profile) is None or not images.profile.extra.get("forensics"):
            return {}
        found: dict[tuple[str, str, str, str], Tensor] = {}
        for label in self.configured(images.profile):
            try:
                name = images.toolkit.resolve("forgery", label).entry.name
                part = Slice(f"{PREFIX}{label}", self.name, label, name)
                pictures, masks = images.of(part), images.of(masks_of(part))
            except MagdrError:
                continue  # its cells say so
            found[(images.task, part.name, "", "forged")] = pictures[:shown]
            if bool(masks[:shown].any()):  # all black would say that nothing is forged
                found[(images.task, part.name, "", "mask")] = masks[:shown]
        return found

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        forgery = images.toolkit.resolve("forgery", part.label).identity
        return {
            **super().images_key(images, part),
            "slice": forgery,
            "shows": part.settings or "pictures",
            "parser": parser_identity(images.toolkit),
            **({"drawn by": "clip"} if has_clips(images.data, images.profile.split) else {}),
        }

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        split = images.data.split(images.profile.split)
        made, masks = dict[str, Tensor](), dict[str, Tensor]()
        indices = range(images.profile.first, images.profile.first + images.profile.samples)
        for batch in batches(split, indices, clean.images.shape[-1]):
            wanted = [i for i, name in enumerate(batch.ids) if name in clean.ids]
            if not wanted:
                continue
            batch = batch[wanted]
            forged = forge(images.toolkit, part.label, split, batch, images.seed)
            made |= zip(batch.ids, forged.images, strict=True)
            masks |= zip(batch.ids, forged.masks, strict=True)
        pictures = Slice(part.name, part.scenario, part.label, part.component)
        return {
            pictures: torch.stack([made[name] for name in clean.ids]),
            masks_of(part): torch.stack([masks[name].expand(3, -1, -1) for name in clean.ids]),
        }


class QualityScenario(Scenario):
    """Real and forged pictures as each of a profile's `picture_qualities` leaves them."""

    name = QUALITY
    key = "picture_qualities"
    main = False
    grows = True

    def check(self, plan: Planning) -> None:
        for label in self.configured(plan.profile) or ():
            try:
                quality_kind(plan.toolkit, label)
            except MagdrError as e:
                raise plan.fault(f"picture_qualities: {e}") from e

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        if not self.wanted(plan):
            return
        sources = [part for part in earlier if part.scenario == FORGED or part.name == CLEAN]
        for label in self.configured(plan.profile) or ():
            kind = quality_kind(plan.toolkit, label)
            for source in sources:
                yield _at(source, label, plan.used(kind, label))

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        source, real = source_of(part), untouched(part)
        before = [source] if source.scenario == FORGED else []
        before += [real] if real is not None and real != part else []
        return (*before, part)

    def columns(self, part: Slice) -> Mapping[str, Any]:
        return {"attack": source_of(part).name}

    def variant(self, part: Slice) -> str:
        return part.label

    def point(self, part: Slice) -> str:
        return f" at {part.label}"

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        kind = quality_kind(images.toolkit, part.label)
        return {
            **super().images_key(images, part),
            "slice": images.toolkit.resolve(kind, part.label).identity,
            "of": images.key(source_of(part)),
            **({"given": "clips"} if self._takes_clips(images, part) else {}),
        }

    @staticmethod
    def _takes_clips(images: SharedImages, part: Slice) -> bool:
        """Whether a quality is given whole clips of this run's pictures."""
        return has_clips(images.data, images.profile.split) and takes_clips(images.toolkit, part.label)

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        source = clean.with_images(images.of(source_of(part)))
        if self._takes_clips(images, part):
            return {part: self._of_clips(images, part, source)}
        made = [
            degrade(images.toolkit, part.label, b.images, b.ids, images.seed) for b in source.batches("test")
        ]
        return {part: torch.cat(made)}

    @staticmethod
    def _of_clips(images: SharedImages, part: Slice, source: Samples) -> Tensor:
        """The quality of these samples, `[n,3,H,W]`, clip by clip."""
        profile = images.profile
        taken = range(profile.first, profile.first + profile.samples)
        check_whole(images.data, profile.split, taken)
        known = clips_of(images.data, profile.split, taken) or {}
        clips = torch.tensor([known[name] for name in source.ids])
        return degrade(images.toolkit, part.label, source.images, source.ids, images.seed, clips)
