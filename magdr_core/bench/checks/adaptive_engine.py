"""The adaptive attack of the tables as the checks' attack: its gradient modes, without what it starts from.

It begins at random points, and neither the oblivious images nor a search join it. So it can lose to those,
which is what the checks ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from magdr_core.adaptive import AdaptiveAttack, Target
from magdr_core.adaptive.attack import NAME, VERSION
from magdr_core.bench.checks.engine import Nature, noise
from magdr_core.bench.checks.victim import Victim
from magdr_core.components.batch import Samples
from magdr_core.functional import project_linf, round_toward

PROBED = 4
"""Of the victim's own faces, on which gradients are tried: the checks have no others."""

PROBED_AT = 6 / 255
"""The strength at which they are: at strength 0 there is nothing to see."""

_known: WeakKeyDictionary[Victim, dict[int, AdaptiveAttack]] = WeakKeyDictionary()


class AdaptiveEngine:
    """The adaptive attack as an :class:`~magdr_core.bench.checks.engine.AttackEngine`: what a component
    declares is tried and not believed, and every number of steps is a run of its own."""

    name = f"{NAME}-{VERSION}"

    def step(self, own: float, nature: Nature) -> float:
        if nature == "chooser":
            return own + 40  # five modes, which look its choice up every five steps
        # One mode; without a gradient also queries, which ask for the score sixteen times a step.
        return {"detector": 2 * own, "blind detector": 20 * own + 8, "defense": 2 * own + 4}[nature]

    def __call__(self, victim: Victim, eps: float, at: Sequence[int], draws: int) -> list[Tensor]:
        """The best images found after each number of steps in `at`, `[B,3,H,W]` each, 8-bit and in the ball.

        Args:
            eps: the ball, in [0,1] units.
            draws: of a stochastic victim, whose mean is attacked.
        """
        attacks = _known.setdefault(victim, {})
        if draws not in attacks:
            probe = _target(victim, victim.clean[:PROBED], PROBED_AT, draws)
            attacks[draws] = AdaptiveAttack(probe, penalties=(), queries=0)
        target = _target(victim, victim.clean, eps, draws)
        return [attacks[draws].unaided(target, steps) for steps in at]


def _target(victim: Victim, clean: Samples, eps: float, draws: int) -> Target:
    rows = torch.arange(len(clean), device=clean.images.device)
    start = noise(victim, eps) if victim.oblivious is None else victim.oblivious
    found = victim.detector
    guarded: Any = None if found is None else found.detector
    return Target(
        victim.G,
        clean,
        victim.objective.select(rows),
        round_toward(project_linf(start[rows], clean.images, eps), clean.images),
        eps,
        detector=guarded,
        threshold=0.0 if found is None else found.threshold,
        defense=victim.defense,
        rng=victim.rng("attack").select(rows),
        draws=draws,
    )
