"""The paper's attack on its own detector: disruption that survives every image processing f_k (Eq. 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, ImageMap, Need, Objective, SampleRng, hookimpl
from magdr_core.functional import straight_through

from ._sign_steps import DEFAULT_STEP, Mean, sign_checkpoints

MAGDR_API = 1


class Eq3:
    """Disruption through every f_k, before or behind the generator (Eq. 3).

    Sign steps on the mean over k of the disruption seen through f_k; the best iterate per image. It knows the
    f_k and neither the scores nor the thresholds, so it is no attack on a whole defense.

    Args:
        augmentations: image processings f_k over which the loss is averaged.
        placement: `input`, `L(G(f_k(x),c), r)`, takes the f_k for what the text calls them, processings of
            the input; `output`, `L(f_k(G(x,c)), f_k(r))`, is the equation as printed.
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps, of K forward and backward passes each.
        step: step size in [0,1] units; 0 means eps / 5.
    """

    def __init__(
        self,
        *,
        augmentations: Sequence[ImageMap],
        placement: Literal["input", "output"] = "input",
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 30,
        step: Eps = 0.0,
    ) -> None:
        self.augmentations = list(augmentations)
        self.placement = placement
        self.eps = eps
        self.steps = steps
        self.step = step
        self.step_size = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        return self.checkpoints(x, objective, [self.steps], rng=rng)[0]

    def checkpoints(
        self, x: Tensor, objective: Objective, steps: Sequence[int], *, rng: SampleRng
    ) -> list[Tensor]:
        start = x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        seen = _Seen(objective, self.augmentations, self.placement, rng)
        return sign_checkpoints(start, x, seen, self.eps, steps, self.step)


class _Seen(Mean):
    """The mean of an objective over what the f_k make of input or output, drawn anew in every step."""

    def __init__(
        self, objective: Objective, augmentations: Sequence[ImageMap], placement: str, rng: SampleRng
    ) -> None:
        super().__init__(self._each)
        self.objective, self.augmentations, self.placement = objective, augmentations, placement
        self.rng = rng
        self.looks = 0

    def _each(self) -> list[Objective]:
        self.looks += 1
        place = self.objective.preprocessed if self.placement == "input" else self.objective.postprocessed
        draw = self.rng.fork(self.looks)
        return [place(_Passed(f, draw.fork(k))) for k, f in enumerate(self.augmentations)]


class _Passed:
    """An f_k with a gradient: its own where it has one, else the identity's (BPDA)."""

    def __init__(self, f: ImageMap, rng: SampleRng) -> None:
        self.f, self.rng = f, rng
        self.undo: Callable[[Tensor], Tensor] = getattr(f, "undo", lambda y: y)

    def __call__(self, x: Tensor) -> Tensor:
        # One map, one draw, however often it is called: output and reference must see the same noise.
        stochastic = getattr(self.f, "stochastic", False)
        y = self.f(x, rng=self.rng.fork(0)) if stochastic else self.f(x)  # type: ignore[call-arg]
        return y if y.requires_grad or not x.requires_grad else straight_through(y, x)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="eq3",
            build=Eq3,
            stochastic=True,
            needs={"augmentations": Need("augmentation", depth=1)},
            cite="Chen et al., MagDR, CVPR 2021, Eq. 3; BPDA: Athalye et al., ICML 2018",
        )
    ]
