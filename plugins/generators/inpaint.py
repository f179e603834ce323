"""An inpainting network: it fills a rectangle of the face that it is not shown (Pathak et al., CVPR 2016).

As in context encoders (arXiv 1604.07379) the network sees the picture without the rectangle, and where that
is (as in Iizuka et al., SIGGRAPH 2017); outside of it the output is the input. Which rectangle, is the
condition.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from magdr_core.api import (
    Batch,
    Condition,
    DataError,
    Field,
    GeneratorSpec,
    SampleRng,
    Weights,
    hookimpl,
    load_state,
)
from magdr_core.functional import constant

from ._backbone import Blocks, Size, backbone, head, stages
from ._regions import EditsByCondition

MAGDR_API = 1

AREAS: dict[str, tuple[tuple[float, float, float, float], tuple[str, ...]]] = {
    "Fill_Eyes": ((0.32, 0.18, 0.58, 0.82), ("skin", "brows", "eyes", "glasses", "nose")),
    "Fill_Mouth": ((0.56, 0.24, 0.88, 0.76), ("skin", "nose", "mouth")),
    "Fill_Half": ((0.16, 0.50, 0.90, 0.88), ("skin", "brows", "eyes", "glasses", "nose", "mouth")),
}
"""By condition the rectangle, as top, left, bottom and right in shares of the side, and the parts in it: of a
face cut, whose oval is about .63 of the side."""


class Inpainter(EditsByCondition):
    """Fills the rectangles that the condition names, one or several; outside of them it changes nothing.

    Args:
        width: channels after the first convolution.
        blocks: residual blocks.
        size: native side; any multiple of 4 from 16 on works.
    """

    condition_names: tuple[str, ...] = tuple(AREAS)
    additive = True

    def __init__(self, *, width: int, blocks: int, size: int) -> None:
        super().__init__([names for _, names in AREAS.values()])
        self.size = size
        self.main = nn.Sequential(*backbone(1, width=width, blocks=blocks), head(width, 3), nn.Tanh())

    @staticmethod
    def missing(c: Condition, side: int) -> Tensor:
        """1 where the picture is to be filled, else 0: `[B,1,side,side]` for B conditions."""
        places = (torch.arange(side, device=c.values.device) + 0.5) / side
        areas = []
        for (top, left, bottom, right), _ in AREAS.values():
            rows, columns = (places >= top) & (places < bottom), (places >= left) & (places < right)
            areas.append(rows[:, None] & columns)
        chosen = (c.values > 0.5)[:, :, None, None] & torch.stack(areas)
        return chosen.any(1, keepdim=True).to(c.values)

    def _input(self, x: Tensor, missing: Tensor) -> Tensor:
        if x.shape[2] != x.shape[3] or x.shape[2] % 4:
            raise DataError(
                f"the inpainter takes squares whose side is a multiple of 4, got {tuple(x.shape[2:])}"
            )
        return torch.cat([(2 * x - 1) * (1 - missing), missing], 1)

    def heads(self, x: Tensor, c: Condition) -> tuple[Tensor, Tensor]:
        """(what it would fill in everywhere, `[B,3,H,W]` in [0,1]; 1 where the input stays, `[B,1,H,W]`)."""
        missing = self.missing(c, x.shape[3]).to(x)
        return (self.main(self._input(x, missing)) + 1) / 2, 1 - missing

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        filled, stays = self.heads(x, c)
        return stays * x + (1 - stays) * filled

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block: sides H, H/2 and H/4."""
        return stages(self.main, self._input(x, self.missing(c, x.shape[3]).to(x)))[0]

    def asked(self, c: Condition) -> Tensor:
        """Bool `[B,C]`: the rectangles that are to be filled."""
        return c.values > 0.5

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One rectangle per image, each equally likely."""
        chosen = rng.integers(1, high=len(AREAS))
        asked = constant(list(range(len(AREAS))), chosen.device) == chosen
        return Condition(asked.float(), asked)

    def classes(self, c: Condition) -> list[Condition]:
        """Each rectangle alone, for the same faces."""
        found = []
        for row in range(len(AREAS)):
            values = torch.zeros_like(c.values)
            values[:, row] = 1.0
            found.append(Condition(values, values > 0))
        return found


def inpaint(
    *,
    weights: Weights = "random",
    width: Annotated[int, Field(ge=4, le=128)] = 16,
    blocks: Blocks = 4,
    size: Size = 64,
) -> Inpainter:
    """Fills the eyes, the mouth or one half of a face from what is around.

    Args:
        weights: weight file; `random` is an untrained network.
        width: channels after the first convolution, as in the weight file.
        blocks: residual blocks, as in the weight file.
        size: native side of the pictures, in pixels.
    """
    net = Inpainter(width=width, blocks=blocks, size=size)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="inpaint",
            build=inpaint,
            cite="Pathak et al., Context Encoders, CVPR 2016 (arXiv 1604.07379)",
            tags=("inpainting",),
        )
    ]
