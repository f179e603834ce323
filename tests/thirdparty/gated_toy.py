"""A gated defense that chooses: what a detector flags is restored by the restoration of the lowest score.

Written as a third party would, with nothing of magdr but its public door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.api import (
    Batch,
    CalibratedDetector,
    Choice,
    Chosen,
    Condition,
    DefenseSpec,
    Generator,
    GeneratorSpec,
    ImageMap,
    Need,
    SampleRng,
    hookimpl,
)
from magdr_core.functional import PARTS, gaussian_blur, to_8bit

MAGDR_API = 1


class GatedToy:
    """Restores what is suspicious by the candidate of the lowest score, if that makes it less suspicious.

    A candidate's score is its cost and `moved` times the logarithm of how far it moves the image.

    Args:
        costs: of the image itself and of each restoration; none if left out.
        gate: the suspicion above which an image is restored.
    """

    def __init__(
        self,
        *,
        detector: CalibratedDetector,
        restorations: Sequence[Any],
        costs: tuple[float, ...] = (),
        moved: float = 1.0,
        gate: float = 0.0,
    ) -> None:
        self.evidence = detector.detector
        self.gate = gate
        self.moved = moved
        self.candidates: Mapping[str, ImageMap] = {"": to_8bit} | {f.label: _rounded(f) for f in restorations}
        self.costs = costs or (0.0,) * len(self.candidates)

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        return self.run(x, c, G).restored

    @torch.no_grad()
    def run(self, x: Tensor, c: Condition, G: Generator) -> Chosen:
        names = list(self.candidates)
        before = self.evidence(x, c, G)
        images = torch.stack([f(x) for f in self.candidates.values()], 1)
        way = (images - x[:, None]).abs().flatten(2).mean(2)
        scores = self.moved * (way + 1 / 512).log() + torch.tensor(self.costs, device=x.device)
        best = scores.argmin(1)
        picked = images[torch.arange(len(x), device=x.device), best]
        after = self.evidence(picked, c, G)
        active = before > self.gate
        kept = active & (after < before)
        plans = [[names[k]] if names[k] else [] for k in best.tolist()]
        return Chosen(
            restored=torch.where(kept[:, None, None, None], picked, x),
            plans=[plan if on else [] for plan, on in zip(plans, kept.tolist(), strict=True)],
            score=before,
            choices=[
                Choice(
                    scores=scores.masked_fill(~active[:, None], torch.inf),
                    plans=[plan if on else [] for plan, on in zip(plans, active.tolist(), strict=True)],
                    active=active,
                    after=after.masked_fill(~active, torch.inf),
                )
            ],
        )


class Sharpener:
    """A generator that draws what is fine in a picture more strongly, whatever it is asked for."""

    size = 16
    condition_names = ()

    def __init__(self, *, strength: float = 3.0) -> None:
        self.strength = strength

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        return (x + self.strength * (x - gaussian_blur(x, 1.0))).clamp(0, 1)

    def edited(self, c: Condition) -> Tensor:
        return torch.zeros(len(c), len(PARTS), dtype=torch.bool, device=c.values.device)

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        nothing = torch.zeros(len(batch), 0, device=batch.images.device)
        return Condition(nothing, nothing.bool())


def _rounded(f: ImageMap) -> ImageMap:
    return lambda x: to_8bit(f(x))


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [GeneratorSpec(name="sharpener", build=Sharpener)]


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    needs = {"detector": Need("detector", calibrated=True), "restorations": Need("restoration", depth=1)}
    return [DefenseSpec(name="gated", build=GatedToy, needs=needs)]
