"""The modes of an adaptive attack on a pipeline: what each of them ascends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magdr_core.adaptive import choices, search
from magdr_core.adaptive.surrogate import Surrogate, distil
from magdr_core.adaptive.target import MARGIN, MOST_FLAGGED, Target, merit
from magdr_core.adaptive.ways import LEVELS, Probed, Way, gradient_of, probed, scored, straight, through

SELECTIVE = "selective"


@dataclass(frozen=True, eq=False)
class Mode:
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


class Modes:
    """The modes that a pipeline calls for.

    Args:
        probe, fitting, penalties: see :class:`~magdr_core.adaptive.attack.AdaptiveAttack`.

    Attributes:
        probed: by way, what the probe saw; `score:` before those of a detector.
        surrogate: the stand-in for a detector without gradients.
    """

    def __init__(
        self, probe: Target, fitting: Callable[[], Target] | None, penalties: Sequence[float]
    ) -> None:
        self.penalties = tuple(penalties) if probe.detector is not None else ()
        self.probed: dict[str, Probed] = {}
        self.surrogate: Surrogate | None = None
        self._levels: list[str] = []
        self._score_ways: list[str] = []
        if probe.defense is not None and choices.choosing(probe) is None:
            self._levels, seen = _kept(through, probe)
            self.probed |= seen
        inner = _judged_by(probe)
        if inner is not None:
            self._score_ways, seen = _kept(scored, inner)
            self.probed |= {f"score:{name}": one for name, one in seen.items()}
            if not self._score_ways:
                taught = _judged_by(fitting()) if fitting is not None else inner
                assert taught is not None
                self.surrogate = distil(taught)
                self._score_ways = ["surrogate", "queries"]

    def of(self, target: Target) -> list[Mode]:
        """The modes for a batch, those of the curve first."""
        if target.detector is None:
            return [*(Mode(way.name, way) for way in self._gains(target)), *self._evading(target)]
        modes = [self._weighed(target, weight) for weight in self.penalties]
        for gain in self._gains(target):
            for name in self._score_ways:
                score = self._score_way(target, name)
                modes.append(Mode(_named(SELECTIVE, target, gain, score), gain, score, None, target.excess))
        return modes

    def curve(self, target: Target) -> dict[float, str]:
        """By penalty, the name of the mode that it stands for."""
        return {weight: self._weighed(target, weight).name for weight in self.penalties}

    def _weighed(self, target: Target, penalty: float) -> Mode:
        gain, score = self._gains(target)[0], self._score_way(target, self._score_ways[0])
        return Mode(_named(f"penalty={penalty:g}", target, gain, score), gain, score, penalty, target.excess)

    def _evading(self, target: Target) -> list[Mode]:
        """Under its gate a defense does nothing: what is gained there is gained for good."""
        inner = _judged_by(target)
        if inner is None:
            return []
        plain = through(inner, "autograd")
        free = Way(plain.name, plain.value, False)  # true of the gate, not of the defense
        return [
            Mode(f"evade via {name}", free, self._score_way(inner, name), None, inner.excess)
            for name in self._score_ways
        ]

    def _gains(self, target: Target) -> list[Way]:
        if target.defense is None:
            return [through(target, "autograd")]
        magdr = choices.choosing(target)
        if magdr is None:
            return [*(through(target, level) for level in self._levels), straight(target)]
        ways = [choices.frozen(target, magdr)]
        if magdr.candidates:
            ways.append(choices.softmin(target, magdr))
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
    magdr = choices.choosing(target)
    return None if magdr is None else choices.behind_gate(target, magdr)


def _named(policy: str, target: Target, gain: Way, score: Way) -> str:
    ways = [gain.name, score.name] if target.defense is not None else [score.name]
    return f"{policy} via {'+'.join(ways)}"


@dataclass(frozen=True, eq=False)
class Look:
    """What a mode sees at a point, means over the draws of what is random.

    Attributes:
        loss: `[B]`, what is ascended.
        merit: `[B]`, what images are compared by, as far as the mode can tell.
        gradient: `[B,3,H,W]` of the loss; zero where it is not finite.
        bad: share of images whose gradient is zero or not finite.
    """

    loss: Tensor
    merit: Tensor
    gradient: Tensor
    bad: Tensor


def look(target: Target, mode: Mode, at: Tensor, number: int) -> Look:
    """A mode's loss and gradient at points `[B,3,H,W]`; `number` says which draws."""
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
    return Look(torch.stack(losses).mean(0), merit(gain, excess, ~flagged), gradient, bad.float().mean())
