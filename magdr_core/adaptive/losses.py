"""The modes of an adaptive attack on a pipeline: what each of them ascends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from magdr_core.adaptive import black_box as search
from magdr_core.adaptive import discrete_choice as choices
from magdr_core.adaptive.defense_surrogate import Reproduction, reproduce
from magdr_core.adaptive.detector_surrogate import Surrogate, distil
from magdr_core.adaptive.gradient_paths import (
    LEVELS,
    Probed,
    Way,
    gradient_of,
    probed,
    scored,
    straight,
    through,
)
from magdr_core.adaptive.victim import MARGIN, MOST_FLAGGED, Target, merit
from magdr_core.components.rng import SampleRng

Policy = Literal["plain", "penalty", "lagrangian", "tries"]
PLAIN: Policy = "plain"
PENALTY: Policy = "penalty"
LAGRANGIAN: Policy = "lagrangian"
TRIES: Policy = "tries"

RAISED, LOWERED = 1.15, 1.1
"""A Lagrangian weight is multiplied by the one in each step in which the image is flagged, and divided by the
other in each in which it is not."""

WEIGHTS = (1e-2, 1e3)
"""Between which it stays."""

AGREES = 0.9
"""Mean cosine from which on gradients in half precision point where those in full precision do."""

SOFT = 0.1
"""How much suspicion over a gate, in units of suspicion, makes it as good as closed."""

SHAKEN = 0.1
"""Share of the pixels that go in a random direction where every step is a try."""


@dataclass(frozen=True, eq=False)
class Mode:
    """A loss: how gain and score are differentiated, and how they are weighed.

    Attributes:
        policy: how gain and excess are weighed; see the package's text.
        penalty: weight of the excess under a penalty.
        excess: of scores; the target's, or that of a gate inside the defense.
        exact: half precision is no use to it.
    """

    name: str
    gain: Way
    score: Way | None = None
    policy: Policy = PLAIN
    penalty: float = 0.0
    excess: Callable[[Tensor], Tensor] | None = None
    exact: bool = False

    @property
    def compromising(self) -> bool:
        """Its best image is that of the highest loss, and not the most disruptive undetected one."""
        return self.policy == PENALTY

    def loss(self, gain: Tensor, excess: Tensor, weight: Tensor | None = None) -> Tensor:
        """`[B]`, what is ascended; `weight` `[B]` of a Lagrangian mode."""
        if self.policy == LAGRANGIAN:
            return gain - (1.0 if weight is None else weight) * excess.clamp_min(-MARGIN)
        if self.policy == PENALTY:
            return gain - self.penalty * excess.clamp_min(0)
        return gain

    def weighed(self, weight: Tensor | None, excess: Tensor) -> Tensor | None:
        """The Lagrangian weights of the next step, given those of this one and the excess at it, `[B]` each;
        of the first step, given None. None for modes without."""
        if self.policy != LAGRANGIAN:
            return None
        if weight is None:
            return torch.ones_like(excess)
        return torch.where(excess > -MARGIN, weight * RAISED, weight / LOWERED).clamp(*WEIGHTS)

    def rough(self, target: Target) -> bool:
        """Whether it looks at the target in half precision."""
        return target.rough and not self.exact and all(way.rough for way in self.ways)

    @property
    def ways(self) -> list[Way]:
        return [w for w in (self.gain, self.score) if w is not None]


class Modes:
    """The modes that a pipeline calls for.

    Args:
        probe, fitting, penalties: see :class:`~magdr_core.adaptive.attack.AdaptiveAttack`.

    Attributes:
        probed: by way, what the probe saw; `score:` before those of a detector.
        surrogate: the stand-in for a detector without gradients.
        reproduction: the stand-in for a defense without gradients.
    """

    def __init__(
        self, probe: Target, fitting: Callable[[], Target] | None, penalties: Sequence[float]
    ) -> None:
        self.penalties = tuple(penalties) if probe.detector is not None else ()
        self.probed: dict[str, Probed] = {}
        self.surrogate: Surrogate | None = None
        self.reproduction: Reproduction | None = None
        self._levels: list[str] = []
        self._score_ways: list[str] = []
        taught: Target | None = None
        if probe.defense is not None and probe.choosing is None:
            self._levels, seen = _kept(through, probe)
            self.probed |= seen
            if not self._levels:
                taught = probe if fitting is None else fitting()
                self.reproduction = reproduce(taught)
        inner = _judged_by(probe)
        if inner is not None:
            self._score_ways, seen = _kept(scored, inner)
            self.probed |= {f"score:{name}": one for name, one in seen.items()}
            if not self._score_ways:
                if fitting is not None:
                    inner = _judged_by(taught or fitting())
                assert inner is not None
                self.surrogate = distil(inner)
                self._score_ways = ["surrogate", "queries"]
        self._exact: frozenset[str] = frozenset()
        if probe.rough:
            self._exact = frozenset(mode.name for mode in self.of(probe) if not _agrees(probe, mode))

    def of(self, target: Target) -> list[Mode]:
        """The modes for a batch, those of the curve last."""
        if target.detector is None:
            modes = [*(Mode(way.name, way) for way in self._gains(target)), *self._evading(target)]
        else:
            modes = [*self._judged(target), *(self._weighed(target, weight) for weight in self.penalties)]
        return [replace(mode, exact=mode.name in self._exact) for mode in modes]

    def curve(self, target: Target) -> dict[float, str]:
        """By penalty, the name of the mode that it stands for."""
        return {weight: self._weighed(target, weight).name for weight in self.penalties}

    def _weighed(self, target: Target, penalty: float) -> Mode:
        gain, score = self._gains(target)[0], self._score_way(target, self._score_ways[0])
        name = _named(f"{PENALTY}={penalty:g}", target, gain, score)
        return Mode(name, gain, score, PENALTY, penalty, target.excess)

    def _judged(self, target: Target) -> Iterator[Mode]:
        """Every way to the gain with every way to the score that is to be kept low."""
        for gain in self._gains(target):
            for name in self._score_ways:
                score = self._score_way(target, name)
                own = _named(LAGRANGIAN, target, gain, score)
                yield Mode(own, gain, score, LAGRANGIAN, excess=target.excess)
        if self.surrogate is not None:
            # No score to follow at all: each step is one more try, and what passed is kept.
            gain, seen = self._gains(target)[0], search.only_seen(target)
            yield Mode(_named(TRIES, target, gain, seen), gain, seen, TRIES, excess=target.excess)

    def _evading(self, target: Target) -> list[Mode]:
        """Under its gate a defense does nothing: what is gained there is gained for good. Jointly, the gain
        is what is expected of a soft gate: under it that of the image, over it that of the restored one."""
        inner = _judged_by(target)
        if inner is None:
            return []
        plain = through(inner, "autograd")
        free = Way(plain.name, plain.value, False)  # true of the gate, not of the defense
        modes = []
        for name in self._score_ways:
            score = self._score_way(inner, name)
            modes.append(Mode(f"evade via {name}", free, score, LAGRANGIAN, excess=inner.excess))
            if score.true:
                behind = self._gains(target)[0]
                modes.append(Mode(f"joint via {behind.name}+{name}", _joint(inner, plain, behind, score)))
        return modes

    def _gains(self, target: Target) -> list[Way]:
        if target.defense is None:
            return [through(target, "autograd")]
        choosing = target.choosing
        if choosing is None:
            own = [through(target, level) for level in self._levels]
            fitted = [] if self.reproduction is None else [self.reproduction.way(target)]
            return [*own, straight(target), *fitted]
        ways = [choices.frozen(target)]
        if choosing.candidates:
            ways.append(choices.softmin(target))
        return [*ways, choices.lazy_straight(target)]

    def _score_way(self, target: Target, name: str) -> Way:
        if name == "queries":
            return search.estimated(target)
        if name == "surrogate":
            assert self.surrogate is not None
            return self.surrogate.way(target)
        return scored(target, name)


def _kept(way: Callable[[Target, str], Way], probe: Target) -> tuple[list[str], dict[str, Probed]]:
    kept, seen = probed([way(probe, level) for level in LEVELS], probe)
    return [w.name for w in kept], seen


def _judged_by(target: Target) -> Target | None:
    """Whose score there is to keep low: the pipeline's detector, or the one inside the defense."""
    if target.detector is not None:
        return target
    return None if target.gated is None else choices.behind_gate(target)


