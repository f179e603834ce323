"""Real, disrupted and forged pictures as defenses restore them: does what is restored look forged, and does
restoring a fake hide it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import CLEAN, Slice
from magdr_core.components.task_run import Planning, SharedImages
from magdr_core.forensics.scenarios import FORGED, RESTORED, behind, reals_beside, source_of
from magdr_core.results.cell import CLEAN as CLEAN_IMAGES
from magdr_core.results.cell import NOISE, RESTORED_BY

DEFENSE = "defense"


class RestoredScenario(Scenario):
    """What each of a profile's `restored_by` makes of every forgery, and of the reals: as they are, attacked,
    and with noise as strong as an attack.

    A defense is given the condition that the benchmark draws for a face, whatever was done to the face. It is
    calibrated as in its own rows, and its random draws are the same.
    """

    name = RESTORED
    key = "restored_by"
    main = False
    grows = True

    def check(self, plan: Planning) -> None:
        for label in self.configured(plan.profile) or ():
            resolved = plan.check(self._kind(plan, label), label)
            if resolved is not None and "geometric" in resolved.entry.spec.tags:
                raise plan.fault(
                    f"{self.key}: {label!r} moves pixels; forged masks would no longer fit what it restores"
                )

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        if not self.wanted(plan):
            return
        sources = [part for part in earlier if self._is_restored(plan, part)]
        for label in self.configured(plan.profile) or ():
            component = plan.used(self._kind(plan, label), label)
            for source in sources:
                yield behind(source, label, component)

    def _kind(self, plan: Planning, label: str) -> str:
        """Of the component that a label means: a defense, or a restoration that stands as one."""
        kind: str = plan.roles[DEFENSE].kind_of(plan.toolkit, label)
        return kind

    def _is_restored(self, plan: Planning, part: Slice) -> bool:
        scenario = plan.scenarios[part.scenario]
        return part.scenario in (CLEAN_IMAGES, FORGED, NOISE) or (scenario.by_attack and scenario.main)

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        source, real = source_of(part), reals_beside(part)
        before = [] if source.name == CLEAN else [source]
        before += [real] if source.scenario == FORGED and real is not None else []
        return (*before, part)

    def fits(self, plan: Planning, role: Any) -> Sequence[tuple[str, str]]:
        defenses = plan.roles[DEFENSE]
        return [fit for label in self.configured(plan.profile) for fit in defenses.fits(plan, label)]

    # -- tables -----------------------------------------------------------------------------------------

    def columns(self, part: Slice) -> Mapping[str, Any]:
        return {"attack": source_of(part).name}

    def variant(self, part: Slice) -> str:
        return f"{RESTORED_BY}{part.label}"

    def point(self, part: Slice) -> str:
        return f" {RESTORED_BY}{part.label}"

    # -- images -----------------------------------------------------------------------------------------

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        return {
            **super().images_key(images, part),
            "slice": images.defense(part.label).key,
            "of": images.lasting_key(source_of(part)),
        }

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        defense, source = images.defense(part.label), source_of(part)
        received = clean.images if source.name == CLEAN else images.of(source)
        return {part: defense.restored(images.clean(defense.oracle, part).with_images(received))}
