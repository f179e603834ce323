"""One perturbation for all faces, and for several generators (CMUA-Watermark: Huang et al., AAAI 2022,
arXiv 2105.10872).

It is learned once, on faces of the train split, and added to every face afterwards; nobody has to attack a
picture to protect it. `generators` are those that it shall disrupt; what it does to others is its transfer.

- `method = "cmua"` is the published training. For each batch, generator and condition, in that order, ten
  sign steps; after each the perturbations of the batch are averaged, and the average goes half into the
  universal one, from which the next step starts. An average of signs is smaller than they are, so that the
  result hardly fills its ball; `rescale` stretches it afterwards.
- `method = "balanced"` ascends all generators together: the signs of the sum of their gradients, each divided
  by its own mean absolute value, so that none drowns the others (as Shim & Yoon's ensembles do, LEAT, 2023).

Published step-size factors of single generators come from a search that is not repeated here; `factors` takes
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import (
    AttackSpec,
    ComponentError,
    Eps,
    Field,
    FitData,
    Generator,
    Need,
    Objective,
    SampleRng,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)

from ._sign_steps import DEFAULT_STEP

MAGDR_API = 1

LAST_STEP = 0.1
"""Of `balanced`, the last step in units of the first; between them they shrink evenly."""

TINY = 1e-20


class Universal:
    """A perturbation that is learned once and added to every face.

    Args:
        generators: the generators that it is learned on, in this order; the attacked one if none.
        method: `cmua`, as published, or `balanced`.
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps of each batch, generator and condition (`cmua`), or of each batch
            (`balanced`).
        step: step size in [0,1] units; 0 means eps / 5, the published ratio.
        momentum: what is kept of the perturbation (`cmua`) or of the gradient (`balanced`) at each step.
        factors: what each generator's perturbations are multiplied by (`cmua`), or its gradients
            (`balanced`), in the order of `generators`; 1 if empty.
        faces: how many faces of the train split it learns from, at most.
        batch: faces whose perturbations are averaged.
        rescale: stretch the result until it fills its ball.
    """

    def __init__(
        self,
        *,
        generators: Sequence[Generator] | None = None,
        method: Literal["cmua", "balanced"] = "cmua",
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=10_000)] = 10,
        step: Eps = 0.0,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        factors: tuple[Annotated[float, Field(ge=0, le=100)], ...] = (),
        faces: Annotated[int, Field(ge=1, le=1_000_000)] = 128,
        batch: Annotated[int, Field(ge=1, le=4096)] = 64,
        rescale: bool = False,
    ) -> None:
        self.generators = None if generators is None else list(generators)
        self.method, self.eps, self.steps = method, eps, steps
        self.step_size = step or DEFAULT_STEP * eps
        self.momentum, self.faces, self.batch, self.rescale = momentum, faces, batch, rescale
        count = len(self.generators or [None])
        if factors and len(factors) != count:
            raise ComponentError(f"universal: {len(factors)} factors for {count} generators")
        self.factors = factors or (1.0,) * count
        self.delta: Tensor | None = None

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """The perturbation as JSON-able data, learned on faces of the train split."""
        victims = [data] if self.generators is None else [data.on(g) for g in self.generators]
        delta = (self._published if self.method == "cmua" else self._balanced)(victims)
        if self.rescale:
            delta = delta * self.eps / delta.abs().max().clamp_min(TINY)
        # Whole levels, the nearest ones: what is added to 8-bit pictures would be rounded anyhow.
        most = math.floor(self.eps * 255 + 1e-4)
        levels = (delta * 255).round().clamp(-most, most)
        return {"levels": pack_tensors({"levels": levels.to(torch.int16)})}

    def load(self, state: Mapping[str, Any]) -> None:
        self.delta = unpack_tensors(state["levels"])["levels"].float() / 255

    def __call__(self, x: Tensor, objective: Objective) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]`, each with the same perturbation added.

        Raises:
            ComponentError: images of another size than those that it was learned on.
        """
        if self.delta is None:
            raise ComponentError("universal was called before it had learned anything")
        if x.shape[1:] != self.delta.shape:
            raise ComponentError(
                f"a universal perturbation of {self.delta.shape[2]}x{self.delta.shape[1]} pixels was called "
                f"on images of {x.shape[3]}x{x.shape[2]}"
            )
        return (x + self.delta.to(x.device)).clamp(0, 1)

    def _published(self, victims: Sequence[FitData]) -> Tensor:
        delta = torch.zeros_like(victims[0].clean.images[0])
        begun, done, total = False, 0, sum(1 for _ in self._batches(victims[0])) * len(victims)
        for number, rows in enumerate(self._batches(victims[0])):
            for m, (victim, factor) in enumerate(zip(victims, self.factors, strict=True)):
                some = victim.clean[rows]
                rng = SampleRng(number, f"universal/{m}", some.ids, device=delta.device)
                noise = rng.uniform(*delta.shape, low=-self.eps, high=self.eps)
                for aim in _aims(victim.objective(some)):
                    current = (some.images + (delta if begun else noise)).clamp(0, 1)
                    for _ in range(self.steps):
                        _, slope = aim.gradient(current)
                        moved = factor * (current + self.step_size * slope.sign() - some.images)
                        mean = moved.clamp(-self.eps, self.eps).mean(0)
                        delta = self.momentum * delta + (1 - self.momentum) * mean if begun else mean
                        begun = True
                        current = (some.images + delta).clamp(0, 1)
                done += 1
                victim.progress(done, total)
        return delta

    def _balanced(self, victims: Sequence[FitData]) -> Tensor:
        clean = victims[0].clean
        start = SampleRng(0, "universal/start", ["all"], device=clean.images.device)
        delta = start.uniform(*clean.images.shape[1:], low=-self.eps, high=self.eps)[0]
        velocity = torch.zeros_like(delta)
        batches = list(self._batches(victims[0]))
        total = len(batches) * self.steps
        aims = [[_aims(v.objective(v.clean[rows])) for rows in batches] for v in victims]
        for number in range(total):
            which = number % len(batches)
            rows = batches[which]
            images = clean.images[rows]
            uphill = torch.zeros_like(delta)
            for own, factor in zip(aims, self.factors, strict=True):
                conditions = own[which]
                aim = conditions[(number // len(batches)) % len(conditions)]
                slope = aim.gradient((images + delta).clamp(0, 1))[1].mean(0)
                uphill = uphill + factor * slope / (slope.abs().mean() + TINY)
            velocity = self.momentum * velocity + uphill
            shrunk = 1 - (1 - LAST_STEP) * number / total
            delta = (delta + shrunk * self.step_size * velocity.sign()).clamp(-self.eps, self.eps)
            victims[0].progress(number + 1, total)
        return delta

    def _batches(self, data: FitData) -> Iterator[slice]:
        """Rows of the faces that belong together."""
        count = min(self.faces, len(data.clean))
        for first in range(0, count, self.batch):
            yield slice(first, min(first + self.batch, count))


def _aims(objective: Objective) -> list[Objective]:
    """One for every condition that the faces could be given; the given one where the generator lists none."""
    try:
        return list(objective.classes())
    except ComponentError:
        return [objective]


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="universal",
            build=Universal,
            needs={"generators": Need("generator", depth=1, optional=True)},
            learns_on="generators",
            cite="Huang et al., CMUA-Watermark: A Cross-Model Universal Adversarial Watermark for Combating "
            "Deepfakes, AAAI 2022 (arXiv 2105.10872)",
        )
    ]
