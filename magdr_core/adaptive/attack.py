"""The adaptive attack: every mode on its own, then the best image per sample over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive import choices, search
from magdr_core.adaptive.ascent import Ascent
from magdr_core.adaptive.surrogate import Surrogate, distil
from magdr_core.adaptive.target import MARGIN, MOST_FLAGGED, Target, Verdict, merit
from magdr_core.adaptive.ways import LEVELS, Probed, Way, gradient_of, probed, scored, straight, through
from magdr_core.functional import round_toward

REFRESH = 5
"""Steps after which what a mode assumes about the pipeline is looked up again, and its image is judged."""

SCALINGS = 8
"""Bisections of how much of the oblivious perturbation goes undetected."""

OBLIVIOUS, SCALED, SQUARE = "oblivious", "scaled", "square"
SELECTIVE = "selective"


@dataclass(frozen=True, eq=False)
class Found:
    """What a mode found: its images `[B,3,H,W]` and the real pipeline's verdict on them."""

    images: Tensor
    verdict: Verdict

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


@dataclass(frozen=True, eq=False)
class _Mode:
    """A loss: how gain and score are differentiated, and how they are weighed.

    Attributes:
        penalty: weight of the excess; None: selective.
        excess: of scores; the target's, or that of a gate inside the defense.
    """

    name: str
    gain: Way
    score: Way | None = None
    penalty: float | None = None
    excess: Callable[[Tensor], Tensor] | None = None

    def loss(self, gain: Tensor, excess: Tensor) -> Tensor:
        if self.score is None:
            return gain
        if self.penalty is None:
            return torch.where(excess > -MARGIN, -excess, gain)
        return gain - self.penalty * excess.clamp_min(0)

    @property
    def ways(self) -> list[Way]:
        return [w for w in (self.gain, self.score) if w is not None]


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
        self.penalties = tuple(penalties)
        self.probed: dict[str, Probed] = {}
        self.surrogate: Surrogate | None = None
        self._levels: list[str] = []
        self._score_ways: list[str] = []
        if probe.defense is not None and choices.choosing(probe) is None:
            self._levels, seen = self._kept(through, probe)
            self.probed |= seen
        inner = self._judged_by(probe)
        if inner is not None:
            self._score_ways, seen = self._kept(scored, inner)
            self.probed |= {f"score:{name}": one for name, one in seen.items()}
            if not self._score_ways:
                taught = self._judged_by(fitting()) if fitting is not None else inner
                assert taught is not None
                self.surrogate = distil(taught)
                self._score_ways = ["surrogate", "queries"]
        weights = self.penalties if probe.detector is not None else ()
        self.curve = {weight: self._curve_mode(probe, weight).name for weight in weights}

    @staticmethod
    def _kept(way: Callable[[Target, str], Way], probe: Target) -> tuple[list[str], dict[str, Probed]]:
        kept, seen = probed([way(probe, level) for level in LEVELS], probe)
        return [w.name for w in kept], seen

    @staticmethod
    def _judged_by(target: Target) -> Target | None:
        """Whose score there is to keep low: the pipeline's detector, or the one inside the defense."""
        if target.detector is not None:
            return target
        magdr = choices.choosing(target)
        return None if magdr is None else choices.behind_gate(target, magdr)

    # -- modes ------------------------------------------------------------------------------------------

    def _gains(self, target: Target) -> list[Way]:
        if target.defense is None:
            return [through(target, "autograd")]
        magdr = choices.choosing(target)
        if magdr is not None:
            ways = [choices.frozen(target, magdr)]
            if magdr.candidates:
                ways.append(choices.softmin(target, magdr))
            return [*ways, choices.lazy_straight(target)]
        return [*(through(target, level) for level in self._levels), straight(target)]

    def _score_way(self, target: Target, name: str) -> Way:
        if name == "queries":
            return search.estimated(target)
        if name == "surrogate":
            assert self.surrogate is not None
            return self.surrogate.way(target)
        return scored(target, name)

    def _curve_mode(self, target: Target, penalty: float) -> _Mode:
        gain, score = self._gains(target)[0], self._score_way(target, self._score_ways[0])
        return _Mode(_named(f"penalty={penalty:g}", target, gain, score), gain, score, penalty, target.excess)

    def _modes(self, target: Target) -> list[_Mode]:
        gains = self._gains(target)
        if target.detector is None:
            modes = [_Mode(way.name, way) for way in gains]
            inner = self._judged_by(target)
            if inner is not None:
                # Under its gate the defense does nothing: what is gained there is gained for good.
                plain = through(inner, "autograd")
                free = Way(plain.name, plain.value, False)
                for name in self._score_ways:
                    way = self._score_way(inner, name)
                    modes.append(_Mode(f"evade via {name}", free, way, None, inner.excess))
            return modes
        modes = [self._curve_mode(target, b) for b in self.penalties]
        for gain in gains:
            for name in self._score_ways:
                score = self._score_way(target, name)
                modes.append(_Mode(_named(SELECTIVE, target, gain, score), gain, score, None, target.excess))
        return modes

    # -- running ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def __call__(self, target: Target, others: Mapping[str, Tensor] | None = None) -> Attacked:
        """Attack a batch.

        Args:
            others: 8-bit images of further attacks, by name, which join the pool.
        """
        found = {OBLIVIOUS: _judged(target, target.oblivious)}
        found |= {name: _judged(target, images) for name, images in (others or {}).items()}
        if target.detector is not None:
            found[SCALED] = scaled(target)
        pool = dict(found)
        bad: dict[str, float] = {}
        for number, mode in enumerate(self._modes(target)):
            own, feasible, bad[mode.name] = self._run(target, mode, number)
            found[mode.name] = own
            pool[mode.name] = feasible.better(own)
        if self.queries:
            rng = target.rng.fork(1 << 24)
            found[SQUARE] = pool[SQUARE] = Found(*search.square_search(target, self.queries, rng))
        pooled, which = _pooled(pool)
        return Attacked(found, pooled, which, bad)

    def _run(self, target: Target, mode: _Mode, number: int) -> tuple[Found, Found, float]:
        """All restarts of a mode: its own best (by its loss where it has a penalty), the best feasible one,
        and the share of useless gradients."""
        own, feasible, bad = None, None, 0.0
        for restart in range(self.restarts):
            start = target.oblivious
            if restart:
                salt = (1 << 25) + number * self.restarts + restart
                start = target.x + target.rng.fork(salt).uniform(
                    *target.x.shape[1:], low=-target.eps, high=target.eps
                )
            by_loss, by_merit, share = self._ascend(target, mode, start, restart)
            bad += share / self.restarts
            feasible = by_merit if feasible is None else feasible.better(by_merit)
            if mode.penalty is None:
                own = feasible
            else:
                own = by_loss if own is None else _higher(mode, by_loss, own)
        assert own is not None
        assert feasible is not None
        return own, feasible, bad

    def _ascend(self, target: Target, mode: _Mode, start: Tensor, restart: int) -> tuple[Found, Found, float]:
        ascent = Ascent(start, target.x, target.eps, self.steps)
        true = all(way.true for way in mode.ways)
        by_loss, by_merit, bad = _Track(target.x), _Track(target.x), 0.0
        for step in range(self.steps + 1):
            x = round_toward(ascent.x, target.x)
            last = step == self.steps
            if not true and (last or step % REFRESH == 0):
                verdict = target.judge(x)
                by_merit.update(x, verdict.merit)
                by_loss.update(x, mode.loss(verdict.gain, verdict.excess))
            if last and not true:
                break
            if step % REFRESH == 0:
                for way in mode.ways:
                    if way.refresh is not None:
                        way.refresh(x)
            look = _look(target, mode, ascent.x, 1 + restart * (self.steps + 1) + step)
            bad += float(look.bad) / (self.steps + 1)
            if true:
                by_merit.update(x, look.merit)
                by_loss.update(x, look.loss)
            if not last:
                ascent.move(look.merit if mode.penalty is None else look.loss, look.gradient)
        return _judged(target, by_loss.x), _judged(target, by_merit.x), bad


