"""AGGAN: StarGAN's conditions with an attention mask (Tang et al., IJCNN 2019, arXiv 1903.12296).

The layout and the state-dict keys are those of the multi-domain model in the authors' repository
(github.com/Ha0Tang/AttentionGAN, `AttentionGAN-v1-multi`), so that its checkpoints load: the generator of
StarGAN, whose last convolution gives four channels, an attention mask and a colour image without bounds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magdr_core.api import Condition, GeneratorSpec, Weights, hookimpl
from magdr_core.functional import clamp_inclusive

from ._backbone import Blocks, Size, Width, head, stages, with_condition
from .stargan import Attributes, StarGAN, loaded

MAGDR_API = 1


class AGGAN(StarGAN):
    """The generator. Where its attention is 1, the output is the colour image; where it is 0, the input.

    Args:
        attributes, width, blocks, size: as of :class:`.stargan.StarGAN`.
    """

    channels = 4

    def __init__(self, attributes: tuple[str, ...], *, width: int, blocks: int, size: int) -> None:
        super().__init__(attributes, width=width, blocks=blocks, size=size)
        self.main = nn.Sequential(*self.main[:-2], head(width, 4))

    @staticmethod
    def _heads(y: Tensor) -> tuple[Tensor, Tensor]:
        return (y[:, 1:] + 1) / 2, torch.sigmoid(y[:, :1])

    def heads(self, x: Tensor, c: Condition) -> tuple[Tensor, Tensor]:
        """(colour image `[B,3,H,W]`, without bounds; attention mask `[B,1,H,W]` in [0,1])."""
        return self._heads(self.main(with_condition(x, c, "AGGAN")))

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        colour, attention = self.heads(x, c)
        return clamp_inclusive(attention * colour + (1 - attention) * x)

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block (sides H, H/2 and H/4), then
        the colour image `[B,3,H,W]` without bounds and the attention mask `[B,1,H,W]` in [0,1]."""
        kept, y = stages(self.main, with_condition(x, c, "AGGAN"))
        return [*kept, *self._heads(y)]


def aggan(
    *,
    weights: Weights = "random",
    attributes: Attributes = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"),
    width: Width = 64,
    blocks: Blocks = 6,
    size: Size = 128,
) -> AGGAN:
    """Face editing by attribute labels that copies what its attention leaves out; the published layout.

    Args:
        weights: weight file, in the keys of the public implementation.
        attributes: names of the attributes, one condition entry each, in the order of the training.
        width: channels after the first convolution, as in the weight file (64 in the published models).
        blocks: residual blocks, as in the weight file (6 in the published models).
        size: native side of the pictures, in pixels.
    """
    net = AGGAN(attributes, width=width, blocks=blocks, size=size)
    return loaded(net, weights, width=width, blocks=blocks)


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="aggan",
            build=aggan,
            cite="Tang et al., Attention-Guided GANs, IJCNN 2019 (arXiv 1903.12296)",
            tags=("editing",),
        )
    ]
