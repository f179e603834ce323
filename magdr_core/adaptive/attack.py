"""`magdr-standard`: every mode, the first from several starts, then on from the best, and the best of all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from magdr_core.adaptive.attempt import HALF_WAY, RANDOM, SHAPED, Attempt, Ended, ascend, started
from magdr_core.adaptive.black_box import square_search
from magdr_core.adaptive.losses import Mode, Modes
from magdr_core.adaptive.victim import PipelineVerdict, Target
from magdr_core.functional import round_toward

NAME, VERSION = "magdr-standard", 1
"""Of the suite; the version is raised whenever it can find other images."""

RACE, LEAST_RACE = 1 / 4, 20
"""Share of the steps that every run but the last takes, and how many of them it takes at least, if there are
as many: weights of the score have to find their size."""

SCALINGS = 8
"""Bisections of how much of the oblivious perturbation goes undetected."""

OBLIVIOUS, SCALED, SQUARE, FINISH = "oblivious", "scaled", "square", "finish"

K = TypeVar("K")

Memory = Callable[[str, Callable[[], Ended]], Ended]
"""Gives what a run, by its name, has ended with: as it was kept, or else made now and kept."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a mode found: its images `[B,3,H,W]` and the real pipeline's verdict on them."""

    images: Tensor
    verdict: PipelineVerdict

    def better(self, other: Found) -> Found:
        """Per image the one with more merit; this one where they are equal."""
        keep = self.verdict.merit >= other.verdict.merit
        images = torch.where(_wide(keep), self.images, other.images)
        return Found(images, self.verdict.where(keep, other.verdict))


@dataclass(frozen=True, eq=False)
class Attacked:
    """The result on a batch.

    Attributes:
        modes: what each mode found, by name; of a penalty, the images with the best penalised gain.
        pooled: the best per image over all modes, restarts and iterates: feasible before infeasible.
        which: per image, the mode that it is from.
        bad_gradients: by mode, the share of (image, step) with a zero or non-finite gradient.
    """

    modes: Mapping[str, Found]
    pooled: Found
    which: list[str]
    bad_gradients: Mapping[str, float]


def _no_memory(name: str, make: Callable[[], Ended]) -> Ended:
    return make()


class AdaptiveAttack:
    """Attacks one pipeline, on any number of batches.

    Every mode first takes a quarter of the steps from the oblivious images; the first one also from other
    starts, and with smooth and with concentrated perturbations. Then each image goes on from its best, all
    the steps, in the mode that found it.

    Args:
        probe: the same pipeline on a few other faces (of the calibration split): which gradients there are is
            found out on them.
        fitting: gives it on more of them, to fit a stand-in to; the probe's if None.
        steps: gradient steps of the last run.
        restarts: random starts beside the others.
        penalties: weights of the trade-off curve; only with a detector.
        queries: of the random search; 0 leaves it out.

    Attributes:
        probed: by way, what the probe saw; `score:` before those of the detector.
        curve: by penalty, the mode that it stands for.
    """

    def __init__(
        self,
        probe: Target,
        *,
        fitting: Callable[[], Target] | None = None,
        steps: int = 30,
        restarts: int = 1,
        penalties: Sequence[float] = (0.1, 0.3, 1.0, 3.0),
        queries: int = 100,
    ) -> None:
        self.steps, self.restarts, self.queries = steps, restarts, queries
        self.modes = Modes(probe, fitting, penalties)
        self.probed, self.curve = self.modes.probed, self.modes.curve(probe)

    @property
    def race(self) -> int:
        """Steps of every run but the last."""
        return max(math.ceil(self.steps * RACE), min(self.steps, LEAST_RACE))

    def runs(self, target: Target, others: Sequence[str] = (), *, thorough: bool = True) -> list[Attempt]:
        """Every run but the last, those of the first mode at the end.

        Args:
            others: names of further images to start from.
            thorough: with the trade-off curve, and with starts and shapes beside these.
        """
        modes = self.modes.of(target)
        first = modes[0].name
        runs = [Attempt(mode.name) for mode in modes if thorough or not mode.compromising]
        runs += [Attempt(first, start) for start in others]
        if thorough:
            runs += [
                Attempt(first, HALF_WAY),
                *(Attempt(first, RANDOM, draw=k) for k in range(self.restarts)),
            ]
            runs += [Attempt(first, start, shape) for shape, start in SHAPED.items()]
        return runs

    def cost(self, target: Target, others: Sequence[str] = (), *, thorough: bool = True) -> int:
        """Gradient steps per image."""
        return self.race * len(self.runs(target, others, thorough=thorough)) + self.steps

    @torch.no_grad()
    def __call__(
        self,
        target: Target,
        others: Mapping[str, Tensor] | None = None,
        *,
        thorough: bool = True,
        memory: Memory = _no_memory,
        told: Callable[[int], None] = lambda steps: None,
    ) -> Attacked:
        """Attack a batch.

        Args:
            others: 8-bit images `[B,3,H,W]` of further attacks, by name, which join the pool and are started
                from.
            thorough: see `runs`; the random search, too.
            memory: keeps what runs end with.
            told: after each run, how many gradient steps it took.
        """
        others = others or {}
        found = {OBLIVIOUS: judged(target, target.oblivious)}
        found |= {name: judged(target, images) for name, images in others.items()}
        if target.detector is not None and thorough:
            found[SCALED] = scaled(target)
        pool = dict(found)
        modes = {mode.name: mode for mode in self.modes.of(target)}
        bad: dict[str, list[float]] = {}
        for run in self.runs(target, list(others), thorough=thorough):
            mode = modes[run.mode]
            start = started(target, run, others)
            ended = memory(str(run), partial(ascend, target, mode, start, self.race, run.draw, run.shape))
            own, good = judged(target, ended.own), judged(target, ended.best)
            found[run.name] = own if run.name not in found else _better(mode, found[run.name], own)
            pool[run.name] = good if run.name not in pool else pool[run.name].better(good)
            bad.setdefault(run.name, []).append(ended.bad)
            told(self.race)
        best, which = pooled(pool)
        ended = memory(FINISH, partial(self._finish, target, best.images, which))
        found[FINISH] = pool[FINISH] = judged(target, ended.best)
        bad[FINISH] = [ended.bad]
        told(self.steps)
        if self.queries and thorough:
            rng = target.rng.fork(1 << 24)
            found[SQUARE] = pool[SQUARE] = Found(*square_search(target, self.queries, rng))
        best, which = pooled(pool)
        return Attacked(found, best, which, {name: sum(b) / len(b) for name, b in bad.items()})

    def _finish(self, target: Target, start: Tensor, which: Sequence[str]) -> Ended:
        """Each image on from its best `[B,3,H,W]` in the mode that found it, in the first one if none did."""
        modes = self.modes.of(target)
        names = {run.name: run.mode for run in self.runs(target) if not _of(modes, run.mode).compromising}
        chosen = [names.get(name, modes[0].name) for name in which]
        best, bad = start.clone(), 0.0
        for name, count in Counter(chosen).items():
            rows = torch.tensor([i for i, own in enumerate(chosen) if own == name], device=start.device)
            some = target if count == len(chosen) else target.select(rows)
            ended = ascend(some, _of(self.modes.of(some), name), start[rows], self.steps)
            best[rows] = ended.best
            bad += ended.bad * count / len(chosen)
        return Ended(best, best, bad)

    @torch.no_grad()
    def unaided(self, target: Target, steps: int) -> Tensor:
        """The best image per sample of the modes alone, `[B,3,H,W]`, each from a random start: nothing of the
        oblivious attack, of a search or of another attack is in it."""
        best: Found | None = None
        for number, mode in enumerate(self.modes.of(target)):
            start = started(target, Attempt(mode.name, RANDOM, draw=number), {})
            found = judged(target, ascend(target, mode, start, steps, number).best)
            best = found if best is None else best.better(found)
        assert best is not None
        return best.images


