"""Core's view of a defense that acts behind a gate, or that chooses among candidates.

Whoever attacks such a defense asks it through here: what it is given are copies, and its faults are its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Choice, Choosing, Chosen, Gated, ImageMap
from magdr_core.components.rng import SampleRng
from magdr_core.guards.base import Guard
from magdr_core.guards.detector import GuardedDetector


class GuardedChoosing:
    """The gate and the choice of a defense, as far as it has them.

    Args:
        guard: of the defense.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.component: Any = guard.component

    @property
    def gated(self) -> bool:
        """Whether it leaves images alone that are not suspicious."""
        return self.guard.contained(lambda: isinstance(self.component, Gated))

    @property
    def chooses(self) -> bool:
        """Whether it picks among candidates (or steps) and tells which."""
        return self.guard.contained(lambda: isinstance(self.component, Choosing))

    # -- the gate ---------------------------------------------------------------------------------------

    @property
    def gate(self) -> float:
        """Above it an image is acted on.

        Raises:
            ComponentError: it is no number.
        """
        gate = self.guard.contained(lambda: self.component.gate)
        if isinstance(gate, Tensor) and gate.numel() == 1:
            gate = gate.item()
        if isinstance(gate, bool) or not isinstance(gate, int | float) or gate != gate:
            raise self.guard.fail(f"gate: is a {type(gate).__name__}, expected a number")
        return float(gate)

    @property
    def evidence(self) -> GuardedDetector:
        """The suspicion by which the gate decides, `(x, c, G) -> [B]`."""
        evidence = self.guard.contained(lambda: self.component.evidence)
        found = GuardedDetector(evidence, f"{self.guard.where} (evidence)", stochastic=self.guard.stochastic)
        found.modules = [*self.guard.modules, *found.modules]
        found.label = self.guard.label
        return found

    # -- the choice -------------------------------------------------------------------------------------

    @property
    def candidates(self) -> Mapping[str, ImageMap]:
        """What it ranks, by name and in the order of its scores.

        Raises:
            ComponentError: they are not image maps by name.
        """
        return self._maps("candidates")

    @property
    def maps(self) -> Mapping[str, ImageMap]:
        """All that plans may name: candidates and steps. Raises as `candidates`."""
        return {**self.candidates, **self._maps("steps")}

    def _maps(self, attribute: str) -> Mapping[str, ImageMap]:
        found = self.guard.contained(lambda: getattr(self.component, attribute, {}))
        fine = isinstance(found, Mapping) and all(
            isinstance(k, str) and callable(f) for k, f in found.items()
        )
        if not fine:
            raise self.guard.fail(f"{attribute}: expected image maps by their names")
        return {name: partial(self._mapped, f) for name, f in found.items()}

    def _mapped(self, f: ImageMap, x: Tensor) -> Tensor:
        return self.guard.images(self.guard.call(f, x), x, "a candidate returned")

    def run(self, x: Tensor, c: Condition, G: Any, *, rng: SampleRng | None = None) -> Chosen:
        """What the defense makes of `[B,3,H,W]`, and how it came about.

        Raises:
            ComponentError: it fails, or what it tells does not fit its images and candidates.
        """
        told = self.guard.call(self._ran, x, c, G, **self.guard.arguments(rng))
        return Chosen(
            self.guard.images(told.restored, x, "run restored"),
            self._plans(told.plans, len(x)),
            None if told.score is None else self.guard.scores(told.score, (len(x),)),
            tuple(self._choices(told.choices, x)),
        )

    def _ran(self, x: Tensor, c: Condition, G: Any, **named: Any) -> Chosen:
        """What `run` tells, of whatever class, as data that is copied on its way out."""
        told = self.component.run(x, c, G, **named)
        if any(not hasattr(told, name) for name in ("restored", "plans")):
            raise self.guard.fail(f"run returned a {type(told).__name__}, expected `restored` and `plans`")
        choices = getattr(told, "choices", ())
        if not isinstance(choices, list | tuple):
            raise self.guard.fail(f"choices: is a {type(choices).__name__}, expected a sequence of rounds")
        rounds: list[Choice] = []
        for choice in choices:
            found: list[Any] = [getattr(choice, f.name, None) for f in fields(Choice)]
            rounds.append(Choice(*found))
        return Chosen(told.restored, told.plans, getattr(told, "score", None), rounds)

    def _plans(self, plans: Any, count: int) -> list[tuple[str, ...]]:
        fine = isinstance(plans, list | tuple) and all(
            isinstance(plan, list | tuple) and all(isinstance(name, str) for name in plan) for plan in plans
        )
        if not fine or len(plans) != count:
            raise self.guard.fail(f"plans: expected a list of names for each of {count} images")
        return [tuple(plan) for plan in plans]

    def _choices(self, choices: Sequence[Choice], x: Tensor) -> Iterator[Choice]:
        names = self.component.candidates
        for choice in choices:
            scores = self._values(choice.scores, "scores", (len(x), len(names)))
            active = choice.active
            if active is None:
                active = torch.ones(len(x), dtype=torch.bool, device=x.device)
            elif (
                not isinstance(active, Tensor)
                or active.dtype != torch.bool
                or tuple(active.shape) != (len(x),)
            ):
                raise self.guard.fail(f"active of a choice: expected bool [{len(x)}]")
            after = None if choice.after is None else self._values(choice.after, "after", (len(x),))
            yield Choice(scores, self._plans(choice.plans, len(x)), active, after)

    def _values(self, values: Any, name: str, shape: tuple[int, ...]) -> Tensor:
        """Real numbers of that shape; infinite is what was not looked at, but NaN is nothing."""
        found = self.guard.tensor(values, f"{name} of a choice:")
        if tuple(found.shape) != shape:
            raise self.guard.fail(f"{name} of a choice: {tuple(found.shape)}, expected {shape}")
        if bool(found.isnan().any()):
            raise self.guard.fail(f"{name} of a choice: NaN; what was not looked at is infinite")
        return found
