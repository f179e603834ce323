"""An attack that learns: one perturbation for all faces, by sign steps on what it does to training faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.api import (
    AttackSpec,
    ComponentError,
    Eps,
    FitData,
    Generator,
    Objective,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)
from magdr_core.functional import project_linf

MAGDR_API = 1

BATCH = 16


class Universal:
    """The same perturbation on every image."""

    def __init__(self, *, eps: Eps = 6 / 255, steps: int = 10) -> None:
        self.eps, self.steps = eps, steps
        self.delta: Tensor | None = None

    def __call__(self, x: Tensor, objective: Objective) -> Tensor:
        assert self.delta is not None, "load() first"
        if x.shape[1:] != self.delta.shape[1:]:
            raise ComponentError(
                f"learned for images {tuple(self.delta.shape[1:])}, got {tuple(x.shape[1:])}"
            )
        return project_linf(x + self.delta.to(x), x, self.eps)

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        faces = data.clean.images
        delta = self.eps * torch.where(torch.arange(faces.shape[3]) % 2 == 0, 1.0, -1.0).to(faces)
        delta = delta.expand(1, *faces.shape[1:])
        for step in range(self.steps):
            slope = torch.zeros_like(delta)
            for batch in data.clean.batches(BATCH):
                aim = data.objective(batch)
                slope += aim.gradient((batch.images + delta).clamp(0, 1))[1].sum(0, keepdim=True)
            delta = (delta + self.eps / 4 * slope.sign()).clamp(-self.eps, self.eps)
            data.progress(step + 1, self.steps)
        reached = sum(float(data.objective(b)(b.images + delta).sum()) for b in data.clean.batches(BATCH))
        return {"delta": pack_tensors({"delta": delta.cpu()}), "reached": reached / len(faces)}

    def load(self, state: Mapping[str, Any]) -> None:
        self.delta = unpack_tensors(state["delta"])["delta"]


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [AttackSpec(name="universal", build=Universal)]
