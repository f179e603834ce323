"""ResNet-18 at any width (He et al., CVPR 2016), with the activations that detectors look at."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def _norm_conv(inp: int, out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inp, out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out),
    )


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = _norm_conv(inp, out, 3, stride)
        self.second = _norm_conv(out, out, 3, 1)
        self.shortcut = nn.Identity() if (inp, stride) == (out, 1) else _norm_conv(inp, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Module):
    """Images `[B,3,H,W]` in [0,1] -> logits `[B,outputs]`.

    The stem follows the picture, as is usual: 3x3 without stride under 96 px (the CIFAR variant with a pool
    after it, so that 64 px cost what they should), 7x7 with stride 2 from there on.

    Args:
        width: channels of the first stage (64 as published); they double per stage.
        outputs: logits.
        size: side of the pictures.
        blocks: per stage.
    """

    def __init__(self, width: int, outputs: int, size: int, blocks: int = 2) -> None:
        super().__init__()
        self.stem = _norm_conv(3, width, 3, 1) if size < 96 else _norm_conv(3, width, 7, 2)
        self.stages = nn.ModuleList()
        inp = width
        for i in range(4):
            out = width * 2**i
            stage = [Block(inp if j == 0 else out, out, 2 if i and j == 0 else 1) for j in range(blocks)]
            self.stages.append(nn.Sequential(*stage))
            inp = out
        self.head = nn.Linear(inp, outputs)

    def activations(self, x: Tensor) -> list[Tensor]:
        """Each stage's output averaged over the picture, the stem's first: `[B,C]` each."""
        y = F.max_pool2d(F.relu(self.stem(2 * x - 1)), 3, 2, 1)
        kept = [y]
        for stage in self.stages:
            kept.append(stage(kept[-1]))
        return [k.mean((2, 3)) for k in kept]

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.activations(x)[-1])

    def logits(self, h: Tensor) -> Tensor:
        """The head on last activations `[B,C]`. Summed in a fixed order: a matrix product's depends on B."""
        return (h[:, None] * self.head.weight).sum(2) + self.head.bias


class BinaryResNet(ResNet):
    """The same with one logit per image, `[B]`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze(1)