@dataclass(frozen=True, eq=False)
class _Look:
    loss: Tensor
    merit: Tensor
    gradient: Tensor
    bad: Tensor


def _look(target: Target, mode: _Mode, at: Tensor, number: int) -> _Look:
    """A mode's loss and gradient, means over the draws of what is random."""
    x = at.detach().requires_grad_(True)
    losses, gains, excesses, gradient = [], [], [], torch.zeros_like(at)
    for draw in target.forks(number):
        with torch.enable_grad():
            inside = target.inside(x)
            gain = mode.gain.value(inside, draw)
            excess = torch.full_like(gain, -1.0)
            if mode.score is not None:
                assert mode.excess is not None
                excess = mode.excess(mode.score.value(inside, draw))
            loss = mode.loss(gain, excess)
            gradient += gradient_of(loss, x)
        losses.append(loss.detach())
        gains.append(gain.detach())
        excesses.append(excess.detach())
    gain, excess = torch.stack(gains).mean(0), torch.stack(excesses).mean(0)
    flagged = (torch.stack(excesses) > -MARGIN).float().mean(0) > MOST_FLAGGED
    finite = gradient.isfinite().flatten(1).all(1)
    gradient = torch.nan_to_num(gradient, 0.0, 0.0, 0.0) / target.draws
    bad = ~finite | (gradient == 0).flatten(1).all(1)
    return _Look(torch.stack(losses).mean(0), merit(gain, excess, ~flagged), gradient, bad.float().mean())


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


def _higher(mode: _Mode, a: Found, b: Found) -> Found:
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


def _named(policy: str, target: Target, gain: Way, score: Way) -> str:
    ways = [gain.name, score.name] if target.defense is not None else [score.name]
    return f"{policy} via {'+'.join(ways)}"


def _wide(per_image: Tensor) -> Tensor:
    return per_image[:, None, None, None]


def summary(attack: AdaptiveAttack) -> dict[str, Any]:
    """What the probe saw, as JSON."""
    return {
        name: {"zero": seen.zero, "bad": seen.bad, "error": seen.error}
        for name, seen in attack.probed.items()
    }
