"""Blur before the generator, and where there is one an adversarially trained generator in its place.

Ruiz, Bargal and Sclaroff, Disrupting Deepfakes, ECCV workshops 2020 (arXiv 2003.01279;
github.com/natanielruiz/disrupting-deepfakes): the strongest of their defenses blurs the input (Gaussian, 11
taps, sigma 1.5) and runs a StarGAN that was trained on attacked images. `builtin:stargan-hardened64` is one,
trained with two long steps an image from the shipped editor; `magdr train stargan-adversarial64` is the
published schedule, whose weights are not shipped. Without either this defense is the blur alone.

The authors' blur pads with zeros, which darkens a frame of five pixels; `border = "mirror"` does not.
"""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, Need, hookimpl
from magdr_core.functional import gaussian_blur

MAGDR_API = 1

TRUNCATE = 3.5
"""The kernel ends at 3.5 sigma: 11 taps at the published sigma of 1.5."""

Border = Literal["mirror", "zero"]


class AdversarialTraining:
    """Gaussian blur, then an adversarially trained generator if one is named; else the blur alone.

    Args:
        generator: generator that was trained on attacked images; none for the blur alone.
        sigma: standard deviation of the blur before it, in pixels; 0 for none.
        border: how the picture goes on beyond its border, for the blur.
    """

    def __init__(
        self,
        *,
        generator: Generator | None,
        sigma: Annotated[float, Field(ge=0, le=5)] = 1.5,
        border: Border = "mirror",
    ) -> None:
        self.generator = generator
        self.sigma = sigma
        self.border = border

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same. Measures of inputs see the blur only."""
        if not self.sigma:
            return x.clone()
        if self.border == "mirror":
            return gaussian_blur(x, self.sigma, truncate=TRUNCATE)
        reach = int(TRUNCATE * self.sigma + 0.5)
        padded = F.pad(x, (reach, reach, reach, reach))
        blurred = gaussian_blur(padded, self.sigma, truncate=TRUNCATE)
        return blurred[..., reach:-reach, reach:-reach]

    def output(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """The second generator on the blurred input; G where there is none or its conditions are others.

        A registry with several tasks has one such defense: it blurs for all of them and replaces the
        generator of its own task.
        """
        second = self.generator
        own = second is not None and tuple(second.condition_names) == tuple(G.condition_names)
        return (second if second is not None and own else G)(self(x, c, G), c)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="adversarial-training",
            build=AdversarialTraining,
            needs={"generator": Need("generator", optional=True)},
            gradient="exact",
            cite="Ruiz et al., Disrupting Deepfakes, ECCV workshops 2020 (arXiv 2003.01279)",
            tags=("baseline",),
        )
    ]