def _joint(inner: Target, plain: Way, behind: Way, score: Way) -> Way:
    """The gain behind a soft gate: `plain` under it, `behind` over it."""

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        under = torch.sigmoid(-inner.excess(score.value(x, draw)) / SOFT)
        return under * plain.value(x, draw) + (1 - under) * behind.value(x, draw)

    return Way("joint", value, False, behind.refresh, rough=behind.rough and score.rough)


def _agrees(target: Target, mode: Mode) -> bool:
    """Whether half precision shows where the gain, and the score, of a mode go."""
    for way in mode.ways:
        if way.refresh is not None:
            way.refresh(target.sent(target.oblivious, next(target.forks(0))))
    weight = mode.weighed(None, torch.zeros_like(target.score_unit))
    rough, exact = (
        look(target, one, target.oblivious, 0, weight).gradient.flatten(1)
        for one in (mode, replace(mode, exact=True))
    )
    return bool(torch.cosine_similarity(rough, exact).mean() >= AGREES)


def _named(policy: str, target: Target, gain: Way, score: Way) -> str:
    ways = [gain.name, score.name] if target.defense is not None else [score.name]
    return f"{policy} via {'+'.join(ways)}"


@dataclass(frozen=True, eq=False)
class Look:
    """What a mode sees at a point, means over the draws of what is random.

    Attributes:
        loss: `[B]`, what is ascended.
        merit: `[B]`, what images are compared by, as far as the mode can tell.
        excess: `[B]`, -1 without a score.
        gradient: `[B,3,H,W]` of the loss; zero where it is not finite.
        bad: share of images whose gradient is zero or not finite.
    """

    loss: Tensor
    merit: Tensor
    excess: Tensor
    gradient: Tensor
    bad: Tensor


