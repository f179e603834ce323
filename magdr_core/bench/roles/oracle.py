"""The bound of Eq. 8: the best candidate of Rec-Net's grid by the true error. It is no defense, but its rows
stand among those of defenses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from magdr_core.bench import evaluate
from magdr_core.bench.roles.defense import UNDEFENDED, Restoring, is_restoration
from magdr_core.bench.steps import inside
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell
from magdr_core.components.protocols import ImageMap
from magdr_core.components.role import ORACLE
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, Rng, TaskRun
from magdr_core.errors import MagdrError
from magdr_core.registry.composition import composition
from magdr_core.runtime.choosing import choices_of


class OracleRole(Restoring):
    """Wherever a profile has defenses and wants it, and the registry says what Rec-Net's layers are."""

    name = ORACLE
    reserved = (ORACLE,)

    def listed(self, profile: Any) -> tuple[str, ...]:
        labels: tuple[str, ...] = profile.defenses
        return labels

    def check(self, plan: Planning) -> None:
        pass  # they have a role of their own

    def labels(self, plan: Planning, part: Slice) -> Sequence[str]:
        if not plan.profile.oracle or not self.listed(plan.profile):
            return ()
        return (ORACLE,) if "layers" in composition(plan.toolkit, plan.profile) else ()

    def fits(self, plan: Planning, label: str) -> Sequence[tuple[str, str]]:
        # It may choose from the candidates of the profile's defenses.
        labels = self.listed(plan.profile)
        return [(self.rows, label) for label in labels if not is_restoration(plan.toolkit, label)]

    def component(self, run: TaskRun, cell: PlannedCell) -> Any:
        settings = [s.apply for label in self._grid(run) for s in run.toolkit.family(label).settings]
        return settings + [f for choices in self._choosing(run, cell) for f in choices.values()]

    def identity(self, run: TaskRun, cell: PlannedCell) -> Any:
        grid = [run.toolkit.family_identity(label) for label in sorted(self._grid(run))]
        return [grid, [name for choices in self._choosing(run, cell) for name in choices]]

    def _grid(self, run: TaskRun) -> list[str]:
        layers = composition(run.toolkit, run.profile)["layers"]
        return list(dict.fromkeys(label for layer in layers for label in layer))

    def _choosing(self, run: TaskRun, cell: PlannedCell) -> list[Mapping[str, ImageMap]]:
        """What the profile's defenses choose from; the oracle may choose from it as well."""

        def make() -> list[Mapping[str, ImageMap]]:
            found = []
            for label in self.listed(run.profile):
                if label == UNDEFENDED or is_restoration(run.toolkit, label):
                    continue
                try:
                    found.append(choices_of(run.component(replace(cell, component=label))))
                except MagdrError:
                    continue  # its own cells say what is wrong with it
            return found

        choices: list[Mapping[str, ImageMap]] = run.cached(self.name, make)
        return choices

    def restored(
        self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng
    ) -> tuple[evaluate.Values, Tensor, Tensor]:
        told = partial(run.progress, inside("the oracle's candidates"))
        return evaluate.oracle_values(seen, component, run.G, run.yardsticks, told)
