"""Attack on what a generator's encoder makes of an image (PhotoGuard: Salman et al., ICML 2023,
arXiv 2302.06588, the encoder attack).

The published one is on the encoder of a latent diffusion model, towards the code of another image or of none.
Here it is on any generator that has `features`: the deepest of them is the code. Where that does not depend
on the condition, one perturbation disturbs every edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl

from ._sign_steps import DEFAULT_STEP, sign_checkpoints

MAGDR_API = 1


class Encoder:
    """Sign steps on the code of an image, best iterate kept; the output is not looked at.

    Args:
        aim: `away` from the clean image's code, or towards `zero`.
        layer: number of the generator's features, finest first; -1 is the deepest.
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps.
        step: step size in [0,1] units; 0 means eps / 5.
    """

    def __init__(
        self,
        *,
        aim: Literal["away", "zero"] = "away",
        layer: Annotated[int, Field(ge=-64, le=64)] = -1,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 30,
        step: Eps = 0.0,
    ) -> None:
        self.aim, self.layer = aim, layer
        self.eps, self.steps, self.step = eps, steps, step
        self.step_size = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1].

        Raises:
            ComponentError: the generator has no such features.
        """
        return self.checkpoints(x, objective, [self.steps], rng=rng)[0]

    def checkpoints(
        self, x: Tensor, objective: Objective, steps: Sequence[int], *, rng: SampleRng
    ) -> list[Tensor]:
        code = objective.encoded(self.layer, away=self.aim == "away")
        start = x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        return sign_checkpoints(start, x, code, self.eps, steps, self.step)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="encoder",
            build=Encoder,
            stochastic=True,
            cite="Salman et al., Raising the Cost of Malicious AI-Powered Image Editing, ICML 2023 "
            "(arXiv 2302.06588)",
        )
    ]
