"""CycleGAN's generator: face replacement between two persons (Zhu et al., ICCV 2017, arXiv 1703.10593).

The layout and the state-dict keys are those of the public implementation
(github.com/junyanz/pytorch-CycleGAN-and-pix2pix, `resnet_9blocks` and `resnet_6blocks` with instance norms),
so that its checkpoints load; norms use instance statistics always, as that implementation does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from magdr_core.api import (
    Condition,
    DataError,
    GeneratorSpec,
    Weights,
    hookimpl,
    load_state,
)

from ._backbone import STALE_KEYS, Blocks, Size, Width
from ._regions import Unconditional

MAGDR_API = 1

# The target region M_c: the face, without hair, neck, cloth, background and hat.
TARGET = ("skin", "brows", "eyes", "glasses", "ears", "nose", "mouth")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with reflected borders, and the identity; no ReLU after the sum.

    With `dropout` an idle layer sits between the two: published weights count it in their keys, and it does
    nothing once a network is trained.
    """

    def __init__(self, width: int, dropout: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            *([nn.Identity()] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class CycleGAN(Unconditional):
    """One direction of a pair of generators, A to B. It takes no condition (C = 0).

    Args:
        width: channels after the first convolution (64 in the published models).
        blocks: residual blocks (9 in the published models for 256 px, 6 for 128 px).
        dropout: the weights were trained with dropout, so that a block's second convolution is number 6.
        size: native side; any multiple of 4 from 8 on works.
    """

    def __init__(self, *, width: int, blocks: int, dropout: bool, size: int) -> None:
        super().__init__(TARGET)
        self.size = size
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, width, 7),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        for w in (width, 2 * width):
            layers += [
                nn.Conv2d(w, 2 * w, 3, 2, 1),
                nn.InstanceNorm2d(2 * w),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(4 * width, dropout) for _ in range(blocks)]
        for w in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1),
                nn.InstanceNorm2d(w // 2),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def _input(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height % 4 or width % 4 or min(height, width) < 8:
            raise DataError(f"CycleGAN takes sides that are multiples of 4 from 8 on, got {(height, width)}")
        return 2 * x - 1

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        return (self.model(self._input(x)) + 1) / 2

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block: sides H, H/2 and H/4."""
        y = self._input(x)
        kept: list[Tensor] = []
        for layer in self.model:
            y = layer(y)
            if isinstance(layer, ResidualBlock):
                kept[2:] = [y]
            elif isinstance(layer, nn.ReLU) and len(kept) < 2:
                kept.append(y)
        return kept


_SECOND = re.compile(r"model\.\d+\.conv_block\.(5|6)\.weight")
"""The second convolution of a residual block; its number tells of the idle layer before it."""


def made_with(state: Mapping[str, Tensor], *, width: int, blocks: int, dropout: bool) -> str:
    """What a state dict that does not fit was made with, for the message: the parameters to write.

    Args:
        width, blocks, dropout: of the network that it does not fit.

    Returns:
        A sentence without its full stop; empty if that cannot be told, or is the same.
    """
    numbers = [match[1] for key in state if (match := _SECOND.fullmatch(key))]
    if not numbers:
        return "It is of another network: a discriminator, or a U-Net generator?"
    given = {"width": width, "blocks": blocks, "dropout": dropout}
    found = {"width": state["model.1.weight"].shape[0], "blocks": len(numbers), "dropout": "6" in numbers}
    wanted = [f"{k} = {str(v).lower()}" for k, v in found.items() if v != given[k]]
    return f"The file was made with {', '.join(wanted)}" if wanted else ""


def cyclegan(
    *,
    weights: Weights = "builtin:cyclegan-faces64",
    width: Width = 32,
    blocks: Blocks = 4,
    dropout: bool = False,
    size: Size = 64,
) -> CycleGAN:
    """Face replacement, identity A by B; the default weights know two drawn persons at 64 px.

    Args:
        weights: weight file, in the keys of the public implementation.
        width: channels after the first convolution, as in the weight file (64 in the published
            models).
        blocks: residual blocks, as in the weight file (9 in the published models for 256 px, 6 for
            128 px).
        dropout: whether the weights were trained with dropout, which numbers their keys otherwise.
        size: native side of the pictures, in pixels.
    """
    net = CycleGAN(width=width, blocks=blocks, dropout=dropout, size=size)
    load_state(
        net,
        weights,
        stale=STALE_KEYS,
        remedy=lambda state: made_with(state, width=width, blocks=blocks, dropout=dropout),
    )
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="cyclegan",
            build=cyclegan,
            cite="Zhu et al., CycleGAN, ICCV 2017 (arXiv 1703.10593)",
            tags=("replacement",),
            objective="towards-input",  # MagDR's attack on replacement: the swap does not happen
        )
    ]
