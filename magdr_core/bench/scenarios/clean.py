"""Clean images: what false alarms are counted on, and what restoring must not spoil."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import CLEAN, Slice
from magdr_core.components.task_run import Planning, SharedImages


class CleanScenario(Scenario):
    """The profile's images as they are; every profile has them."""

    name = "clean"
    made = False
    grows = True

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterable[Slice]:
        return (Slice(CLEAN, self.name),)

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        return ()

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        return {part: clean.images}

    def report_pictures(self, images: SharedImages, shown: int) -> Mapping[tuple[str, str, str, str], Tensor]:
        name = (images.task, CLEAN, self.name)
        first = images.some(range(min(shown, len(images.clean(False)))))
        return {(*name, "input"): first.clean(False).images, (*name, "output"): first.reference}
