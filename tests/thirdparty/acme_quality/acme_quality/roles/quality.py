"""The role `quality`: how good the images of a slice look, and how much worse than the clean ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from magdr_core.api import Figure, Measured, Role, Threshold, hookimpl

MAGDR_API = 1

FIGURES = (
    Figure(
        name="quality",
        role="quality",
        digits=4,
        threshold=Threshold(0.0, 0.05),
        needs=("quality",),
        summary="mean score of the images",
    ),
    Figure(
        name="quality_lost",
        role="quality",
        better="lower",
        digits=4,
        threshold=Threshold(0.0, 0.05),
        needs=("lost",),
        summary="how much lower it is than of the clean images",
    ),
    Figure(
        name="share_worse",
        role="quality",
        better="lower",
        threshold=Threshold(0.02),
        needs=("lost",),
        statistic="acme_quality.statistics:share_worse",
        summary="share of images that look worse than their clean ones",
    ),
)


class Quality(Role):
    """Scores of what generators are given."""

    name = "quality"
    plural = "qualities"
    kind = "quality"
    figures = FIGURES
    grows = True

    def measure(self, run: Any, cell: Any, seen: Any, component: Any, rng: Any) -> Measured:
        clean = run.images.clean(False, cell.slice)
        scores, before = (_scores(component, samples, rng) for samples in (seen, clean))
        return Measured({"quality": scores.tolist(), "lost": (before - scores).tolist()})


def _scores(component: Any, samples: Any, rng: Any) -> Tensor:
    """`[n]` in single precision."""
    parts = [component(batch.images, rng=rng(batch)).float() for batch in samples.batches(64)]
    return torch.cat(parts).cpu()


@hookimpl
def magdr_roles() -> list[Role]:
    return [Quality()]
