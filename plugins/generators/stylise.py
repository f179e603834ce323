"""A feed-forward stylising network: pictures as drawings (Johnson et al., ECCV 2016, arXiv 1603.08155).

The layout is that paper's: reflected borders, two strided convolutions, residual blocks, and convolutions
after enlarging by nearest neighbours (Odena et al., Distill 2016), which leave no chequers. Norms are
instance norms (Ulyanov et al., arXiv 1607.08022). It is small, and learns a classical stylisation
(`magdr train stylise64`), so no other network's features are needed.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from magdr_core.api import (
    Condition,
    DataError,
    Field,
    GeneratorSpec,
    Weights,
    hookimpl,
    load_state,
)
from magdr_core.functional import PARTS

from ._backbone import Blocks, ResidualBlock, Size, stages
from ._regions import Unconditional

MAGDR_API = 1


def _layer(inp: int, out: int, side: int, stride: int = 1) -> list[nn.Module]:
    """Reflected borders, a convolution, a norm and a ReLU."""
    return [
        nn.ReflectionPad2d(side // 2),
        nn.Conv2d(inp, out, side, stride, bias=False),
        nn.InstanceNorm2d(out, affine=True),
        nn.ReLU(inplace=True),
    ]


class Styliser(Unconditional):
    """A picture in, a drawing of it out; it takes no condition (C = 0) and changes all of the picture.

    Args:
        width: channels after the first convolution.
        blocks: residual blocks.
        size: native side; any multiple of 4 from 16 on works.
    """

    def __init__(self, *, width: int, blocks: int, size: int) -> None:
        super().__init__(PARTS)
        self.size = size
        self.main = nn.Sequential(
            *_layer(3, width, 9),
            *_layer(width, 2 * width, 3, 2),
            *_layer(2 * width, 4 * width, 3, 2),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_layer(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2, mode="nearest"),
            *_layer(2 * width, width, 3),
            nn.ReflectionPad2d(4),
            nn.Conv2d(width, 3, 9),
            nn.Tanh(),
        )

    @staticmethod
    def _input(x: Tensor) -> Tensor:
        if x.shape[2] % 4 or x.shape[3] % 4:
            raise DataError(f"the styliser takes sides that are multiples of 4, got {tuple(x.shape[2:])}")
        return 2 * x - 1

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        return (self.main(self._input(x)) + 1) / 2

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block: sides H, H/2 and H/4."""
        return stages(self.main, self._input(x))[0]


def stylise(
    *,
    weights: Weights = "random",
    width: Annotated[int, Field(ge=4, le=128)] = 16,
    blocks: Blocks = 4,
    size: Size = 64,
) -> Styliser:
    """Pictures as drawings: few tones, strong colours, dark outlines.

    Args:
        weights: weight file; `random` is an untrained network.
        width: channels after the first convolution, as in the weight file.
        blocks: residual blocks, as in the weight file.
        size: native side of the pictures, in pixels.
    """
    net = Styliser(width=width, blocks=blocks, size=size)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="stylise",
            build=stylise,
            cite="Johnson et al., Perceptual Losses for Style Transfer, ECCV 2016 (arXiv 1603.08155)",
            tags=("stylising",),
        )
    ]
