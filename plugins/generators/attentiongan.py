"""AttentionGAN, version 2: translation between two domains with ten attention masks (Tang et al., TNNLS 2021,
arXiv 1911.11897).

The layout and the state-dict keys are those of the authors' repository (github.com/Ha0Tang/AttentionGAN,
`ResnetGenerator_our`), so that its `latest_net_G_A.pth` loads; norms use instance statistics always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    Condition,
    DataError,
    GeneratorSpec,
    Weights,
    hookimpl,
    load_state,
)

from ._backbone import Blocks, Size, Width
from ._regions import Unconditional
from .cyclegan import TARGET

MAGDR_API = 1

IMAGES = 9
"""Colour images that the network paints; the tenth mask is the input's."""


def _mirrored(x: Tensor, border: int) -> Tensor:
    return F.pad(x, (border,) * 4, mode="reflect")


class Block(nn.Module):
    """Two 3x3 convolutions with reflected borders, and the identity; no ReLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3)
        self.conv2 = nn.Conv2d(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.instance_norm(self.conv1(_mirrored(x, 1))))
        return x + F.instance_norm(self.conv2(_mirrored(y, 1)))


class AttentionGAN(Unconditional):
    """One direction of a pair of generators. It takes no condition (C = 0).

    Args:
        width: channels after the first convolution (64 in the published models).
        blocks: residual blocks (9 in the published models).
        size: native side; any multiple of 4 from 16 on works.
    """

    def __init__(self, *, width: int, blocks: int, size: int) -> None:
        super().__init__(TARGET)
        self.size = size
        self.conv1 = nn.Conv2d(3, width, 7)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, 2, 1)
        self.resnet_blocks = nn.Sequential(*(Block(4 * width) for _ in range(blocks)))
        for branch in ("content", "attention"):
            for i, w in ((1, 4 * width), (2, 2 * width)):
                up = nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1)
                self.add_module(f"deconv{i}_{branch}", up)
        self.deconv3_content = nn.Conv2d(width, 3 * IMAGES, 7)
        self.deconv3_attention = nn.Conv2d(width, IMAGES + 1, 1)

    def _encoded(self, x: Tensor) -> list[Tensor]:
        """Sides H, H/2, H/4, and H/4 again after the blocks."""
        height, width = x.shape[2:]
        if height % 4 or width % 4 or min(height, width) < 16:
            raise DataError(
                f"AttentionGAN takes sides that are multiples of 4 from 16 on, got {height, width}"
            )
        y = [F.relu(F.instance_norm(self.conv1(_mirrored(2 * x - 1, 3))))]
        for conv in (self.conv2, self.conv3):
            y.append(F.relu(F.instance_norm(conv(y[-1]))))
        return [*y, self.resnet_blocks(y[-1])]

    def _enlarged(self, y: Tensor, branch: str) -> Tensor:
        for i in (1, 2):
            y = F.relu(F.instance_norm(self.get_submodule(f"deconv{i}_{branch}")(y)))
        return y

    def _heads(self, y: Tensor) -> tuple[Tensor, Tensor]:
        content = self.deconv3_content(_mirrored(self._enlarged(y, "content"), 3))
        painted = (torch.tanh(content).unflatten(1, (IMAGES, 3)) + 1) / 2
        return painted, self.deconv3_attention(self._enlarged(y, "attention")).softmax(1)

    def heads(self, x: Tensor, c: Condition) -> tuple[Tensor, Tensor]:
        """(the nine images `[B,9,3,H,W]` in [0,1], ten attention masks `[B,10,H,W]` that sum to 1).

        The last mask is the input's share.
        """
        return self._heads(self._encoded(x)[-1])

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        painted, attention = self.heads(x, c)
        return (painted * attention[:, :IMAGES, None]).sum(1) + x * attention[:, IMAGES:]

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block (sides H, H/2 and H/4), then
        the ten attention masks `[B,10,H,W]`."""
        first, second, _, last = self._encoded(x)
        return [first, second, last, self._heads(last)[1]]


_BLOCK = re.compile(r"resnet_blocks\.\d+\.conv2\.weight")


def made_with(state: Mapping[str, Tensor], *, width: int, blocks: int) -> str:
    """What a state dict that does not fit was made with, for the message.

    Args:
        width, blocks: of the network that it does not fit.

    Returns:
        A sentence without its full stop; empty if that cannot be told, or is the same.
    """
    if "conv1.weight" not in state:
        return 'It is of another network; for a CycleGAN\'s file, use = "cyclegan"'
    blocks_there = sum(_BLOCK.fullmatch(key) is not None for key in state)
    found = {"width": state["conv1.weight"].shape[0], "blocks": blocks_there}
    wanted = [f"{k} = {v}" for k, v in found.items() if v != {"width": width, "blocks": blocks}[k]]
    return f"The file was made with {', '.join(wanted)}" if wanted else ""


def attentiongan(
    *,
    weights: Weights = "random",
    width: Width = 64,
    blocks: Blocks = 9,
    size: Size = 256,
) -> AttentionGAN:
    """Translation from one domain to another (a face swap between two persons, say); the published layout.

    Args:
        weights: weight file, in the keys of the public implementation.
        width: channels after the first convolution, as in the weight file (64 in the published models).
        blocks: residual blocks, as in the weight file (9 in the published models).
        size: native side of the pictures, in pixels.
    """
    net = AttentionGAN(width=width, blocks=blocks, size=size)
    load_state(net, weights, remedy=lambda state: made_with(state, width=width, blocks=blocks))
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="attentiongan",
            build=attentiongan,
            cite="Tang et al., AttentionGAN, TNNLS 2021 (arXiv 1911.11897)",
            tags=("replacement",),
            objective="towards-input",  # as of CycleGAN: the swap does not happen
        )
    ]
