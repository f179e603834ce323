"""Restarts may only help: of a penalised mode's images the one with the higher loss is kept."""

import torch

from magdr_core.adaptive import AdaptiveAttack
from tests.adaptive.conftest import averages
from tests.adaptive.test_attack import LEVEL, off_mean

PENALTY = 0.3


def losses(pipeline, restarts: int) -> torch.Tensor:
    """Of the images that the penalised mode ends with, after a single step from each start."""
    options = {"detector": off_mean, "threshold": 2 * LEVEL}
    attack = AdaptiveAttack(
        pipeline(averages, 2, name="probe", **options),
        steps=1,
        restarts=restarts,
        queries=0,
        penalties=(PENALTY,),
    )
    target = pipeline(averages, 6, **options)
    found = attack(target).modes[attack.curve[PENALTY]].verdict
    return found.gain - PENALTY * found.excess.clamp_min(0)


def test_more_restarts_never_leave_a_penalised_mode_with_a_worse_image(pipeline):
    once, often = losses(pipeline, 1), losses(pipeline, 4)
    assert (often >= once - 1e-6).all()
