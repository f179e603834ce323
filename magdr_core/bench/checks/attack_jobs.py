"""The checks of a task's attacks: each by itself, on the generator without any defense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from magdr_core.bench.checks.attacks import Variants, attack_checks
from magdr_core.bench.checks.budget import granted
from magdr_core.bench.checks.check import LEAST, SanityCheck
from magdr_core.bench.checks.component import LONGER
from magdr_core.bench.checks.job import CheckJob
from magdr_core.bench.checks.victim import Victim
from magdr_core.bench.group import GroupRun
from magdr_core.bench.threat import Threats
from magdr_core.components.slice import Slice
from magdr_core.registry.settings import Checks

RUNS = 5 + LONGER
"""Of an attack's checks, in runs of its own length: five, and one that is ten times as long."""


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
            if self.run.toolkit.build("attack", part.label).norm != "linf":
                continue  # they are about a ball and its corners
            if any(need.kind == "attack" for need in resolved.entry.spec.needs.values()):
                continue  # what is mixed is checked by itself
            if self.run.toolkit.build("attack", part.label).learns:
                continue  # at another strength it would have to learn again
            counted = self.threats.counted(part)
            faces = min(self._affordable(counted), len(self.run.images.clean(False)))
            passes = 0.0 if counted is None else faces * RUNS * counted["forward"]
            how = {"eps": part.eps, "steps": part.steps, "faces": faces}
            about = ["attack", resolved.identity, faces]
            yield CheckJob("attack", part.name, about, how, partial(self._checks, part, faces), None, passes)

    def _affordable(self, counted: Mapping[str, float] | None) -> int:
        """Faces on which all runs of an attack's checks take the passes that are granted; at least four.

        Args:
            counted: passes of one run per face, forward and backward; None if nobody knows.
        """
        if counted is None:
            return min(LEAST, self.settings.faces)
        dear = RUNS * (counted["forward"] + 2 * counted["backward"])
        passes = granted(self.settings, self.run.toolkit.device.type)
        return min(self.settings.faces, max(LEAST, int(passes / dear)))

    def _checks(self, part: Slice, faces: int) -> list[SanityCheck]:
        clean = self.run.images.clean(False)[:faces]
        toolkit, G = self.run.toolkit, self.run.G
        aim = toolkit.build("attack", part.label).objective or G.objective
        victim = Victim(clean, G, aim, name="bare", seed=self.run.seed)
        return list(attack_checks(Variants(toolkit, part.label, victim)))
