"""Faster generator passes, each a setting that is off unless a registry's `[speed]` table asks for it.

Frozen weights, gradients of the input alone and instance statistics are not settings: they change nothing.
These do, in the last digits, so results that were made with one of them have keys of their own. Calibrations
are always made with plain passes.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.functional import (
    clamp_inclusive,
    column_filters,
    conv_by_columns,
    winograd_conv3x3,
    winograd_filters,
)
from magdr_core.functional.winograd import TILE

Forward = Callable[..., Tensor]

WINOGRAD_FROM = 192
"""Channels from which on the saved products outweigh the two transforms (docs/speed.md has the figures)."""

COLUMNS_FROM = 5
"""Width of a filter from which on it is taken column by column."""

COLUMNS_TO = 8
"""Outputs up to which it is; sixteen are computed for the price of one."""


class Speed(BaseModel):
    """How generators are run. What these change lies within the tolerances that docs/speed.md states.

    Only generators that are `torch.nn.Module`s have faster passes; `winograd` is for float32 on a CPU,
    `columns` for a CPU.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    channels_last: bool = False
    winograd: bool = False
    columns: bool = False

    @model_validator(mode="after")
    def _one_arithmetic(self) -> Speed:
        if self.winograd and self.dtype != "float32":
            raise ValueError('winograd computes in float32; leave out dtype = "bfloat16"')
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that are on, for the keys of results."""
        return self.model_dump(exclude_defaults=True)


def faster(component: Any, speed: Speed, device: torch.device) -> Forward:
    """A generator's call with these settings; the component itself where none of them applies.

    Args:
        component: a generator, on its device; it stays as it is.

    Returns:
        (`[B,3,H,W]`, B conditions) to `[B,3,H,W]` float32; differentiable in the images. A stochastic one
        takes `rng=` as well.
    """
    if not speed.changes or not isinstance(component, nn.Module):
        forward: Forward = component
        return forward
    winograd, columns = (wanted and device.type == "cpu" for wanted in (speed.winograd, speed.columns))
    net = deepcopy(component) if winograd or columns or speed.channels_last else component
    if winograd:
        _replace(net, _fits_winograd, _WinogradConv)
    if columns:
        _replace(net, _fits_columns, _ColumnsConv)
    if speed.channels_last:
        net = net.to(memory_format=torch.channels_last)
    run: Forward = torch.compile(net) if speed.compile else net

    def passed(x: Tensor, c: Condition, **streams: SampleRng) -> Tensor:
        if speed.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if speed.dtype == "bfloat16":
            with torch.autocast(x.device.type, dtype=torch.bfloat16):
                y = run(x, c, **streams)
            # bfloat16 has one value just above 1 for a tanh that is rounded up.
            return clamp_inclusive(y.float()).contiguous()
        return run(x, c, **streams).contiguous()

    return passed


class _WinogradConv(nn.Module):
    """A 3x3 convolution with stride 1, padding 1 and no bias."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        weight = conv.weight.detach()
        self.register_buffer("filters", winograd_filters(weight), persistent=False)
        self.register_buffer("back", winograd_filters(weight.transpose(0, 1).flip(2, 3)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] % TILE or x.shape[3] % TILE:
            y: Tensor = self.conv(x)
            return y
        assert isinstance(self.filters, Tensor)
        assert isinstance(self.back, Tensor)
        return winograd_conv3x3(x, self.filters, self.back)


class _ColumnsConv(nn.Module):
    """A wide convolution with few outputs and stride 1."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.bias, self.width = conv.bias, conv.kernel_size[1]
        assert not isinstance(conv.padding, str)
        down, across = conv.padding
        self.padding = (across, across, down, down)
        self.register_buffer("filters", column_filters(conv.weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.filters, Tensor)
        y = conv_by_columns(F.pad(x, self.padding), self.filters, self.width)
        return y if self.bias is None else y + self.bias[:, None, None]


def _replace(net: nn.Module, fits: Callable[[nn.Conv2d], bool], by: Callable[[nn.Conv2d], nn.Module]) -> None:
    for name, module in net.named_children():
        if isinstance(module, nn.Conv2d) and _plain(module) and fits(module):
            setattr(net, name, by(module))
        else:
            _replace(module, fits, by)


def _plain(conv: nn.Conv2d) -> bool:
    return (
        conv.stride == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
    )


def _fits_winograd(conv: nn.Conv2d) -> bool:
    narrow = min(conv.in_channels, conv.out_channels) < WINOGRAD_FROM
    return conv.kernel_size == (3, 3) and conv.padding == (1, 1) and conv.bias is None and not narrow


def _fits_columns(conv: nn.Conv2d) -> bool:
    return conv.kernel_size[1] >= COLUMNS_FROM and conv.out_channels <= COLUMNS_TO
