"""The best of several defenses on calibration faces: how the strength of a baseline is chosen.

The rule is the one that `fixed-chain` follows for filters: the lowest mean log error of Eq. 8 (G's output on
restored images against its output on the clean ones) over the attacked faces that a defense may learn from.
Here the strengths may be random ones, act on the output, or be fitted themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, FitData, Generator, Need, SampleRng, hookimpl
from magdr_core.functional import mse, to_8bit

MAGDR_API = 1

FLOOR = 1e-5
"""Added to errors before the logarithm, as where chains are chosen: about a squared 8-bit step."""


class Candidate(Protocol):
    """A defense as core injects it."""

    label: str
    component: Any

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor: ...

    def output(
        self, restored: Tensor, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng
    ) -> Tensor: ...


class BestOf:
    """The defense that recovers most on attacked calibration faces, out of a list.

    One of them, always the same; which one is fitted.

    Args:
        defenses: defenses of which one is chosen, such as one method at several strengths.

    Raises:
        ValueError: the list is empty.
    """

    def __init__(self, *, defenses: Sequence[Candidate]) -> None:
        if not defenses:
            raise ValueError("best-of needs at least one defense")
        self.candidates = defenses
        self.chosen: Candidate | None = None

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        assert self.chosen is not None, "load() first"
        return self.chosen(x, c, G, rng=rng.fork(0))

    def output(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """What G, or the chosen defense in its place, returns: `[B,3,H,W]` in [0,1]."""
        assert self.chosen is not None, "load() first"
        return _through(self.chosen, x, c, G, rng)

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """The choice, the errors that it was made by, and the choice's own state if it is a fitted one."""
        states: list[Any] = []
        errors: list[float] = []
        for number, candidate in enumerate(self.candidates):
            fittable = hasattr(candidate.component, "fit")
            states.append(candidate.component.fit(data, G) if fittable else None)
            if fittable:
                candidate.component.load(states[-1])
            errors.append(self._error(number, candidate, data, G))
            data.progress(number + 1, len(self.candidates))
        best = min(range(len(errors)), key=errors.__getitem__)
        return {"chosen": best, "mean_log_error": errors, "state": states[best]}

    def load(self, state: Mapping[str, Any]) -> None:
        self.chosen = self.candidates[state["chosen"]]
        if state["state"] is not None:
            self.chosen.component.load(state["state"])

    def _error(self, number: int, candidate: Candidate, data: FitData, G: Generator) -> float:
        logs = []
        for attack, (attacked, clean) in data.attacked.items():
            for seen, wanted in zip(attacked.batches("learn"), clean.batches("learn"), strict=True):
                rng = SampleRng(0, f"best-of/{number}/{attack}", seen.ids, device=seen.images.device)
                y = _through(candidate, seen.images, seen.conditions, G, rng)
                error = mse(y, G(wanted.images, wanted.conditions))
                logs.append((error.double() + FLOOR).log())
        return float(torch.cat(logs).mean())


def _through(candidate: Candidate, x: Tensor, c: AnyCondition, G: Generator, rng: SampleRng) -> Tensor:
    restored = to_8bit(candidate(x, c, G, rng=rng.fork(0)))
    return candidate.output(restored, x, c, G, rng=rng.fork(0))


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="best-of",
            build=BestOf,
            stochastic=True,  # so that it can hand a stream on
            supervised=True,  # so that a candidate which learns from more faces can
            needs={"defenses": Need("defense", depth=1)},
        )
    ]
