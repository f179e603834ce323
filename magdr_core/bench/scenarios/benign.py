"""Benign edits of clean images, which detectors must not flag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import CLEAN, Slice
from magdr_core.components.task_run import Planning, SharedImages
from magdr_core.functional import to_8bit


class BenignScenario(Scenario):
    """Each of the profile's `benign` augmentations, where it has detectors."""

    name = "benign"
    key = "benign"
    main = False
    grows = True

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        if not self.wanted(plan):
            return
        for label in plan.profile.benign:
            yield Slice(f"benign:{label}", self.name, label, plan.used("augmentation", label))

    def columns(self, part: Slice) -> Mapping[str, Any]:
        return {"attack": CLEAN, "eps": 0.0, "steps": 0}

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        edit = images.toolkit.resolve("augmentation", part.label).identity
        return {**super().images_key(images, part), "slice": edit}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        f = images.toolkit.build("augmentation", part.label)
        return {part: torch.cat([to_8bit(f(b.images)) for b in clean.batches("test")])}
