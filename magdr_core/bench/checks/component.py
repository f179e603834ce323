"""The checks of one defense or detector: attacks through it that must behave as attacks do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from magdr_core.bench.checks import check as verdicts
from magdr_core.bench.checks.check import SanityCheck, if_seen
from magdr_core.bench.checks.engine import AttackEngine, black_box, noise
from magdr_core.bench.checks.gradient_check import gradient_check
from magdr_core.bench.checks.victim import Victim
from magdr_core.measures.statistics import Array

LONGER = 10
"""How many times the steps of the long attack."""


@dataclass(frozen=True)
class Effort:
    """How hard the checks attack.

    Attributes:
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps; ten times as many of the long attack.
        draws: samples of a random component's randomness per step, and per judgement.
    """

    eps: float
    steps: int
    draws: int


def component_checks(
    victim: Victim, engine: AttackEngine, effort: Effort, transferred: Tensor
) -> Iterator[SanityCheck]:
    """Every check of one component, one after the other.

    Args:
        transferred: `[n,3,H,W]`, what the same attack makes of the generator alone with the same eps and
            the steps of the long attack.
    """
    eps, steps, draws = effort.eps, effort.steps, effort.draws

    yield gradient_check(victim, eps)
    nothing = engine(victim, 0.0, [1], draws)[0]
    yield verdicts.nothing_at_zero(array((nothing - victim.clean.images).abs().flatten(1).amax(1)))
    everything = engine(victim, 1.0, [steps], draws)[0]
    blind = victim.gradient == "none"
    doubt = "with no gradient declared it is too weak to say more" if blind else ""
    if victim.detector is not None:
        doubt = "a few steps have to find what is disrupted and unsuspected at once"
    reached = array(victim.judge(everything, draws).reached)
    yield verdicts.everything_at_one(reached, doubt=doubt)

    few = max(1, steps // 4)
    runs = engine(victim, eps, [few, steps, LONGER * steps], draws)
    after_few, base, after_many = (victim.judge(images, draws) for images in runs)
    half, double = (engine(victim, s, [steps], draws)[0] for s in (eps / 2, min(1.0, 2 * eps)))
    own = array(base.gain)
    seen = bool((reached > 0).any() or (array(after_many.cut) > verdicts.FLOOR).any())

    def gained(images: Tensor) -> Array:
        return array(victim.judge(images, draws).gain)

    what = f"eps {levels(eps)} against {levels(eps / 2)}"
    yield if_seen(verdicts.not_weaker("monotone in eps", gained(half), own, what), seen)
    what = f"eps {levels(2 * eps)} against {levels(eps)}"
    yield if_seen(verdicts.not_weaker("monotone in eps, doubled", own, gained(double), what), seen)
    what = f"{steps} steps against {few}"
    yield if_seen(verdicts.not_weaker("monotone in steps", array(after_few.gain), own, what), seen)
    what = f"up to the aim, {LONGER * steps} steps"
    yield if_seen(verdicts.converged("10x steps", array(base.cut), array(after_many.cut), what), seen)
    most = array(after_many.gain)
    rivals = (
        ("noise", "random noise", noise(victim, eps)),
        ("random search", "random search", black_box(victim, eps, 2 * steps)),
        ("transfer", "the oblivious attack", transferred),
    )
    for name, what, images in rivals:
        name = f"white-box against {name}"
        found = verdicts.not_beaten(name, most, gained(images), f"against {what}", blind=blind)
        yield if_seen(found, seen)
    if victim.stochastic:
        more = victim.judge(engine(victim, eps, [steps], 2 * draws)[0], draws)
        what = f"up to the aim, {2 * draws} samples"
        found = verdicts.converged("EOT at 2x samples", array(base.cut), array(more.cut), what)
        yield if_seen(found, seen)


def number_of_checks(stochastic: bool) -> int:
    """How many checks a component has."""
    return 11 if stochastic else 10


def passes_per_image(effort: Effort, own: float, *, stochastic: bool, step: float) -> float:
    """About how many passes through the generator the checks of one component take per image.

    Args:
        own: passes of one forward run of the component, output included.
        step: of one step of the attack, on one draw.
    """
    draws = effort.draws if stochastic else 1
    gradient_steps = effort.steps * (LONGER + 3) + 2 + (2 * effort.steps if stochastic else 0)
    return gradient_steps * draws * step + (2 * effort.steps + 12 * draws) * own


def array(values: Tensor) -> Array:
    """A tensor of any shape as float64 numbers of numpy."""
    return np.asarray(values.detach().double().cpu())


def levels(eps: float) -> str:
    return f"{eps * 255:.3g}/255"
