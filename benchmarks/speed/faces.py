"""The embedded world that detection and reconstruction are timed on."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core import Toolkit
from magdr_core.calibration.pipeline import REMEMBERED
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.magdr import Outcome
from magdr_core.runtime.samples import attack_samples, draw_samples

TASK = "editing"
FIRST = 1000
STEPS = 10


class World:
    """MagDR with its shipped calibration before the editing generator, and images of the test split.

    Args:
        images: half of them clean, half attacked by PGD with a few steps.
        settings: lines of a `[speed]` table.
    """

    def __init__(self, device: str, images: int, settings: str = "") -> None:
        toolkit = Toolkit.from_registry(device=device)
        if settings:
            toolkit = toolkit.extended(f"[speed]\n{settings}\n")
        self.toolkit = toolkit
        self.pipeline = toolkit.magdr(TASK, photographs=False)
        self.generator = self.pipeline.generator
        self.generator.memory = None
        half = images // 2
        split = toolkit.build("dataset", toolkit.registry.dataset_of(TASK)).split("test")
        clean = draw_samples(split, self.generator, first=FIRST, count=images, seed=0)[0]
        attack = toolkit.sibling("attack", "pgd", eps=6 / 255, steps=STEPS)
        with self.generator.plain():
            attacked = attack_samples(clean[half:], attack, self.generator, name="pgd", seed=0)
        self.x: Tensor = torch.cat([clean.images[:half], attacked])
        self.c = clean.conditions

    def defend(self) -> Outcome:
        """All images at once; nothing is remembered from the run before."""
        self.generator.memory = OutputMemory(REMEMBERED)
        return self.pipeline.defend(self.x, self.c)
