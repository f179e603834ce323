"""What an attacker who knows everything attacks: the generator behind a defense or beside a detector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.objective import (
    SUCCESS,
    DisruptionObjective,
    ObjectiveName,
    build_objective,
    symmetric_mse,
)
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.components.rng import SampleRng
from magdr_core.components.specs import Gradient
from magdr_core.errors import MagdrError
from magdr_core.functional import straight_through, to_8bit
from magdr_core.guards import GuardedDefense, GuardedGenerator


@dataclass(frozen=True, eq=False)
class VictimResponse:
    """What attacked images do, per image.

    Attributes:
        gain: how far the output went towards the aim, MSE in [-1,1] units, `[B]`: for Eq. 1 the distance from
            the clean output. 0 where the image was detected.
        cut: how much of that is the attack's work, and no more than the aim asks for, `[B]`.
        reached: share of the draws in which the attack reached the aim undetected, `[B]`. What a defense
            does to clean images is not the attack's work: a defense that is past the aim by itself has to be
            moved as far again.
        score: of the detector above its threshold, `[B]`; at most 0 is undetected, and 0 without a detector.
    """

    gain: Tensor
    cut: Tensor
    reached: Tensor
    score: Tensor


@dataclass(frozen=True, eq=False)
class Victim:
    """A generator with a defense in front of it, or a detector beside it, or neither.

    Attributes:
        clean: the images that are attacked, 8-bit.
        aim: what disrupting the task means.
        gradient: what the component declares.
        name: of the component, for its random streams.
        oblivious: `[B,3,H,W]`, images of the attack that knows the generator alone, where they are known.
    """

    clean: Samples
    G: GuardedGenerator
    aim: ObjectiveName
    defense: GuardedDefense | None = None
    detector: CalibratedDetector | None = None
    gradient: Gradient = "exact"
    name: str = "victim"
    seed: int = 0
    oblivious: Tensor | None = None

    @cached_property
    def objective(self) -> DisruptionObjective:
        return build_objective(self.aim, self.G, self.clean.images, self.clean.conditions)

    @property
    def stochastic(self) -> bool:
        parts = (self.G, self.defense, self.detector.detector if self.detector is not None else None)
        return any(getattr(part, "stochastic", False) for part in parts)

    def rng(self, purpose: str) -> SampleRng:
        """A stream per image; who attacks and who judges never share one."""
        ids, device = self.clean.ids, self.clean.images.device
        return SampleRng(self.seed, f"checks/{purpose}/{self.name}", ids, device=device)

    # -- forward ----------------------------------------------------------------------------------------

    def output(self, x: Tensor, rng: SampleRng, *, rounded: bool = True) -> Tensor:
        """The defended output, `[B,3,H,W]`, with the best gradient that the declarations allow.

        Where the defense declares none, its backward pass is the identity's (BPDA, Athalye et al. 2018).
        Restored inputs are 8-bit images; the gradient passes the rounding.
        """
        c, G, defense = self.clean.conditions, self.G, self.defense
        if defense is None:
            return G(x, c)
        blind = self.gradient == "none"
        seen = x.detach() if blind else x
        with torch.set_grad_enabled(torch.is_grad_enabled() and not blind):
            soft = defense(seen, c, G, rng=rng.fork(0))
        hard = to_8bit(soft.detach()) if rounded else soft.detach()
        restored = straight_through(hard, x if blind else soft)
        if not hasattr(defense.component, "output"):
            return G(restored, c)
        if not blind:
            return defense.output(restored, x, c, G, rng=rng.fork(0))
        with torch.no_grad():
            y = defense.output(hard, seen, c, G, rng=rng.fork(0))
        return straight_through(y, G(restored, c)) if x.requires_grad else y

    def score(self, x: Tensor, rng: SampleRng) -> Tensor:
        """The detector's score above its threshold, `[B]`; 0 without a detector."""
        if self.detector is None:
            return torch.zeros(len(x), device=x.device)
        found = self.detector.detector
        extra: dict[str, Any] = {"rng": rng.fork(1)} if getattr(found, "stochastic", False) else {}
        return found(x, self.clean.conditions, self.G, **extra) - self.detector.threshold

    # -- backward ---------------------------------------------------------------------------------------

    def loss(self, x: Tensor, rng: SampleRng, *, rounded: bool = True) -> Tensor:
        """What is maximised, `[B]`, differentiable."""
        return self._aimed(self.output(x, rng, rounded=rounded))

    def ascent(self, x: Tensor, rng: SampleRng) -> tuple[Tensor, Tensor]:
        """(loss `[B]`, its gradient `[B,3,H,W]`) of one draw; zeros where nothing depends on x."""
        return _gradient(lambda v: self.loss(v, rng), x)

    def descent(self, x: Tensor, rng: SampleRng) -> tuple[Tensor, Tensor]:
        """(score `[B]`, its gradient `[B,3,H,W]`) of one draw; zeros where there is none.

        A detector that declares none is asked all the same: torch may see one.
        """
        try:
            return _gradient(lambda v: self.score(v, rng), x)
        except MagdrError:
            if self.gradient != "none":
                raise
            with torch.no_grad():
                return self.score(x, rng), torch.zeros_like(x)

    # -- judging ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def judge(self, x: Tensor, draws: int = 1) -> VictimResponse:
        """What attacked images `[B,3,H,W]` do, with randomness that no attack has seen; the mean over the
        draws."""
        rounds = [self._seen(x, k) for k in range(draws if self.stochastic else 1)]

        def mean(name: str) -> Tensor:
            return torch.stack([getattr(r, name) for r in rounds]).mean(0)

        return VictimResponse(mean("gain"), mean("cut"), mean("reached"), mean("score"))

    def _seen(self, x: Tensor, draw: int) -> VictimResponse:
        rng = self.rng("judge").fork(draw)
        with self.G.redraw(draw):
            y, score = self.output(x, rng), self.score(x, rng)
        unnoticed = (score <= 0).float()
        loss, before = self._aimed(y), self._unattacked(draw)
        missing = self.objective.success - before
        needed = torch.where(missing > 0, missing, torch.full_like(missing, SUCCESS))
        moved = (loss - before).clamp_min(0)
        return VictimResponse(
            gain=(loss - self._aimed(self.objective.reference)) * unnoticed,
            cut=torch.minimum(moved, needed) * unnoticed,
            reached=(moved > needed).float() * unnoticed,
            score=score,
        )

    def _unattacked(self, draw: int) -> Tensor:
        """The loss on clean images, `[B]`."""
        if draw not in self._before:
            with self.G.redraw(draw):
                clean = self.output(self.clean.images, self.rng("judge").fork(draw))
            self._before[draw] = self._aimed(clean)
        return self._before[draw]

    @cached_property
    def _before(self) -> dict[int, Tensor]:
        return {}

    def _aimed(self, y: Tensor) -> Tensor:
        target = self.objective.target
        return symmetric_mse(y, self.objective.reference) if target is None else -symmetric_mse(y, target)


def _gradient(f: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = f(x)
        if not value.requires_grad:  # cut: nothing depends on x as far as autograd can see
            return value.detach(), torch.zeros_like(x)
        (grad,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    return value.detach(), torch.zeros_like(x) if grad is None else grad.detach()
