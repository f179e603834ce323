"""One of several attacks per image, so that no single fixed filter can be right for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.api import AttackSpec, DataError, Eps, Need, Objective, SampleRng, hookimpl

MAGDR_API = 1


class Mixed:
    """Another attack for every image; `eps` is the largest strength among them.

    Which one is drawn by the image's own random stream.

    Args:
        attacks: attacks of which one is drawn for each image.
        eps: L-infinity bound in [0,1] units that none of them may exceed.

    Raises:
        DataError: one of the attacks goes beyond `eps`.
    """

    def __init__(self, *, attacks: Sequence[Any], eps: Eps = 6 / 255) -> None:
        strongest = max(float(getattr(a, "eps", 0.0)) for a in attacks)
        if eps + 1e-9 < strongest:
            raise DataError(f"eps is {eps:.4g}, but one of the mixed attacks goes up to {strongest:.4g}")
        self.attacks = list(attacks)

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        choice = rng.fork(0).integers(1, high=len(self.attacks))[:, 0]
        attacked = x.clone()
        for i, attack in enumerate(self.attacks):
            idx = torch.nonzero(choice == i).flatten()
            if len(idx):
                own = rng.fork(i + 1).select(idx)
                attacked[idx] = attack(x[idx], objective.select(idx), rng=own)
        return attacked


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(name="mixed", build=Mixed, stochastic=True, needs={"attacks": Need("attack", depth=1)})
    ]
