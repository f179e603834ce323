"""One ascent of an adaptive attack: where it starts, how it goes on, and what it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from magdr_core.adaptive.losses import Mode, look
from magdr_core.adaptive.shapes import SHAPES, blurred
from magdr_core.adaptive.sign_steps import Ascent
from magdr_core.adaptive.victim import Target
from magdr_core.functional import round_toward

REFRESH = 5
"""Steps after which what a mode assumes about the pipeline is looked up again, and its image is judged."""

OBLIVIOUS, HALF_WAY, RANDOM, SMOOTH, NEAR = "oblivious images", "half-way", "random", "smooth", "near"
"""Starts: the oblivious images, half their perturbation, anywhere in the ball, their perturbation without its
high frequencies at full strength, and at most a level away from the clean image."""

SHAPED: Mapping[str, str] = MappingProxyType({"low-frequency": SMOOTH, "concentrated": NEAR})
"""By shape the start that has it."""

LEVEL = 1 / 255


@dataclass(frozen=True)
class Attempt:
    """A mode with a start and a shape.

    Attributes:
        start: one of the starts above, or the name of another attack's images.
        shape: see :data:`~magdr_core.adaptive.shapes.SHAPES`.
        draw: tells random starts apart.
    """

    mode: str
    start: str = OBLIVIOUS
    shape: str = ""
    draw: int = 0

    @property
    def name(self) -> str:
        """Under which its images are reported; runs of a mode from several starts are one."""
        return f"{self.shape}, {self.mode}" if self.shape else self.mode

    def __str__(self) -> str:
        return f"{self.name} from {self.start} {self.draw}"


@dataclass(frozen=True, eq=False)
class Ended:
    """What a run has ended with.

    Attributes:
        own: `[B,3,H,W]`, the best images by the mode's own loss where it has a penalty; else as `best`.
        best: `[B,3,H,W]`, the most disruptive undetected ones, or the least suspicious.
        bad: share of useless gradients.
    """

    own: Tensor
    best: Tensor
    bad: float


def started(target: Target, run: Attempt, others: Mapping[str, Tensor]) -> Tensor:
    """Where a run starts, `[B,3,H,W]`."""
    x, moved = target.x, target.oblivious - target.x
    if run.start in others:
        return others[run.start]
    if run.start == HALF_WAY:
        return x + moved / 2
    if run.start == SMOOTH:
        smooth = blurred(moved)
        return x + smooth * (target.eps / _wide(smooth.abs().flatten(1).amax(1).clamp_min(LEVEL / 255)))
    if run.start in (RANDOM, NEAR):
        reach = target.eps if run.start == RANDOM else min(target.eps, LEVEL)
        return x + target.rng.fork((1 << 25) + run.draw).uniform(*x.shape[1:], low=-reach, high=reach)
    return target.oblivious


def ascend(target: Target, mode: Mode, start: Tensor, steps: int, draw: int = 0, shape: str = "") -> Ended:
    """Follow a mode from images `[B,3,H,W]`.

    What a mode assumes may be wrong, and half precision is not exact: where looking is not judging, what
    looked best is judged every few steps and at the end.

    Args:
        draw: other draws of what is random.
        shape: of the perturbation.
    """
    ascent = Ascent(start, target.x, target.eps, steps, SHAPES[shape]())
    sound = all(way.true for way in mode.ways)
    true = sound and not mode.rough(target)
    by_loss, by_merit, assumed = _Best(target.x), _Best(target.x), _Best(target.x)
    lately = _Best(target.x)
    unsound: list[Tensor] = []
    weight = mode.weighed(None, torch.zeros_like(target.score_unit))
    for step in range(steps + 1):
        x = round_toward(ascent.x, target.x)
        last = step == steps
        if not true and (last or step % REFRESH == 0):
            here = lately.x if sound and step else x
            for candidate in (here, assumed.x) if last else (here,):
                verdict = target.judge(candidate)
                by_merit.update(candidate, verdict.merit)
                by_loss.update(candidate, mode.loss(verdict.gain, verdict.excess))
            lately = _Best(target.x)
        if last and not true:
            break
        if step % REFRESH == 0:
            for way in mode.ways:
                if way.refresh is not None:
                    way.refresh(target.sent(x, next(target.forks(0))))
        seen = look(target, mode, ascent.x, 1 + draw * (steps + 1) + step, weight)
        weight = mode.weighed(weight, seen.excess)
        unsound.append(seen.bad)
        assumed.update(x, seen.merit)
        lately.update(x, seen.merit)
        if true:
            by_merit.update(x, seen.merit)
            by_loss.update(x, seen.loss)
        if not last:
            ascent.move(seen.gradient)
    # Read at the end, all at once: a GPU would wait at every step.
    bad = sum(share / len(unsound) for share in torch.stack(unsound).tolist())
    return Ended(by_loss.x if mode.compromising else by_merit.x, by_merit.x, bad)


class _Best:
    """The image with the highest value so far, per sample."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.value = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)

    def update(self, x: Tensor, value: Tensor) -> None:
        wins = value > self.value
        self.x = torch.where(_wide(wins), x, self.x)
        self.value = torch.where(wins, value.double(), self.value)


def _wide(per_image: Tensor) -> Tensor:
    return per_image[:, None, None, None]
