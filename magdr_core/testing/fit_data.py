"""What components that learn are offered under test."""

from __future__ import annotations

from functools import partial

import torch

from magdr_core.components.batch import Samples
from magdr_core.components.protocols import Dataset, FitData
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.runtime.samples import attack_samples, draw_samples, objective_of

ATTACKED = 12
CLEAN = 24


def make_fit_data(dataset: Dataset, generator: GuardedGenerator, attack: GuardedAttack) -> FitData:
    """What core offers to `fit`, small: toy faces, attacked by one toy attack called "toy"."""

    def clean(split: str, first: int, count: int) -> Samples:
        return draw_samples(dataset.split(split), generator, first=first, count=count, seed=0)[0]

    def attacked(split: str, first: int, count: int) -> dict[str, tuple[Samples, Samples]]:
        faces = clean(split, first, count)
        images = attack_samples(faces, attack, generator, name="toy", seed=0)
        return {"toy": (faces.with_images(images), faces)}

    faces = clean("calibration", 200, ATTACKED)
    signs = torch.where(faces.images.diff(dim=3, append=faces.images[..., :1]) > 0, 1.0, -1.0)
    noisy = faces.with_images((faces.images + attack.eps * signs.flip(2)).clamp(0, 1))

    def on(other: GuardedGenerator) -> FitData:
        faces = draw_samples(dataset.split("train"), other, first=0, count=CLEAN, seed=0)[0]
        objective = partial(objective_of, attack, other)
        return FitData(clean=faces, attacked={}, objective=objective, on=on)

    return FitData(
        clean=clean("calibration", 0, CLEAN),
        attacked=attacked("calibration", 200, ATTACKED),
        held_out=attacked("calibration", 100, ATTACKED),
        harmless={f"noise@{attack.eps * 255:g}": noisy},
        training=lambda: attacked("train", 0, CLEAN),
        objective=lambda samples: objective_of(attack, generator, samples),
        on=on,
    )
