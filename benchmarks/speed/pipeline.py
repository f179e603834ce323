"""Detection and reconstruction of a batch: the same decisions as image by image, and with faster passes."""

from __future__ import annotations

from typing import Any

import torch
from clock import Clock, rows_of
from faces import World
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.magdr import Outcome

NAIVE = "image by image"
SETTINGS = {
    "batched": "",
    "batched, columns": "columns = true",
    "batched, bfloat16": 'dtype = "bfloat16"',
    "batched, bfloat16 + columns": 'dtype = "bfloat16"\ncolumns = true',
    "batched, columns + compile": "columns = true\ncompile = true",
    "batched, bfloat16 + columns + compile": 'dtype = "bfloat16"\ncolumns = true\ncompile = true',
}


class OneByOne(World):
    """The same method without batches: an image at a time, a generator pass at a time."""

    def __init__(self, device: str, images: int) -> None:
        super().__init__(device, images)
        net = self.generator.component

        def each(x: Tensor, c: Condition) -> Tensor:
            return torch.cat([net(x[i : i + 1], c[i : i + 1]) for i in range(len(x))])

        self.generator._compute = each  # type: ignore[method-assign]

    def defend(self) -> Outcome:
        parts = [self.pipeline.defend(self.x[i : i + 1], self.c[i : i + 1]) for i in range(len(self.x))]
        return Outcome.cat(parts)


def agreement(got: Outcome, wanted: Outcome) -> dict[str, float]:
    """Shares of images with the same verdict and the same plan; the largest difference of a score."""
    return {
        "same_verdicts": float((got.flagged == wanted.flagged).float().mean()),
        "same_plans": sum(a == b for a, b in zip(got.plans, wanted.plans, strict=True)) / len(got.plans),
        "score_difference": float((got.score - wanted.score).abs().max()),
    }


def table(device: str, clock: Clock, settings: list[str], images: int) -> list[dict[str, Any]]:
    """Ratios to the image-by-image form.

    Raises:
        AssertionError: a float32 form on the CPU decided otherwise about some image.
    """
    worlds: dict[str, World] = {NAIVE: OneByOne(device, images)}
    worlds |= {name: World(device, images, SETTINGS[name]) for name in settings}
    # The first run is each one's warm-up, too.
    wanted = worlds[NAIVE].defend()
    found = {name: agreement(world.defend(), wanted) for name, world in worlds.items()}
    for name, agreed in found.items():
        if clock.device.type == "cpu" and "bfloat16" not in name:
            assert agreed["same_verdicts"] == agreed["same_plans"] == 1.0, f"{name}: {agreed}"
    times = clock.in_turn({name: world.defend for name, world in worlds.items()}, warm=True)
    forwards = {"images": images, "flagged": int(wanted.flagged.sum()), "forwards": wanted.forwards}
    return [{**row, **forwards, **found[row["contestant"]]} for row in rows_of(times, NAIVE)]


def agreements(device: str, settings: list[str], images: int) -> list[dict[str, Any]]:
    """What `[speed]` changes on many images, against plain passes of the same batches."""
    plain = World(device, images).defend()
    rows = []
    for name in settings:
        if SETTINGS[name]:
            found = World(device, images, SETTINGS[name]).defend()
            rows.append({"contestant": name, "images": images, **agreement(found, plain)})
    return rows
