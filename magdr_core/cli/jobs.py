"""What is done to face cuts: defend, detect or attack a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from magdr_core.guard import GuardedAttack, GuardedGenerator
from magdr_core.magdr import Outcome
from magdr_core.objective import symmetric_mse
from magdr_core.pipeline import Pipeline
from magdr_core.samples import attack_samples, objective_of
from magdr_core.types import Condition, Samples

Panels = list[tuple[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one cut.

    Attributes:
        facts: the evidence, JSON-able.
        changed: `[3,S,S]`, the cut that takes the place of the received one.
        output: `[3,S,S]`, the generator's output on it.
        panels: for the side-by-side picture.
    """

    facts: dict[str, Any]
    changed: Tensor
    output: Tensor
    panels: Panels = field(default_factory=list)


class Job(Protocol):
    """`suffix` names the changed picture; `limit` bounds what any of its pixels may move by."""

    suffix: str
    limit: float | None
    generator: GuardedGenerator

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        """`[B,3,S,S]`, 8-bit cuts, B conditions and stable names."""


class Judge:
    """A pipeline whose verdicts are told.

    Args:
        synthetic: it is calibrated on drawn faces. The detector knows evidence unlike its calibration's, but
            photographs can have evidence that drawn faces have too, so every verdict on a file is a guess.
    """

    limit: float | None = None

    def __init__(self, pipeline: Pipeline, *, synthetic: bool = False) -> None:
        self.pipeline = pipeline
        self.generator = pipeline.generator
        self.synthetic = synthetic

    def evidence(self, outcome: Outcome, i: int) -> dict[str, Any]:
        """`Outcome.explain` with the verdict in words."""
        told: Mapping[str, Any] = outcome.explain(i)
        covered = told["covered_by_calibration"] and not self.synthetic
        verdict = "disrupted" if told["flagged"] else "clean"
        return {"verdict": verdict, **told, "covered_by_calibration": covered}


class Detect(Judge):
    """Only looks; nothing is changed."""

    suffix = ""

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        outcome = self.pipeline.inspect(x, c)
        return [Result(self.evidence(outcome, i), x[i], x[i]) for i in range(len(x))]


class Defend(Judge):
    suffix = "restored"

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        outcome = self.pipeline.defend(x, c)
        return self.results(x, c, outcome.restored, [self.evidence(outcome, i) for i in range(len(x))])

    @torch.no_grad()
    def results(
        self, x: Tensor, c: Condition, restored: Tensor, facts: Sequence[dict[str, Any]]
    ) -> list[Result]:
        before, after = self.generator(x, c), self.generator(restored, c)
        return [
            Result(
                facts[i],
                restored[i],
                after[i],
                [
                    ("received", x[i]),
                    ("restored", restored[i]),
                    ("output on received", before[i]),
                    ("output on restored", after[i]),
                ],
            )
            for i in range(len(x))
        ]


class Attack:
    suffix = "attacked"

    def __init__(self, generator: GuardedGenerator, attack: GuardedAttack, seed: int) -> None:
        self.generator = generator
        self.attack = attack
        self.seed = seed
        self.limit: float | None = attack.eps

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        clean, name = Samples(x, c, tuple(ids)), self.attack.label
        attacked = attack_samples(clean, self.attack, self.generator, name=name, seed=self.seed)
        with torch.no_grad():
            before, after = self.generator(x, c), self.generator(attacked, c)
        moved = (attacked - x).abs().amax((1, 2, 3))
        reached = objective_of(self.attack, self.generator, clean, before).reached(after)
        return [
            Result(
                {
                    "largest_change": f"{round(float(moved[i]) * 255)}/255",
                    "output_mse": round(float(symmetric_mse(before, after)[i]), 4),
                    "disrupted": bool(reached[i]),
                },
                attacked[i],
                after[i],
                [
                    ("given", x[i]),
                    ("attacked", attacked[i]),
                    ("output on given", before[i]),
                    ("output on attacked", after[i]),
                ],
            )
            for i in range(len(x))
        ]

    @torch.no_grad()
    def survived(self, clean: Tensor, attacked: Tensor, c: Condition) -> dict[str, Any]:
        """How much of the attack is left in cuts of the written picture and the given one, `[3,S,S]` each."""
        y = self.generator(torch.stack([clean, attacked]), Condition.cat([c, c]))
        objective = objective_of(self.attack, self.generator, Samples(clean[None], c, ("",)), y[:1])
        return {
            "output_mse_in_file": round(float(symmetric_mse(y[:1], y[1:])), 4),
            "disrupted_in_file": bool(objective.reached(y[1:])),
        }
