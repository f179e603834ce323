"""The checks of a whole task: its attacks, the planted weaknesses, and every row of its tables.

Every row's result is stored by a key of everything that it depends on; an interrupted run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.checks.adaptive_engine import AdaptiveEngine
from magdr_core.bench.checks.attack_jobs import AttackJobs
from magdr_core.bench.checks.budget import CheckedPart, curtailed, fitted, granted
from magdr_core.bench.checks.check import SanityCheck
from magdr_core.bench.checks.component import LONGER, Effort, component_checks, passes_per_image
from magdr_core.bench.checks.engine import AttackEngine
from magdr_core.bench.checks.job import CheckJob
from magdr_core.bench.checks.planted_checks import planted_checks
from magdr_core.bench.checks.victim import Victim
from magdr_core.bench.group import GroupRun
from magdr_core.bench.steps import inside
from magdr_core.bench.threat import Threats
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.role import Role, role_of
from magdr_core.components.slice import Slice
from magdr_core.components.specs import Gradient
from magdr_core.errors import MagdrError, one_line
from magdr_core.registry.resolve import Resolved
from magdr_core.registry.settings import Checks
from magdr_core.results.cell import CellResult, check_checks

SCHEMA = 3

PLANTED = "planted"

PLANTED_STEPS = 30
"""At least so many: the hashing detector is got by after some trials."""

PLANTED_EPS = 16 / 255
"""At least so strong: a weakness can be missed only where the generator can be disrupted at all."""

DEFAULT_EPS = 6 / 255


class Suite:
    """The checks of one task, with the images and calibrated components of its cells.

    Args:
        run: the task's cells, computed.
        threats: they know what an attack takes.
        engine: the attack that knows the component; the adaptive one of the tables if None.
    """

    def __init__(
        self, run: GroupRun, settings: Checks, threats: Threats, engine: AttackEngine | None = None
    ) -> None:
        self.run, self.settings, self.engine = run, settings, engine or AdaptiveEngine()
        self.threats = threats
        self.toolkit, self.store, self.G = run.toolkit, run.store, run.G
        self.attacks = [s for s in run.group.slices if run.scenarios[s.scenario].checked(s)]
        self.main: Slice | None = self.attacks[0] if self.attacks else None
        self._oblivious: dict[tuple[int, int], Tensor] = {}
        self.eps = self.main.eps if self.main is not None else DEFAULT_EPS

    # -- rows -------------------------------------------------------------------------------------------

    def rows(self, cells: Sequence[CellResult]) -> Iterator[dict[str, Any]]:
        """The checked rows as JSON, without badges.

        Args:
            cells: of this task; they say how many passes each component takes.
        """
        jobs = self.jobs(cells)
        for done, job in enumerate(jobs):
            self.run.work.progress(f"checks ({job.component})", done, len(jobs))
            yield self.row(job)
        self.run.work.progress("checks", len(jobs), len(jobs))

    def jobs(self, cells: Sequence[CellResult]) -> list[CheckJob]:
        """One for each row, to be done in any order."""
        attacks = AttackJobs(self.run, self.settings, self.threats)
        return [*attacks.of(self.attacks), self._planted_job(), *self._component_jobs(cells)]

    def row(self, job: CheckJob) -> dict[str, Any]:
        settings = self.settings.model_dump(exclude={"passes"})
        key = digest(
            {
                "schema": SCHEMA,
                "about": job.identity,
                "settings": settings,
                "engine": self.engine.name,
                "main": self._images_key(),
            }
        )
        undone = [] if job.undone is None else [job.undone.as_json()]
        if not job.how:  # nothing to do, and nothing to keep
            return self._facts(job) | {"key": "", "how": {}, "checks": undone}
        stored = self.store.json("checks", key, check_checks)
        if stored is None:
            try:
                before = self.G.passes
                with self._told(job):
                    checks = [check.as_json() for check in job.checks()]
                made = {"how": job.how, "checks": checks, "passes": self.G.passes - before}
                self.run.images.shared.check(f"{job.role} {job.component}")
            except torch.OutOfMemoryError as e:
                unmade = self.unmade(job, one_line(e))
                return unmade | {"checks": [c | {"verdict": "skipped"} for c in unmade["checks"]]}
            except MagdrError as e:
                # What fails once may work the next time: it is not stored.
                return self.unmade(job, one_line(e))
            # Through JSON, so that a fresh result and a stored one are the same to the last byte.
            stored = json.loads(json.dumps(made, sort_keys=True))
            self.store.put_json("checks", key, stored)
        return self._facts(job) | {"key": key, **stored, "checks": [*stored["checks"], *undone]}

    @contextmanager
    def _told(self, job: CheckJob) -> Iterator[None]:
        """Tell how many of the passes are made that a row's checks take."""
        before, total = self.G.passes, round(job.passes)

        def told(passes: int) -> None:
            done = passes - before
            self.run.work.progress(inside(f"checks of {job.component}"), done, total and max(total, done + 1))

        self.G.told = told
        try:
            yield
        finally:
            self.G.told = None

    def unmade(self, job: CheckJob, error: str) -> dict[str, Any]:
        """The row of checks that could not be run."""
        failed = SanityCheck("run", "fail", f"the checks could not be run: {error}")
        return self._facts(job) | {"key": "", "how": job.how, "checks": [failed.as_json()]}

    def _facts(self, job: CheckJob) -> dict[str, Any]:
        group = self.run.group
        return {"task": group.task, "seed": group.seed, "role": job.role, "component": job.component}

    def _images_key(self) -> Any:
        images, main = self.run.images, self.main or self.run.group.slices[0]
        return [images.lasting_key(main), images.clean(False).ids[: self.settings.faces], self.eps]

    def _first(self, samples: Samples, faces: int) -> Samples:
        return samples[: min(faces, len(samples))]

    def _aim(self) -> Any:
        if self.main is None:
            return self.G.objective
        attack = self.run.scenarios[self.main.scenario].attack(self.toolkit, self.main)
        return (attack and attack[0].objective) or self.G.objective

    # -- planted weaknesses -----------------------------------------------------------------------------

    def _planted_job(self) -> CheckJob:
        s = self.settings
        steps = max(PLANTED_STEPS, s.steps)
        how = {
            **{"eps": self._planted_eps, "steps": steps, "draws": s.draws, "faces": self._faces(s.faces)},
            "engine": self.engine.name,
        }
        return CheckJob(PLANTED, PLANTED, ["planted"], how, lambda: self._planted(steps))

    @property
    def _planted_eps(self) -> float:
        return max(self.eps, PLANTED_EPS)

    def _planted(self, steps: int) -> list[SanityCheck]:
        clean = self._first(self.run.images.clean(False), self.settings.faces)
        effort = {"eps": self._planted_eps, "steps": steps, "draws": self.settings.draws}
        seed = self.run.group.seed
        return planted_checks(self.engine, clean, self.G, self._aim(), seed=seed, **effort)  # type: ignore[arg-type]

    def _faces(self, faces: int) -> int:
        return min(faces, len(self.run.images.clean(False)))

    # -- rows of the tables -----------------------------------------------------------------------------

    def _component_jobs(self, cells: Sequence[CellResult]) -> Iterator[CheckJob]:
        seen: set[tuple[str, str]] = set()
        for cell in cells:
            role, label = cell.facts.role, cell.facts.component
            if (role, label) in seen or cell.failed or not self._role(role, label).checked(label):
                continue
            seen.add((role, label))
            yield self._component_job(role, label, self._passes(cells, role, label))

    def _passes(self, cells: Sequence[CellResult], role: str, label: str) -> float:
        """Generator passes per image of a forward run, the dearest of the row's cells."""
        own = [
            float(c.forwards or 0.0)
            for c in cells
            if not c.failed and (c.facts.role, c.facts.component) == (role, label)
        ]
        return max(own) + self._role(role, label).checks_beside

    def _component_job(self, rows: str, label: str, own: float) -> CheckJob:
        role = self._role(rows, label)
        resolved = self.toolkit.resolve(role.kind_of(self.toolkit, label), label)
        stochastic = bool(resolved.entry.spec.stochastic)
        effort = Effort(self.eps, self.settings.steps, self.settings.draws)
        passes = granted(self.settings, self.toolkit.device.type)
        gradient = declared(resolved, role.bare(self.run, label))
        step = self.engine.step(own, role.nature(self.run, label, gradient))
        full = CheckedPart(self._faces(self.settings.faces), effort)
        part = fitted(full.faces, effort, own, stochastic=stochastic, step=step, passes=passes)
        device = self.toolkit.device.type
        undone = curtailed(part, full, own, self.settings, stochastic=stochastic, step=step, device=device)
        about = [
            rows,
            resolved.identity,
            role.calibration(self.run, label),
            None if part is None else [part.faces, part.effort.steps],
        ]
        if part is None:
            return CheckJob(rows, label, about, {}, list, undone)
        each = passes_per_image(part.effort, own, stochastic=stochastic, step=step)
        how = {
            "eps": self.eps,
            "steps": part.effort.steps,
            "draws": part.effort.draws if stochastic else 1,
            "faces": self._faces(part.faces),
            "gradient": gradient,
            "engine": self.engine.name,
        }
        work = partial(self._component, role, rows, label, resolved, gradient, part)
        return CheckJob(rows, label, about, how, work, undone, part.faces * each)

    def _component(
        self, role: Role, rows: str, label: str, resolved: Resolved, gradient: Gradient, part: CheckedPart
    ) -> list[SanityCheck]:
        clean = self._first(self.run.images.clean(role.wants_masks(self.run, label)), part.faces)
        transferred = self._transferred(part)
        victim = Victim(
            clean,
            self.G,
            self._aim(),
            gradient=gradient,
            name=f"{rows}/{digest(resolved.identity)}",  # like the key, it knows no label
            seed=self.run.group.seed,
            oblivious=transferred,
            **role.victim(self.run, label),
        )
        return list(component_checks(victim, self.engine, part.effort, transferred))

    def _transferred(self, part: CheckedPart) -> Tensor:
        """What the engine makes of the generator alone with as many steps: equal effort, less knowledge."""
        about = (part.faces, part.effort.steps)
        if about not in self._oblivious:
            clean = self._first(self.run.images.clean(False), part.faces)
            bare = Victim(clean, self.G, self._aim(), name="bare", seed=self.run.group.seed)
            before = self.G.passes
            self._oblivious[about] = self.engine(bare, self.eps, [LONGER * part.effort.steps], 1)[0]
            self.G.passes = before  # shared by all rows: no cost of the one that came first
        return self._oblivious[about]

    def _role(self, rows: str, label: str) -> Role:
        return role_of(self.run.roles, rows, label)


def declared(resolved: Resolved, component: Any = None) -> Gradient:
    """What gradient a component says it has: itself, where its parameters decide, else its spec."""
    told: Gradient = getattr(resolved.entry.spec, "gradient", "none")
    found: Gradient = getattr(component, "gradient", told)
    return found
