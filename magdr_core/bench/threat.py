"""The threat card of a cell: who attacked, how hard, and what they knew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.group import GroupRun
from magdr_core.components.batch import Condition
from magdr_core.components.cells import PlannedCell
from magdr_core.components.fingerprints import digest
from magdr_core.components.slice import Slice
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.guards.base import COUNTERS
from magdr_core.guards.generator_handle import GeneratorHandle
from magdr_core.results.cell import CellResult, check_queries
from magdr_core.runtime.samples import attack_samples

PROBED = 2
"""Faces that an attack is run on to count what it asks of the generator."""


class Threats:
    """Threat cards of the cells of one task and seed."""

    def __init__(self, run: GroupRun) -> None:
        self.run = run
        self._queries: dict[Slice, Mapping[str, float] | None] = {}

    def card(self, cell: PlannedCell, found: CellResult | None = None) -> dict[str, Any] | None:
        """The card as JSON; None where nobody attacked.

        Args:
            found: of a cell whose attack was made for it alone (an adaptive one): it says itself what that
                took, in `threat` and `attack_forwards`.

        Returns:
            norm, eps and step_size ([0,1] units; step_size None: the attack's own), steps, restarts,
            queries (forward and backward passes per image through the generator, counted on two faces; of a
            sweep, those of the longest run), objective, knows, lacks, seed, and every parameter.
        """
        part, scenario = cell.slice, self.run.scenario(cell)
        toolkit = self.run.toolkit
        try:
            made_by = scenario.attack(toolkit, part)
            if made_by is None:
                return None
            attack, params = made_by
            objective = attack.objective or self.run.G.objective
        except MagdrError:
            return None  # its cells say what is wrong with it
        own_attack = scenario.per_cell
        spent = None if found is None else found.attack_forwards
        queries = {"forward": spent} if own_attack and spent is not None else None
        own = {
            "norm": attack.norm,
            "eps": part.eps,
            "steps": part.steps,
            "step_size": None if own_attack else _step_size(attack, params),
            "restarts": int(params.get("restarts", 1)),
            "queries": queries if own_attack else self.counted(part),
            "objective": objective,
            "knowledge": cell.knowledge,
            "knows": scenario.knows(cell.knowledge),
            "lacks": scenario.lacks(part),
            "seed": cell.seed,
            "parameters": {}
            if own_attack
            else {k: v for k, v in params.items() if isinstance(v, int | float | str)},
        }
        return own | dict((found.threat if found is not None else None) or {})

    def counted(self, part: Slice) -> Mapping[str, float] | None:
        """Forward and backward passes per image of a slice's attack; None if it fails on the faces tried."""
        if part not in self._queries:
            self._queries[part] = self._count(part)
        return self._queries[part]

    def _count(self, part: Slice) -> Mapping[str, float] | None:
        """Passes per image on a few faces; None if the attack fails on them."""
        try:
            images = self.run.images
            key = digest(["queries", images.lasting_key(part), images.clean(False).ids[:PROBED]])
        except MagdrError:
            return None
        stored = self.run.store.json("queries", key, check_queries)
        if stored is None:
            try:
                clean = self.run.images.clean(False)[:PROBED]
                scenario = self.run.scenarios[part.scenario]
                counted = _Counted(scenario.attacked_generator(self.run.toolkit, part, self.run.G))
                attack = scenario.maker(self.run.images, part)
                attack_samples(clean, attack, counted, name=part.component, seed=self.run.group.seed)  # type: ignore[arg-type]
            except (MagdrError, torch.OutOfMemoryError):
                return None
            n = len(clean)
            # One pass made the clean output, which every aim starts from.
            stored = {"forward": counted.forward / n, "backward": counted.backward / n}
            self.run.store.put_json("queries", key, stored)
        return stored


class _Counted:
    """A generator that counts images on their way forward and gradients on their way back."""

    def __init__(self, G: GuardedGenerator) -> None:
        self.G = G
        self.forward = self.backward = 0

        COUNTERS.add(self)

    def counted(self) -> tuple[int, int]:
        return self.forward, self.backward

    def private_copy(self) -> GeneratorHandle:
        return GeneratorHandle(self)

    def recount(self, count: tuple[int, int]) -> None:
        self.forward, self.backward = count

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        self.forward += len(x)
        y = self.G(x, c)
        if y.requires_grad:
            y.register_hook(self._back)
        return y

    def _back(self, gradient: Tensor) -> None:
        self.backward += len(gradient)

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self.G, name)
        return found


def _step_size(attack: GuardedAttack, params: Mapping[str, Any]) -> float | None:
    """What the attack says (`step_size`), else its parameter of that meaning."""
    said: Any = getattr(attack.component, "step_size", None)
    for name in ("step", "alpha"):
        if said is None and params.get(name):
            said = params[name]
    return None if said is None else float(said)
