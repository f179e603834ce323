"""The role `forensic`: verdicts and masks of forged pictures beside their reals, and of reals alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell
from magdr_core.components.role import PictureName, Role
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Planning, Rng, TaskRun, components_aside
from magdr_core.forensics.clips import clips_of
from magdr_core.forensics.figures import FIGURES, ROLE
from magdr_core.forensics.localization import alarms, overlap
from magdr_core.forensics.making import ForgeryFamily, family_of, quality_kind
from magdr_core.forensics.pieces import in_parts
from magdr_core.forensics.scenarios import (
    EVASION,
    FORGED,
    QUALITY,
    RESTORED,
    forged_from,
    is_made,
    masks_of,
    quality_of,
    reals_beside,
    source_of,
    untouched,
)
from magdr_core.forensics.teaching import Taught, Teacher, chosen_families
from magdr_core.functional import to_8bit
from magdr_core.results.cell import CLEAN as CLEAN_IMAGES
from magdr_core.results.cell import NOISE

KEPT = 8
"""Masks of a cell, of its first pictures, that are kept for the report."""

LOCATED = "located"


class ForensicRole(Role):
    """Is it forged, and where?"""

    name = ROLE
    plural = "forensics"
    kind = "forensic"
    figures = FIGURES
    schema = 3  # has what was said before pictures were attacked, degraded or restored

    def check(self, plan: Planning) -> None:
        super().check(plan)
        for label in self.listed(plan.profile):
            keys = plan.toolkit.registry.instance(self.kind, label).keys
            with components_aside():
                if keys.get("leave_out") or keys.get("families"):
                    chosen_families(plan.toolkit, label)
                for quality in keys.get("qualities", ()):
                    quality_kind(plan.toolkit, quality)
            if keys.get("dataset"):
                plan.check("dataset", keys["dataset"])

    def applies_to(self, scenario: Scenario) -> bool:
        """Every forgery, whatever was done to it, and the reals: whole, attacked, noisy."""
        if scenario.name in (FORGED, QUALITY, EVASION, RESTORED, NOISE):
            return True
        # What pictures go through before a model sees them is `picture_qualities`, for fakes and reals alike.
        return scenario.main and not scenario.per_cell and scenario.key != "channels"

    def labels(self, plan: Planning, part: Slice) -> Sequence[str]:
        """All of them; against attacks, those that have a gradient to be attacked by."""
        labels = super().labels(plan, part)
        if part.scenario != EVASION:
            return labels
        found = ((label, plan.check(self.kind, label)) for label in labels)
        return [label for label, r in found if r is None or r.entry.spec.gradient != "none"]

    # -- components -------------------------------------------------------------------------------------

    def component(self, run: TaskRun, cell: PlannedCell) -> Any:
        return self._taught(run, cell.component)

    def calibration(self, run: TaskRun, label: str) -> str | None:
        return self._taught(run, label).digest

    def _taught(self, run: TaskRun, label: str) -> Taught:
        def teacher() -> Teacher:
            return Teacher(run.toolkit, run.images.data, run.store, run.progress)

        def teach() -> Taught:
            return run.cached((self.name, "teacher"), teacher).taught(label)

        found: Taught = run.cached((self.name, label), teach)
        return found

    def depends_on(self, run: TaskRun, cell: PlannedCell) -> Mapping[str, Any]:
        return {"mark": self._mark(run, cell)}

    def _mark(self, run: TaskRun, cell: PlannedCell) -> str:
        taught, part = self._taught(run, cell.component), cell.slice
        quality = part.component if quality_of(part) else ""
        return taught.mark(self._family(run, part), quality)

    def _family(self, run: TaskRun, part: Slice) -> ForgeryFamily | None:
        """The family of a slice's fakes; None of reals."""
        forged = forged_from(part)
        return None if forged is None else family_of(run.toolkit, forged.label)

    # -- measuring --------------------------------------------------------------------------------------

    def kept(self, run: TaskRun, cell: PlannedCell, stored: Mapping[str, Any]) -> Mapping[str, int]:
        count = stored.get(LOCATED, 0)
        return {LOCATED: count} if count else {}

    def report_pictures(
        self, store: Any, data: Mapping[str, Any], shown: int
    ) -> Mapping[PictureName, Tensor]:
        """Where a model locates the first forgeries, `[n,3,H,W]` in [0,1]."""
        facts = data["facts"]
        found = store.images(f"{data['key']}-{LOCATED}") if data.get(LOCATED) else None
        if found is None:
            return {}
        return {(facts["task"], facts["attack"], facts["component"], LOCATED): found[:shown]}

    def measure(self, run: TaskRun, cell: PlannedCell, seen: Samples, component: Any, rng: Rng) -> Measured:
        taught: Taught = component
        family = self._family(run, cell.slice)
        located = self._located(seen.images, taught) if taught.model.locates else None
        if family is None or family.null:
            values = self._reals(run, cell, seen, taught, located)
        else:
            values = self._fakes(run, cell, seen, taught, located)
        mark = self._mark(run, cell)
        extra: dict[str, Any] = {"thresholds": {"fpr": taught.threshold}, "fpr": taught.fpr}
        pictures: dict[str, Tensor] = {}
        if located is not None and cell.slice.scenario == FORGED:
            pictures[LOCATED] = located[:KEPT].expand(-1, 3, -1, -1)
            extra[LOCATED] = len(pictures[LOCATED])
        return Measured({f"{mark}/{name}": told for name, told in values.items()}, extra, pictures)

    def _fakes(
        self, run: TaskRun, cell: PlannedCell, seen: Samples, taught: Taught, located: Tensor | None
    ) -> dict[str, list[float]]:
        score = self._scores(seen.images, taught)
        real = self._scores_of(run, cell, taught, reals_beside(cell.slice))
        values = {
            "score": score.tolist(),
            "real_score": real.tolist(),
            "flagged": (score > taught.threshold).double().tolist(),
            "real_flagged": (real > taught.threshold).double().tolist(),
        }
        if is_made(cell.slice):
            before = self._scores_of(run, cell, taught, source_of(cell.slice))
            values["score_before"] = before.tolist()
            values["real_score_before"] = self._scores_of(run, cell, taught, None).tolist()
            values["flagged_before"] = (before > taught.threshold).double().tolist()
        values |= self._of_clips(run, seen.ids, score, real)
        forged = forged_from(cell.slice)
        if located is not None and forged is not None:
            values |= overlap(located, run.images.of(masks_of(forged))[: len(seen), :1])
        return values

    def _reals(
        self, run: TaskRun, cell: PlannedCell, seen: Samples, taught: Taught, located: Tensor | None
    ) -> dict[str, list[float]]:
        score = self._scores(seen.images, taught)
        values = {"alarm": (score > taught.threshold).double().tolist()}
        if self._is_edited(cell.slice):
            values["edited_score"] = score.tolist()
            values["untouched_score"] = self._scores_of(run, cell, taught, untouched(cell.slice)).tolist()
        if cell.slice.scenario != CLEAN_IMAGES:
            source = source_of(cell.slice) if is_made(cell.slice) else None
            before = self._scores_of(run, cell, taught, source)
            values["alarm_before"] = (before > taught.threshold).double().tolist()
        if located is not None:
            values |= alarms(located)
        return values

    def _is_edited(self, part: Slice) -> bool:
        """Whether a slice's reals are no longer what the dataset gave, whatever their quality."""
        return forged_from(part) is not None or part.scenario not in (CLEAN_IMAGES, QUALITY)

    def _scores_of(self, run: TaskRun, cell: PlannedCell, taught: Taught, part: Slice | None) -> Tensor:
        """Scores of the pictures of another slice, the clean ones if None, as many as the cell's: `[n]`;
        computed once."""
        part = None if part is not None and part.scenario == CLEAN_IMAGES else part

        def scores() -> Tensor:
            whole = run.images.clean(False)
            return self._scores(whole.images if part is None else run.images.of(part), taught)

        found: Tensor = run.cached((self.name, cell.component, part), scores)
        return found[: cell.slice.samples]

    def _scores(self, images: Tensor, taught: Taught) -> Tensor:
        """`[n]` of 8-bit pictures, in double precision on the CPU."""
        return in_parts(lambda x: taught.model.score(to_8bit(x)), images).double().cpu()

    def _located(self, images: Tensor, taught: Taught) -> Tensor:
        return in_parts(lambda x: taught.model.locate(to_8bit(x)), images)

    def _of_clips(
        self, run: TaskRun, ids: Sequence[str], score: Tensor, real: Tensor
    ) -> dict[str, list[float]]:
        """The means of each picture's clip, and its part in the clip; nothing where there are no clips."""
        profile = run.profile
        taken = range(profile.first, profile.first + profile.samples)
        known = run.cached((self.name, "clips"), lambda: clips_of(run.images.data, profile.split, taken))
        if known is None:
            return {}
        clips = torch.tensor([known[name] for name in ids])
        names, of, counts = clips.unique(return_inverse=True, return_counts=True)
        size = counts.double()

        def mean(values: Tensor) -> list[float]:
            total = torch.zeros(len(names), dtype=torch.float64).index_add(0, of, values)
            found: list[float] = (total / size)[of].tolist()
            return found

        return {
            "clip_score": mean(score),
            "real_clip_score": mean(real),
            "clip_weight": (1 / size)[of].tolist(),
        }