def _of(modes: Sequence[Mode], name: str) -> Mode:
    return next(mode for mode in modes if mode.name == name)


def scaled(target: Target) -> Found:
    """As much of the oblivious perturbation as goes undetected, by bisection."""
    low = torch.zeros(len(target), device=target.x.device)
    high = torch.ones_like(low)
    found = judged(target, target.oblivious)
    high = torch.where(found.verdict.feasible, low, high)  # all of it: nothing to look for
    for _ in range(SCALINGS):
        share = (low + high) / 2
        moved = target.x + _wide(share) * (target.oblivious - target.x)
        here = judged(target, round_toward(moved, target.x))
        found = found.better(here)
        low = torch.where(here.verdict.feasible, share, low)
        high = torch.where(here.verdict.feasible, high, share)
    return found


def judged(target: Target, images: Tensor) -> Found:
    """Images `[B,3,H,W]` with the real pipeline's verdict."""
    return Found(images, target.judge(images))


def _better(mode: Mode, a: Found, b: Found) -> Found:
    """Per image the one with more merit; with the higher penalised gain where there is a penalty."""
    if not mode.compromising:
        return a.better(b)
    keep = mode.loss(a.verdict.gain, a.verdict.excess) >= mode.loss(b.verdict.gain, b.verdict.excess)
    return Found(torch.where(_wide(keep), a.images, b.images), a.verdict.where(keep, b.verdict))


def pooled(found: Mapping[K, Found]) -> tuple[Found, list[K]]:
    """Per image the one with the most merit, and which that is; the first one where they are equal."""
    names = list(found)
    merits = torch.stack([f.verdict.merit for f in found.values()])
    which = merits.argmax(0)
    best = found[names[0]]
    for k, name in enumerate(names[1:], 1):
        mask = which == k
        images = torch.where(_wide(mask), found[name].images, best.images)
        best = Found(images, found[name].verdict.where(mask, best.verdict))
    return best, [names[k] for k in which.tolist()]


def _wide(per_image: Tensor) -> Tensor:
    return per_image[:, None, None, None]


def summary(attack: AdaptiveAttack) -> dict[str, Any]:
    """What the probe saw, as JSON."""
    return {
        name: {"zero": seen.zero, "bad": seen.bad, "error": seen.error}
        for name, seen in attack.probed.items()
    }
