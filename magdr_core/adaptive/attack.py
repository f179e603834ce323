"""The adaptive attack: every mode on its own, then the best image per sample over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive.apgd import FIRST_STEP, Ascent
from magdr_core.adaptive.black_box import square_search
from magdr_core.adaptive.losses import Mode, Modes, look
from magdr_core.adaptive.victim import PipelineVerdict, Target
from magdr_core.functional import round_toward

REFRESH = 5
"""Steps after which what a mode assumes about the pipeline is looked up again, and its image is judged."""

SCALINGS = 8
"""Bisections of how much of the oblivious perturbation goes undetected."""

OBLIVIOUS, SCALED, SQUARE = "oblivious", "scaled", "square"


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


class AdaptiveAttack:
    """Attacks one pipeline, on any number of batches.

    Args:
        probe: the same pipeline on a few other faces (of the calibration split): which gradients there are is
            found out on them.
        fitting: gives it on more of them, to fit a stand-in to; the probe's if None.
        steps: gradient steps of each mode and restart.
        restarts: the first start is the oblivious attack's image, the others are random.
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

    @torch.no_grad()
    def __call__(self, target: Target, others: Mapping[str, Tensor] | None = None) -> Attacked:
        """Attack a batch.

        Args:
            others: 8-bit images `[B,3,H,W]` of further attacks, by name, which join the pool.
        """
        found = {OBLIVIOUS: _judged(target, target.oblivious)}
        found |= {name: _judged(target, images) for name, images in (others or {}).items()}
        if target.detector is not None:
            found[SCALED] = scaled(target)
        pool = dict(found)
        bad: dict[str, float] = {}
        for number, mode in enumerate(self.modes.of(target)):
            own, feasible, bad[mode.name] = self._run(target, mode, number, self.steps)
            found[mode.name] = own
            pool[mode.name] = feasible.better(own)
        if self.queries:
            rng = target.rng.fork(1 << 24)
            found[SQUARE] = pool[SQUARE] = Found(*square_search(target, self.queries, rng))
        pooled, which = _pooled(pool)
        return Attacked(found, pooled, which, bad)

    @torch.no_grad()
    def unaided(self, target: Target, steps: int) -> Tensor:
        """The best image per sample of the modes alone, `[B,3,H,W]`, each from a random start: nothing of the
        oblivious attack, of a search or of another attack is in it."""
        best: Found | None = None
        for number, mode in enumerate(self.modes.of(target)):
            _, feasible, _ = self._run(target, mode, number, steps, random=True)
            best = feasible if best is None else best.better(feasible)
        assert best is not None
        return best.images

    def _run(
        self, target: Target, mode: Mode, number: int, steps: int, *, random: bool = False
    ) -> tuple[Found, Found, float]:
        """All restarts of a mode: its own best (by its loss where it has a penalty), the best feasible one,
        and the share of useless gradients."""
        own, feasible, bad = None, None, 0.0
        for restart in range(self.restarts):
            start = target.oblivious
            if restart or random:
                salt = (1 << 25) + number * self.restarts + restart
                reach = min(target.eps, FIRST_STEP / 2)
                start = target.x + target.rng.fork(salt).uniform(*target.x.shape[1:], low=-reach, high=reach)
            by_loss, by_merit, share = self._ascend(target, mode, start, restart, steps)
            bad += share / self.restarts
            feasible = by_merit if feasible is None else feasible.better(by_merit)
            if not mode.compromising:
                own = feasible
            else:
                own = by_loss if own is None else _higher(mode, by_loss, own)
        assert own is not None
        assert feasible is not None
        return own, feasible, bad

    def _ascend(
        self, target: Target, mode: Mode, start: Tensor, restart: int, steps: int
    ) -> tuple[Found, Found, float]:
        ascent = Ascent(start, target.x, target.eps, steps)
        sound = all(way.true for way in mode.ways)
        true = sound and not mode.rough(target)
        by_loss, by_merit, assumed = _Track(target.x), _Track(target.x), _Track(target.x)
        unsound: list[Tensor] = []
        lately = _Track(target.x)
        weight = mode.weighed(None, torch.zeros_like(target.score_unit))
        for step in range(steps + 1):
            x = round_toward(ascent.x, target.x)
            last = step == steps
            if not true and (last or step % REFRESH == 0):
                # Where only the precision is in doubt, what looked best since the last time is judged. At the
                # end the image that the mode itself holds for its best is judged, too.
                here = lately.x if sound and step else x
                for candidate in (here, assumed.x) if last else (here,):
                    verdict = target.judge(candidate)
                    by_merit.update(candidate, verdict.merit)
                    by_loss.update(candidate, mode.loss(verdict.gain, verdict.excess))
                lately = _Track(target.x)
            if last and not true:
                break
            if step % REFRESH == 0:
                for way in mode.ways:
                    if way.refresh is not None:
                        way.refresh(x)
            seen = look(target, mode, ascent.x, 1 + restart * (steps + 1) + step, weight)
            weight = mode.weighed(weight, seen.excess)
            unsound.append(seen.bad)
            assumed.update(x, seen.merit)
            lately.update(x, seen.merit)
            if true:
                by_merit.update(x, seen.merit)
                by_loss.update(x, seen.loss)
            if not last:
                ascent.move(seen.loss if mode.compromising else seen.merit, seen.gradient)
        # Read at the end, all at once: a GPU would wait at every step.
        bad = sum(share / (steps + 1) for share in torch.stack(unsound).tolist())
        return _judged(target, by_loss.x), _judged(target, by_merit.x), bad


class _Track:
    """The image with the highest value so far, per sample."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.value = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)

    def update(self, x: Tensor, value: Tensor) -> None:
        wins = value > self.value
        self.x = torch.where(_wide(wins), x, self.x)
        self.value = torch.where(wins, value.double(), self.value)


def scaled(target: Target) -> Found:
    """As much of the oblivious perturbation as goes undetected, by bisection."""
    low = torch.zeros(len(target), device=target.x.device)
    high = torch.ones_like(low)
    found = _judged(target, target.oblivious)
    high = torch.where(found.verdict.feasible, low, high)  # all of it: nothing to look for
    for _ in range(SCALINGS):
        share = (low + high) / 2
        moved = target.x + _wide(share) * (target.oblivious - target.x)
        here = _judged(target, round_toward(moved, target.x))
        found = found.better(here)
        low = torch.where(here.verdict.feasible, share, low)
        high = torch.where(here.verdict.feasible, high, share)
    return found


def _judged(target: Target, images: Tensor) -> Found:
    return Found(images, target.judge(images))


def _higher(mode: Mode, a: Found, b: Found) -> Found:
    """Per image the one with the higher penalised gain."""
    keep = mode.loss(a.verdict.gain, a.verdict.excess) >= mode.loss(b.verdict.gain, b.verdict.excess)
    return Found(torch.where(_wide(keep), a.images, b.images), a.verdict.where(keep, b.verdict))


def _pooled(found: Mapping[str, Found]) -> tuple[Found, list[str]]:
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
