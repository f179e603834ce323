"""The checks of a task's attacks: each by itself, on the generator without any defense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from magdr_core.bench.checks.attacks import Variants, attack_checks
from magdr_core.bench.checks.budget import granted
from magdr_core.bench.checks.check import LEAST, Check
from magdr_core.bench.checks.component import LONGER
from magdr_core.bench.checks.job import CheckJob
from magdr_core.bench.checks.victim import Victim
from magdr_core.bench.group import GroupRun
from magdr_core.bench.threat import Threats
from magdr_core.components.slice import Slice
from magdr_core.registry.settings import Checks


class AttackJobs:
    """One for each attack of a task that sanity checks look at.

    Args:
        run: the task's cells.
        threats: they know what an attack takes.
    """

    def __init__(self, run: GroupRun, settings: Checks, threats: Threats) -> None:
        self.run, self.settings, self.threats = run, settings, threats

    def of(self, slices: Sequence[Slice]) -> Iterator[CheckJob]:
        for part in slices:
            resolved = self.run.toolkit.resolve("attack", part.label)
            if any(need.kind == "attack" for need in resolved.entry.spec.needs.values()):
                continue  # what is mixed is checked by itself
            if self.run.toolkit.build("attack", part.label).learns:
                continue  # at another strength it would have to learn again
            dear = self._dear(part)
            faces = min(self._affordable(dear), len(self.run.images.clean(False)))
            how = {"eps": part.eps, "steps": part.steps, "faces": faces}
            about = ["attack", resolved.identity, faces]
            yield CheckJob(
                "attack", part.name, about, how, partial(self._checks, part, faces), None, faces * dear
            )

    def _dear(self, part: Slice) -> float:
        """Passes that all runs of an attack's checks take per face; 0 if nobody knows."""
        counted = self.threats.counted(part)
        if counted is None:
            return 0.0
        # Five runs of its own length and one that is ten times as long.
        dear: float = (5 + LONGER) * (counted["forward"] + 2 * counted["backward"])
        return dear

    def _affordable(self, dear: float) -> int:
        """Faces on which all runs of an attack's checks take the passes that are granted; at least four."""
        if not dear:
            return min(LEAST, self.settings.faces)
        passes = granted(self.settings, self.run.toolkit.device.type)
        return min(self.settings.faces, max(LEAST, int(passes / dear)))

    def _checks(self, part: Slice, faces: int) -> list[Check]:
        clean = self.run.images.clean(False)[:faces]
        toolkit, G = self.run.toolkit, self.run.G
        aim = toolkit.build("attack", part.label).objective or G.objective
        victim = Victim(clean, G, aim, name="bare", seed=self.run.seed)
        return list(attack_checks(Variants(toolkit, part.label, victim)))
