"""Pictures of one's own perturbed at their own size, and what of it survives in the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from magdr_core.bench.steps import inside
from magdr_core.cli.jobs import AttackJob, in_levels
from magdr_core.cli.paths import Input
from magdr_core.cli.photos import PhotoWork
from magdr_core.components.batch import Condition, Samples
from magdr_core.functional import ssim
from magdr_core.inference.followed import Step
from magdr_core.inference.full_size_attack import LARGEST, attacked
from magdr_core.inference.loaded import Loaded, because, load, place_of
from magdr_core.inference.shown import target_of
from magdr_core.inference.treated import Treated
from magdr_core.media import cut, face_cut, faces_in
from magdr_core.media.pictures import as_jpeg, write_jpeg

QUALITY = 90
"""Of the JPEG that a perturbation is asked to survive."""


ENDINGS = {False: ".png", True: ".jpg"}
"""Of the perturbed picture's name, where it shall survive JPEG and where not."""


class AttackedPhotos(PhotoWork):
    """Attacks pictures one by one: each has a face of its own size.

    Args:
        survive_jpeg: make it survive JPEG, and write that.
        step: told (what, done, total).
        others: of :class:`~magdr_core.cli.photos.PhotoWork`, with an :class:`AttackJob`.
    """

    job: AttackJob

    def __init__(self, *others: Any, step: Step, survive_jpeg: bool = False, **named: Any) -> None:
        super().__init__(*others, **named)
        self.step = step
        self.quality = QUALITY if survive_jpeg else None
        self.ending = ENDINGS[survive_jpeg]

    def write_one(self, path: Path, picture: Tensor, *, grey: bool) -> None:
        if path.suffix == ENDINGS[True] and self.quality is not None:
            write_jpeg(path, picture, self.quality, grey=grey)
        else:
            super().write_one(path, picture, grey=grey)

    def run(self, inputs: Sequence[Input]) -> None:
        for given in inputs:
            self.step(inside(f"{given.name}: attacking"), 0, 0)
            try:
                facts = self._attacked(load(given, self.job.generator.size, self.finder))
            except Exception as e:
                self.skip(given, because(given, e))
            else:
                self.done(given, facts)

    def _attacked(self, one: Loaded[Input]) -> dict[str, Any]:
        job = self.job
        c = self.conditions(one.face[None].to(self.device))
        perturbed = attacked(
            one, c, job.attack, job.generator, self.device, seed=job.seed, quality=self.quality
        )
        changed = perturbed.levels
        moved = in_levels((changed.int() - one.levels).abs().max() / 255)
        stored = changed if self.quality is None else as_jpeg(changed, self.quality)
        clean = Samples(one.face[None].to(self.device), c, (one.given.name,))
        (result,) = job.results(clean, perturbed.face[None].to(self.device))
        facts = {
            "kind": "picture",
            **one.facts,
            **result.facts,
            "largest_change": moved,
            "ssim": round(self._alike(one, changed), 4),
            **self._survived(one, stored, c),
            "target": target_of(job.generator, c, 0),
        }
        if self.out is not None:
            facts["files"] = self.write(Treated([one], [result]), facts, changed, self.out)
        return facts

    def _survived(self, one: Loaded[Input], stored: Tensor, c: Condition) -> dict[str, Any]:
        """What the attack still does to whoever is given the file, and cuts the face out anew."""
        faces = [] if self.finder is None else faces_in(stored, self.finder)
        box = face_cut(faces[0], *stored.shape[1:]) if faces else one.box
        size = self.job.generator.size
        clean, attacked = (cut(image, box, size).to(self.device) for image in (one.levels, stored))
        return {"cut_in_file": place_of(box), **self.job.survived(clean, attacked, c)}

    @staticmethod
    def _alike(one: Loaded[Input], changed: Tensor) -> float:
        """SSIM of the changed face and the given one, at the size that they have in the picture."""
        side = min(one.box.side, 2 * LARGEST)
        a, b = (cut(image, one.box, side)[None] for image in (one.levels, changed))
        return float(ssim(a, b))