def look(target: Target, mode: Mode, at: Tensor, number: int, weight: Tensor | None = None) -> Look:
    """A mode's loss and gradient at points `[B,3,H,W]`; `number` says which draws.

    Args:
        weight: `[B]`, of a Lagrangian mode.
    """
    x = at.detach().requires_grad_(True)
    losses, gains, excesses, gradient = [], [], [], torch.zeros_like(at)
    for draw in target.forks(number):
        with torch.enable_grad(), target.roughly() if mode.rough(target) else nullcontext():
            inside = target.sent(target.inside(x), draw)
            gain = mode.gain.value(inside, draw)
            excess = torch.full_like(gain, -1.0)
            if mode.score is not None:
                assert mode.excess is not None
                excess = mode.excess(mode.score.value(inside, draw))
            loss = mode.loss(gain, excess, weight)
            gradient += gradient_of(loss, x)
        losses.append(loss.detach())
        gains.append(gain.detach())
        excesses.append(excess.detach())
    gain, excess = torch.stack(gains).mean(0), torch.stack(excesses).mean(0)
    flagged = (torch.stack(excesses) > -MARGIN).float().mean(0) > MOST_FLAGGED
    finite = gradient.isfinite().flatten(1).all(1)
    gradient = torch.nan_to_num(gradient, 0.0, 0.0, 0.0) / target.draws
    bad = ~finite | (gradient == 0).flatten(1).all(1)
    if mode.policy == TRIES:
        gradient = _shaken(gradient, next(target.forks(number)).fork(2))
    found = merit(gain, excess, ~flagged)
    return Look(torch.stack(losses).mean(0), found, excess, gradient, bad.float().mean())


def _shaken(gradient: Tensor, rng: SampleRng) -> Tensor:
    """A gradient of which some signs are random, so that no two steps look at the same image."""
    there = rng.uniform(*gradient.shape[1:]) < SHAKEN
    return torch.where(there, rng.sign(*gradient.shape[1:]), gradient)
