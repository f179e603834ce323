"""Random sign noise of the attack's strength: the baseline that no detector may confuse with an attack."""

from __future__ import annotations

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Objective, SampleRng, hookimpl, stateless

MAGDR_API = 1


def noise(x: Tensor, objective: Objective, *, rng: SampleRng, eps: Eps = 6 / 255) -> Tensor:
    """Each channel of each pixel moved by +eps or -eps at random, clipped to [0,1].

    Args:
        eps: size of every change, in [0,1] units.
    """
    return (x + eps * rng.sign(*x.shape[1:])).clamp(0, 1)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [AttackSpec(name="noise", build=stateless(noise), stochastic=True, tags=("baseline",))]
