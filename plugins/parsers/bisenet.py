"""BiSeNet face parser (Yu et al., ECCV 2018, arXiv 1808.00897), in the variant that public face work uses.

Layout and state-dict keys are those of github.com/zllrunning/face-parsing.PyTorch, so that its
`79999_iter.pth` loads: no spatial path (the ResNet's stride-8 stage takes its place), 19 classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import Field, ParserSpec, Weights, hookimpl, load_state
from magdr_core.functional import CLASSES, merge_classes, resize, resize_masks

from ._resnet18 import ConvNorm, ResNet18

MAGDR_API = 1

# ImageNet's channel statistics, which the public weights were trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Attention(nn.Module):
    """Attention refinement (section 3.2): features weighed by a sigmoid of their own global mean."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inp, out, 3)
        self.conv_atten = nn.Conv2d(out, out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y * self.bn_atten(self.conv_atten(_global_mean(y))).sigmoid()


class ContextPath(nn.Module):
    """ResNet-18 whose two deepest stages are refined and brought up to a side of 1/8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet = ResNet18(width)
        self.arm16 = Attention(4 * width, 2 * width)
        self.arm32 = Attention(8 * width, 2 * width)
        self.conv_head32 = ConvNorm(2 * width, 2 * width, 3)
        self.conv_head16 = ConvNorm(2 * width, 2 * width, 3)
        self.conv_avg = ConvNorm(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stride-8 stage, and the context at strides 8 and 16."""
        _, fine, middle, coarse = self.resnet(x)
        y = self.arm32(coarse) + self.conv_avg(_global_mean(coarse))
        context16 = self.conv_head32(_nearest(y, middle))
        context8 = self.conv_head16(_nearest(self.arm16(middle) + context16, fine))
        return fine, context8, context16


class Fusion(nn.Module):
    """Feature fusion (section 3.2): joins detail and context, and raises the channels that matter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convblk = ConvNorm(width, width, 1)
        self.conv1 = nn.Conv2d(width, width // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(width // 4, width, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        y = self.convblk(torch.cat([detail, context], 1))
        return y + y * self.conv2(self.conv1(_global_mean(y)).relu()).sigmoid()


class Head(nn.Module):
    """Class logits."""

    def __init__(self, inp: int, middle: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inp, middle, 3)
        self.conv_out = nn.Conv2d(middle, len(CLASSES), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Soft masks over `PARTS`.

    Args:
        width: channels after the first convolution (64 in the published model: 13,300,416 parameters).
        working_size: side that images are brought to (512 for the published weights), a multiple of 32.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, width: int, working_size: int) -> None:
        super().__init__()
        self.working_size = working_size
        self.cp = ContextPath(width)
        self.ffm = Fusion(4 * width)
        self.conv_out = Head(4 * width, 4 * width)
        self.conv_out16 = Head(2 * width, width)
        self.conv_out32 = Head(2 * width, width)
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(value).reshape(3, 1, 1), persistent=False)

    def _input(self, x: Tensor) -> Tensor:
        if x.shape[2:] != (self.working_size, self.working_size):
            x = resize(x, self.working_size, mode="bilinear")
        return (x - self.mean) / self.std

    def _heads(self, y: Tensor) -> Iterator[Tensor]:
        """Class logits of the main head, at 1/8, and of the auxiliary ones, at 1/8 and 1/16.

        One after the other: use takes the first and never computes the rest.
        """
        detail, context8, context16 = self.cp(y)
        yield self.conv_out(self.ffm(detail, context8))
        yield self.conv_out16(context8)
        yield self.conv_out32(context16)

    def logits(self, x: Tensor) -> tuple[Tensor, ...]:
        """What training looks at: the logits of all three heads over `PARTS`, `[B,N,H,W]` each.

        They are brought to the image's size by the same two steps as the masks, but before the softmax,
        which spares training the large tensors between the steps.
        """
        return tuple(_merge_logits(self._place(z, x)) for z in self._heads(self._input(x)))

    def _place(self, logits: Tensor, x: Tensor) -> Tensor:
        h, w = (_enlarged(n, self.working_size, side).to(logits) for n, side in _sides(logits, x))
        return h.T @ logits @ w

    def forward(self, x: Tensor) -> Tensor:
        y = self._input(x)
        logits = F.interpolate(next(self._heads(y)), y.shape[2:], mode="bilinear", align_corners=True)
        # Left and right are merged: the public weights were trained with mirrored pictures whose labels
        # were not swapped, so they cannot tell them apart.
        return resize_masks(merge_classes(logits.softmax(1)), (x.shape[2], x.shape[3]))

    def features(self, x: Tensor) -> list[Tensor]:
        """The four stages of the ResNet at 1/4, 1/8, 1/16 and 1/32 of `working_size`, finest first."""
        return self.cp.resnet(self._input(x))


def _sides(a: Tensor, b: Tensor) -> zip[tuple[int, int]]:
    return zip(a.shape[2:], b.shape[2:], strict=True)


def _enlarged(cells: int, working: int, side: int) -> Tensor:
    """`[cells,side]`: linear up to the working size with aligned corners, then means down to the side."""
    up = F.interpolate(torch.eye(cells)[None], working, mode="linear", align_corners=True)
    return F.interpolate(up, side, mode="area")[0]


def _merge_logits(logits: Tensor) -> Tensor:
    """Logits over `PARTS` whose softmax is the merged softmax of the class logits."""
    members = merge_classes(torch.eye(len(CLASSES))[:, :, None, None]).squeeze() > 0
    return torch.stack([logits[:, part].logsumexp(1) for part in members.T.to(logits.device)], 1)


def _global_mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def _nearest(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="nearest")


def bisenet(
    *,
    weights: Weights = "builtin:bisenet-faces64",
    width: Annotated[int, Field(ge=4, le=128, multiple_of=4)] = 16,
    working_size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 256,
) -> BiSeNet:
    """Face parser; the default weights were trained on procedural faces at 64 px.

    The public weights: `width = 64`, `working_size = 512`.

    Args:
        weights: weight file, in the keys of the public implementation.
        width: channels after the first convolution, as in the weight file (64 in the published
            model).
        working_size: side that pictures are brought to for the network, in pixels (512 for the
            published weights).
    """
    net = BiSeNet(width=width, working_size=working_size)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_parsers() -> list[ParserSpec]:
    return [
        ParserSpec(
            name="bisenet",
            build=bisenet,
            cite="Yu et al., BiSeNet, ECCV 2018; github.com/zllrunning/face-parsing.PyTorch",
        )
    ]
