"""The attack that hides forgeries by blur, for `evasions` of a profile."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, hookimpl
from magdr_core.functional import project_linf

from ._pixel_blur import PixelBlur

MAGDR_API = 1


class BlurWithin:
    """Each pixel blurred by a width that is searched for, within 3x3 pixels.

    What bounds it is the strongest blur that a pixel may get; the ball is as wide as the range, unless it is
    asked for a narrower one.

    Args:
        eps: L-infinity bound in [0,1] units, kept after the blur; 1 is none.
        s_min: least precision of a pixel's blur, its strongest one: 1 weighs a 3x3 window's middle 1
            and its corners .37, 0 takes the mean.
        steps: gradient steps of the search.
    """

    def __init__(
        self,
        *,
        eps: Eps = 1.0,
        s_min: Annotated[float, Field(ge=0, le=100)] = 1.0,
        steps: Annotated[int, Field(ge=1, le=1000)] = 12,
    ) -> None:
        self.eps = eps
        self.search = PixelBlur(s_min=s_min, steps=steps)

    def __call__(self, x: Tensor, objective: Objective) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        return project_linf(self.search(x, objective), x, self.eps)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="pixel-blur",
            build=BlurWithin,
            cite="Wang, Guo, Zuo, Deepfake Forensics via An Adversarial Game, IEEE TIP 2022",
        )
    ]
