"""One photograph through attack, detection and restoration, with all that there is to show of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, Samples
from magdr_core.functional import mse
from magdr_core.guards import GuardedAttack
from magdr_core.inference.followed import Step
from magdr_core.inference.full_size_attack import attacked
from magdr_core.inference.loaded import Loaded
from magdr_core.inference.method import output_behind
from magdr_core.inference.pipeline import Pipeline
from magdr_core.inference.sources import PictureSource
from magdr_core.magdr import Verdict
from magdr_core.media import cut, face_cut, faces_in
from magdr_core.runtime.samples import objective_of

LARGEST = 384
"""Pixels a side of a face that is shown."""

LEVELS = 255


@dataclass(frozen=True, eq=False)
class Version:
    """A face as it was, attacked, or restored.

    Attributes:
        image: `[3,s,s]` in [0,1], as large as the picture has it, up to `LARGEST`.
        output: `[3,S,S]` in [0,1], what the generator makes of it.
        error: mean squared error of that output to the photograph's, in squared levels of 0 to 255.
    """

    image: Tensor
    output: Tensor
    error: float


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What became of a photograph; everything in one cut, the photograph's.

    Attributes:
        photograph, attacked: as the detector got them.
        restored: the attacked face restored, whether it was suspected or not.
        verdict_on_photograph, verdict_on_attacked: of the detector.
        disrupted: the attack reached what counts as success.
        moved: levels of 0 to 255 that a pixel was moved by at most.
        error_when_found_anew: as `Version.error` of the attacked face, where the face is looked for anew in
            the attacked picture and cut out a little beside; None where it is in the same place or not found.
        false_alarm: likewise of what the suspected photograph was changed into; None if it was left alone.
    """

    photograph: Version
    attacked: Version
    restored: Version
    verdict_on_photograph: Verdict
    verdict_on_attacked: Verdict
    disrupted: bool
    moved: int
    error_when_found_anew: float | None
    false_alarm: float | None

    @property
    def kept(self) -> float:
        """The share of the attack's error that is left after restoring; 1 where there was none."""
        return self.restored.error / self.attacked.error if self.attacked.error else 1.0


def demonstrate(
    one: Loaded[PictureSource],
    c: Condition,
    attack: GuardedAttack,
    pipeline: Pipeline,
    *,
    seed: int,
    step: Step = lambda what, done, total: None,
) -> Demonstration:
    """Attack a photograph's face, judge it before and after, and restore it.

    Args:
        one: the photograph with its face cut out, at the size of the pipeline's generator.
        c: what the generator shall do, of one row.
        seed: of the attack's random choices.
        step: told (what, done, total).

    Raises:
        ComponentError: a component fails.
    """
    c = c.to(pipeline.device)
    step("attacking the photograph", 0, 0)
    perturbed = attacked(one, c, attack, pipeline.generator, pipeline.device, seed=seed)
    step("looking for the attack, and restoring", 0, 0)
    return _told(one, perturbed, c, attack, pipeline)


@torch.no_grad()
def _told(
    one: Loaded[PictureSource],
    perturbed: Loaded[PictureSource],
    c: Condition,
    attack: GuardedAttack,
    pipeline: Pipeline,
) -> Demonstration:
    generator = pipeline.generator
    x = torch.stack([one.face, perturbed.face]).to(pipeline.device)
    clean, received = x[:1], x[1:]
    outcome = pipeline.defend(x, c.repeat(2))
    before, after = outcome.verdicts
    restored = outcome.restored[1:] if after.disrupted else pipeline.reconstruct(received, c)

    wanted, broken = generator(x, c.repeat(2)).split(1)
    behind = output_behind(pipeline.magdr, restored, received, c, generator)
    back = perturbed.put_into(perturbed.levels, restored[0].cpu())
    samples = Samples(clean, c, (one.given.name,))
    alarm = None
    if before.disrupted:
        alarm = _error(wanted, output_behind(pipeline.magdr, outcome.restored[:1], clean, c, generator))
    return Demonstration(
        photograph=Version(_shown(one, one.levels), wanted[0].cpu(), 0.0),
        attacked=Version(_shown(one, perturbed.levels), broken[0].cpu(), _error(wanted, broken)),
        restored=Version(_shown(one, back), behind[0].cpu(), _error(wanted, behind)),
        verdict_on_photograph=before,
        verdict_on_attacked=after,
        disrupted=bool(objective_of(attack, generator, samples, wanted).reached(broken)),
        moved=int((perturbed.levels.int() - one.levels).abs().max()),
        error_when_found_anew=_found_anew(one, perturbed, c, pipeline),
        false_alarm=alarm,
    )


def _shown(one: Loaded[PictureSource], levels: Tensor) -> Tensor:
    return cut(levels, one.box, min(one.box.side, LARGEST))


def _error(wanted: Tensor, got: Tensor) -> float:
    """Of two `[1,3,S,S]` in [0,1], in squared levels."""
    return float(mse(wanted, got)) * LEVELS**2


def _found_anew(
    one: Loaded[PictureSource], perturbed: Loaded[PictureSource], c: Condition, pipeline: Pipeline
) -> float | None:
    size = pipeline.generator.size
    faces = faces_in(perturbed.levels, pipeline.finder)
    boxes = [face_cut(face, *perturbed.levels.shape[1:]) for face in faces[:1]]
    if boxes in ([], [one.box]):
        return None
    x = torch.stack([cut(levels, boxes[0], size) for levels in (one.levels, perturbed.levels)])
    wanted, broken = pipeline.generator(x.to(pipeline.device), c.repeat(2)).split(1)
    return _error(wanted, broken)
