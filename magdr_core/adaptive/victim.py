"""A defended generator as its attacker sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, Samples
from magdr_core.components.objective import DisruptionObjective, symmetric_mse
from magdr_core.components.protocols import Chosen
from magdr_core.components.rng import SampleRng
from magdr_core.functional import clamp_inclusive, project_linf, round_toward, straight_through, to_8bit
from magdr_core.guards import GuardedChannel, GuardedDefense, GuardedDetector, GuardedGenerator
from magdr_core.guards.choosing import GuardedChoosing

DRAWS = 20
"""Draws of a stochastic component that gradients and verdicts are means over."""

MOST_FLAGGED = 0.05
"""Share of its draws in which a stochastic detector may flag an image that counts as undetected."""

LEAST_GAIN = 1e-3
"""MSE in [-1,1] units below which an oblivious attack's gain is no unit to count in."""

MARGIN = 1e-3
"""How far under the threshold an image has to be while it is searched for, in units of suspicion."""

_JUDGED = 1 << 20

_CHANNEL = 4
"""Which stream of a draw is the channel's."""


def _rough(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A generator's pass that computes in bfloat16 where autocast would, with float32 images at both ends."""

    def passed(x: Tensor, c: Condition, **streams: SampleRng) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            y = forward(x, c, **streams)
        return clamp_inclusive(y.float())

    return passed


@dataclass(frozen=True, eq=False)
class PipelineVerdict:
    """What the real pipeline made of a batch; of a stochastic one, means over its draws.

    Attributes:
        gain: `[B]`, how far the aim was reached; 1 is what the oblivious attack, or the strongest that is
            known, reaches undefended.
        disruption: `[B]`, MSE of the final output from the clean one, [-1,1] units.
        score: `[B]`, of the detector; 0 without one.
        excess: `[B]`, `(score - threshold) / unit`; -1 without a detector.
        feasible: bool `[B]`: not flagged, and in the eps ball.
    """

    gain: Tensor
    disruption: Tensor
    score: Tensor
    excess: Tensor
    feasible: Tensor

    @property
    def merit(self) -> Tensor:
        """`[B]` float64: the gain of what is feasible, else less than any gain, and less the further off."""
        return merit(self.gain, self.excess, self.feasible)

    def where(self, mask: Tensor, other: PipelineVerdict) -> PipelineVerdict:
        """Of each image this verdict or the other one, by a bool mask `[B]`."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(PipelineVerdict))
        return PipelineVerdict(*(torch.where(mask, a, b) for a, b in pairs))


def merit(gain: Tensor, excess: Tensor, feasible: Tensor) -> Tensor:
    """What images are compared by, `[B]`: any feasible one, with a negative gain even, beats a flagged one.

    Args:
        gain, excess, feasible: `[B]` each, as in :class:`PipelineVerdict`.
    """
    return torch.where(feasible, gain.double(), -1e9 - excess.double().clamp_min(0))


class Target:
    """The whole pipeline.

    Args:
        generator: G.
        clean: the clean samples; their images are the centres of the balls.
        aim: Eq. 1 or 2 on these samples.
        oblivious: `[B,3,H,W]`, images of the attack that knows G alone; the units are taken from them.
        eps: L-infinity bound in [0,1] units.
        detector, threshold: an image with a score above the threshold is flagged.
        defense: restores the input, or has an output of its own.
        channel: what the attacked images go through before anybody sees them; see :meth:`sent`.
        rng: the attacker's draws; the defender's are others.
        draws: see `DRAWS`; 1 where nothing is stochastic.
        rough: let G compute in bfloat16 while directions are looked for. Verdicts are exact all the same.
        strongest: `[B,3,H,W]`, the images that do most to G alone: a gain of 1 is theirs; of the oblivious
            ones if None.
    """

    def __init__(
        self,
        generator: GuardedGenerator,
        clean: Samples,
        aim: DisruptionObjective,
        oblivious: Tensor,
        eps: float,
        *,
        detector: GuardedDetector | None = None,
        threshold: float = 0.0,
        defense: GuardedDefense | None = None,
        channel: GuardedChannel | None = None,
        rng: SampleRng,
        draws: int = DRAWS,
        rough: bool = False,
        strongest: Tensor | None = None,
    ) -> None:
        self.G, self.clean, self.aim, self.eps = generator, clean, aim, eps
        self.detector, self.threshold, self.defense = detector, threshold, defense
        self.channel = channel
        self.x, self.c = clean.images, clean.conditions
        self.oblivious = oblivious
        self.rng = rng
        random = any(part is not None and part.stochastic for part in (detector, defense, generator))
        random |= channel is not None and channel.random
        self.draws = draws if random else 1
        self.rough = rough
        self._made: tuple[Tensor, Tensor] | None = None
        self._ran: tuple[Tensor, Chosen] | None = None
        with torch.no_grad():
            # What the aim is worth on clean outputs: 0 for Eq. 1.
            self._zero = self._aimed(aim.reference)
            most = oblivious if strongest is None else strongest
            reached = self._aimed(generator(most, self.c)) - self._zero
            self.gain_unit = reached.clamp_min(LEAST_GAIN)
            self.score_unit = torch.ones_like(reached)
            if detector is not None:
                apart = self._mean_score(oblivious) - self._mean_score(self.x)
                self.score_unit = apart.abs().clamp_min(1e-6)

    def __len__(self) -> int:
        return len(self.x)

    def select(self, rows: Tensor) -> Target:
        """The same of some images, by their indices `[n]`."""
        some = copy(self)
        ids = tuple(self.clean.ids[i] for i in rows.tolist())
        some.clean = Samples(self.x[rows], self.c[rows], ids)
        some.x, some.c = some.clean.images, some.clean.conditions
        some.aim, some.rng = self.aim.select(rows), self.rng.select(rows)
        for name in ("oblivious", "_zero", "gain_unit", "score_unit"):
            setattr(some, name, getattr(self, name)[rows])
        some._made = some._ran = None
        return some

    def _aimed(self, y: Tensor) -> Tensor:
        if self.aim.target is None:
            return symmetric_mse(y, self.aim.reference)
        return -symmetric_mse(y, self.aim.target)

    def gain(self, y: Tensor) -> Tensor:
        """`[B]` of outputs `[B,3,H,W]`, differentiable."""
        return (self._aimed(y) - self._zero) / self.gain_unit

    def excess(self, score: Tensor) -> Tensor:
        """`[B]` of scores `[B]`, differentiable."""
        return (score - self.threshold) / self.score_unit

    def inside(self, x: Tensor) -> Tensor:
        """The 8-bit images in the ball next to `[B,3,H,W]`; the gradient passes straight through."""
        return straight_through(round_toward(project_linf(x.detach(), self.x, self.eps), self.x), x)

    @contextmanager
    def roughly(self) -> Iterator[None]:
        """Inside it G is the rough one."""
        exact, quick = self.G, copy(self.G)
        # What the guard runs is `forward`: the component, or a faster form of it.
        quick.forward, quick.memory, quick.passes = _rough(exact.forward), None, 0
        self.G = quick
        try:
            yield
        finally:
            self.G = exact
            exact.passes += quick.passes

    # -- the real pipeline ------------------------------------------------------------------------------

    def forks(self, number: int) -> Iterator[SampleRng]:
        """Fresh draws for the `number`-th look."""
        for j in range(self.draws):
            which = 1 + number * self.draws + j
            with self.G.redraw(which):  # what a stochastic generator draws is fresh, too
                yield self.rng.fork(which)

    def sent(self, x: Tensor, draw: SampleRng) -> Tensor:
        """What is received of published images, `[B,3,H,W]` -> same: behind a channel its real values, with
        the gradient of its differentiable form, or straight through it where it has none."""
        return x if self.channel is None else self.channel.through(x, rng=draw.fork(_CHANNEL))

    def restored(self, x: Tensor, draw: SampleRng) -> Tensor:
        """What the generator is given, `[B,3,H,W]` -> same; 8-bit behind a defense, with a gradient that
        rounding passes."""
        if self.defense is None:
            return x
        if self.choosing is not None:
            r = self.chosen(x, draw).restored
        else:
            r = self.defense(x, self.c, self.G, rng=draw.fork(0))
        return straight_through(to_8bit(r), r)

    def output(self, restored: Tensor, x: Tensor, draw: SampleRng) -> Tensor:
        """The pipeline's output, `[B,3,H,W]`.

        Args:
            restored: `[B,3,H,W]`, what `restored` made of `x` with this draw.
        """
        if self.defense is None:
            y = self.G(restored, self.c)
            self._made = (restored, y)
            return y
        # The stream that it restored with, from its start.
        return self.defense.output(restored, x, self.c, self.G, rng=draw.fork(0))

    @property
    def gated(self) -> GuardedChoosing | None:
        """The defense, where it leaves alone what is not suspicious to it."""
        found = None if self.defense is None else self.defense.choosing
        return found if found is not None and found.gated else None

    @property
    def choosing(self) -> GuardedChoosing | None:
        """The defense, where it chooses among candidates and tells which."""
        found = None if self.defense is None else self.defense.choosing
        return found if found is not None and found.chooses else None

    def chosen(self, x: Tensor, draw: SampleRng) -> Chosen:
        """What a defense that chooses makes of images `[B,3,H,W]`; asked about the same tensor again it is
        not run again, unless it is random."""
        assert self.defense is not None
        if self.defense.stochastic:
            return self.defense.choosing.run(x, self.c, self.G, rng=draw.fork(0))
        if self._ran is None or self._ran[0] is not x:
            self._ran = (x, self.defense.choosing.run(x, self.c, self.G))
        return self._ran[1]

    def score(self, x: Tensor, draw: SampleRng) -> Tensor:
        """The detector's score of images `[B,3,H,W]`, `[B]`; the pass of `output` on them is used again."""
        assert self.detector is not None
        made, self._made = self._made, None
        if made is not None and made[0] is x:
            return self.detector.with_output(x, self.c, self.G, made[1], rng=draw.fork(1))
        return self.detector(x, self.c, self.G, rng=draw.fork(1))

    def _mean_score(self, x: Tensor) -> Tensor:
        return torch.stack([self.score(self.sent(x, draw), draw) for draw in self.forks(_JUDGED)]).mean(0)

    @torch.no_grad()
    def judge(self, x: Tensor) -> PipelineVerdict:
        """The verdict on 8-bit images `[B,3,H,W]`, whatever was assumed while they were made."""
        gains, disruptions, scores, flags = [], [], [], []
        for draw in self.forks(_JUDGED):
            seen = self.sent(x, draw)
            y = self.output(self.restored(seen, draw), seen, draw)
            gains.append(self.gain(y))
            disruptions.append(symmetric_mse(y, self.aim.reference))
            if self.detector is not None:
                score = self.score(seen, draw)
                scores.append(score)
                flags.append((score > self.threshold).float())
        gain, disruption = torch.stack(gains).mean(0), torch.stack(disruptions).mean(0)
        legal = (x - self.x).abs().flatten(1).amax(1) <= self.eps + 1e-5
        legal &= (x == to_8bit(x)).flatten(1).all(1)
        if self.detector is None:
            nothing = torch.zeros_like(gain)
            return PipelineVerdict(gain, disruption, nothing, nothing - 1.0, legal)
        score = torch.stack(scores).mean(0)
        feasible = legal & (torch.stack(flags).mean(0) <= MOST_FLAGGED)
        return PipelineVerdict(gain, disruption, score, self.excess(score), feasible)
