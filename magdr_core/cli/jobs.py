"""What the commands do to face cuts: those of the library, and attacking them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, Samples
from magdr_core.components.objective import symmetric_mse
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.inference.operations import Defend, Detect, FaceJob, Result
from magdr_core.runtime.samples import attack_samples, objective_of

__all__ = ["AttackJob", "Defend", "Detect", "FaceJob", "Result"]


def in_levels(change: Tensor) -> str:
    """A change, `[]` in [0,1] units, as a fraction of 255."""
    return f"{round(float(change) * 255)}/255"


class AttackJob:
    suffix = "attacked"

    def __init__(self, generator: GuardedGenerator, attack: GuardedAttack, seed: int) -> None:
        self.generator = generator
        self.attack = attack
        self.seed = seed
        self.limit: float | None = attack.limit

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        """`[B,3,S,S]`, 8-bit cuts, B conditions and names; a result with the attacked cut for each."""
        clean, name = Samples(x, c, tuple(ids)), self.attack.label
        attacked = attack_samples(clean, self.attack, self.generator, name=name, seed=self.seed)
        return self.results(clean, attacked)

    @torch.no_grad()
    def results(self, clean: Samples, attacked: Tensor) -> list[Result]:
        """The results for cuts that are attacked already, `[B,3,S,S]`."""
        x, c = clean.images, clean.conditions
        before, after = self.generator(x, c), self.generator(attacked, c)
        moved = (attacked - x).abs().amax((1, 2, 3))
        reached = objective_of(self.attack, self.generator, clean, before).reached(after)
        return [
            Result(
                {
                    "largest_change": in_levels(moved[i]),
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
