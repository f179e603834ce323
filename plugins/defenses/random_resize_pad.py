"""Randomisation before the generator: a random enlargement, then padding at a random place.

Xie, Wang, Zhang, Ren and Yuille, Mitigating Adversarial Effects Through Randomization, ICLR 2018 (arXiv
1711.01991): a 299 x 299 image is resized to Rnd x Rnd with Rnd drawn from [299, 331) and placed at random on
a canvas of 331 x 331. Here both sides are ratios of the image's side, the canvas rounded up to what a
generator takes: 128 pixels go to {128..143} on a canvas of 144, 64 pixels to {64..71} on one of 72.

A classifier does not care where the face lies, but what an image-to-image generator returns is shifted and
scaled with it, far from G(x, c) by any pixelwise measure even if nothing was attacked. Hence two modes:

- `aligned`: G runs on the canvas, and `output` maps what it returns back to the frame of the input. T(x) is
  the round trip of the input, which is x itself with the authors' nearest neighbours: this defense acts on
  the output, and whoever takes only T(x) gets no defense.
- `raw`, as published: nobody undoes the placement. T(x) is the canvas resized to the input's shape, and
  G(T(x), c) shows the face where the padding put it.

Unlike the authors' code: neighbours by pixel centres (theirs go by the top left corners), each image of a
batch has a placement of its own, and the canvas is rounded to 8-bit levels, as all that G is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, SampleRng, hookimpl
from magdr_core.functional import flip, resize, straight_through, to_8bit

MAGDR_API = 1

PUBLISHED_SIDE, PUBLISHED_CANVAS = 299, 331

Interpolation = Literal["nearest", "bilinear"]


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each image lies on its canvas, in pixels: `[B]` int64 each, and whether it is mirrored (bool)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    mirrored: Tensor


@dataclass(frozen=True, kw_only=True)
class Randomiser:
    """Draws placements, draws pictures there, and undoes it; no python loop over images.

    Attributes:
        smallest: the smallest resize, as a ratio of the image's side.
        canvas: the canvas, as a ratio of the image's side; every resize is at least a pixel smaller.
        multiple: the canvas is rounded up to a multiple of this.
        interpolation: of the resize, there and back.
        fill: grey level of the padding.
        mirror: flip each image with probability 1/2.
    """

    smallest: float
    canvas: float
    multiple: int
    interpolation: Interpolation
    fill: float
    mirror: bool

    def __post_init__(self) -> None:
        if self.smallest >= self.canvas:
            raise ValueError(f"smallest = {self.smallest:g} must be less than canvas = {self.canvas:g}")

    def canvas_side(self, side: int) -> int:
        return math.ceil(side * self.canvas / self.multiple) * self.multiple

    def place(self, bits: Tensor, height: int, width: int) -> Placement:
        """The placement that random bits stand for.

        Args:
            bits: `[B,4]` uniform 32-bit integers.
            height, width: of the images.
        """
        rows, columns = self.canvas_side(height), self.canvas_side(width)
        least = min(max(1, round(self.smallest * height)), rows - 1)
        tall = least + (bits[:, 0] * (rows - least) >> 32)
        # The same factor across, to the nearest pixel.
        wide = ((2 * tall * width + height) // (2 * height)).clamp(1, columns)
        return Placement(
            top=bits[:, 1] * (rows - tall + 1) >> 32,
            left=bits[:, 2] * (columns - wide + 1) >> 32,
            height=tall,
            width=wide,
            mirrored=(bits[:, 3] >> 31).bool() & self.mirror,
        )

    def pad(self, x: Tensor, at: Placement) -> Tensor:
        """Resize and pad, `[B,3,H,W]` -> `[B,3,canvas,canvas]`, 8-bit levels; gradients pass the rounding."""
        x = _mirrored(x, at)
        rows, columns = (self.canvas_side(side) for side in x.shape[-2:])
        inside_y, inside_x = _inside(at.top, at.height, rows), _inside(at.left, at.width, columns)
        y = self._along(x, -2, at.top, at.height, rows)
        y = self._along(y, -1, at.left, at.width, columns)
        inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
        y = torch.where(inside, y, self.fill)
        return straight_through(to_8bit(y.detach()), y)

    def _along(self, x: Tensor, dim: int, start: Tensor, length: Tensor, canvas: int) -> Tensor:
        """Resize one side to `length`, placed at `start`; what lies outside is arbitrary."""
        size = x.shape[dim]
        position = torch.arange(canvas, device=x.device) - start[:, None]
        if self.interpolation == "nearest":
            return _take(x, dim, _under(position, size, length[:, None]).clamp(0, size - 1))
        scale = size / length[:, None].to(x.dtype)
        whole = torch.zeros_like(start), torch.full_like(start, size)
        return _triangle(x, dim, position, scale, 1 / self.smallest, *whole)

    def unpad(self, y: Tensor, at: Placement, height: int, width: int) -> Tensor:
        """Undo `pad` but for what the resize lost: `[B,3,canvas,canvas]` -> `[B,3,height,width]`."""
        y = self._back(y, -2, at.top, at.height, height)
        return _mirrored(self._back(y, -1, at.left, at.width, width), at)

    def _back(self, y: Tensor, dim: int, start: Tensor, length: Tensor, size: int) -> Tensor:
        position = torch.arange(size, device=y.device).expand(len(y), -1)
        if self.interpolation == "nearest":
            return _take(y, dim, start[:, None] + _under(position, length[:, None], size))
        scale = length[:, None].to(y.dtype) / size
        return _triangle(y, dim, position, scale, y.shape[dim] / size, start, length)


def _mirrored(x: Tensor, at: Placement) -> Tensor:
    return torch.where(at.mirrored[:, None, None, None], flip(x), x)


def _inside(start: Tensor, length: Tensor, canvas: int) -> Tensor:
    position = torch.arange(canvas, device=start.device) - start[:, None]
    return (position >= 0) & (position < length[:, None])


def _under(position: Tensor, source: int | Tensor, target: int | Tensor) -> Tensor:
    """The pixel of a side of `source` pixels under the centre of pixel `position` of `target` pixels.

    In integers: rounding cannot differ between devices, and enlarging then shrinking gives each pixel back.
    """
    return torch.div((2 * position + 1) * source, 2 * target, rounding_mode="floor")


def _take(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Rows (dim -2) or columns (dim -1) of each image: `[B,3,H,W]`, `[B,n]` -> n of them."""
    if dim == -2:
        return x.gather(2, index[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
    return x.gather(3, index[:, None, None, :].expand(-1, x.shape[1], x.shape[2], -1))


def _triangle(
    x: Tensor, dim: int, position: Tensor, scale: Tensor, widest: float, start: Tensor, length: Tensor
) -> Tensor:
    """Linear interpolation, antialiased where it shrinks (a triangle as wide as Pillow's).

    Args:
        position: `[B,n]` target pixels.
        scale: `[B,1]` source pixels per target pixel.
        widest: about the largest scale that any image could have.
        start, length: `[B]`, the part of the source that may be read.
    """
    support = scale.clamp_min(1.0)
    centre = (position + 0.5) * scale - 0.5
    first = torch.floor(centre - support).long() + 1
    taps = math.ceil(2 * max(1.0, widest)) + 1
    last = length[:, None] - 1
    total = weights = torch.zeros((), dtype=x.dtype, device=x.device)
    for k in range(taps):
        tap = first + k
        weight = (1.0 - (tap - centre).abs() / support).clamp_min(0.0)
        weight = torch.where((tap >= 0) & (tap <= last), weight, 0.0)
        index = start[:, None] + torch.minimum(tap.clamp_min(0), last)
        shape = (len(x), 1, -1, 1) if dim == -2 else (len(x), 1, 1, -1)
        total = total + weight.reshape(shape) * _take(x, dim, index)
        weights = weights + weight.reshape(shape)
    # Far outside the picture there is nothing to read; the caller paints the padding there.
    return total / weights.clamp_min(1e-6)


class Raw:
    """The input as the padded frame shows it."""

    def __init__(self, randomiser: Randomiser) -> None:
        self.randomiser = randomiser

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> the same shape, padding included."""
        size = (x.shape[2], x.shape[3])
        canvas = self.randomiser.pad(x, self.randomiser.place(rng.bits(4), *size))
        return resize(canvas, size, mode=self.randomiser.interpolation)


class Aligned:
    """The output brought back to the frame of the input, averaged over `passes` placements.

    `__call__` and `output` make the same draws: with streams at the same position they speak of the same
    placements.
    """

    def __init__(self, randomiser: Randomiser, passes: int) -> None:
        self.randomiser = randomiser
        self.passes = passes

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """The input there and back, `[B,3,H,W]` in [0,1]: what the resize lets through of the picture."""
        return self._averaged(x, rng, lambda canvas: canvas)

    def output(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """G on the canvas, mapped back, `[B,3,H,W]` in [0,1]; `passes` forwards per image."""
        return self._averaged(x, rng, lambda canvas: G(canvas, c))

    def _averaged(self, x: Tensor, rng: SampleRng, f: Callable[[Tensor], Tensor]) -> Tensor:
        height, width = x.shape[-2:]
        total = torch.zeros_like(x)
        for bits in rng.bits(self.passes, 4).unbind(1):
            at = self.randomiser.place(bits, height, width)
            total = total + self.randomiser.unpad(f(self.randomiser.pad(x, at)), at, height, width)
        mean = total / self.passes
        return straight_through(mean.detach().clamp(0.0, 1.0), mean)


def random_resize_pad(
    *,
    mode: Literal["aligned", "raw"] = "aligned",
    smallest: Annotated[float, Field(ge=0.5, le=2)] = 1.0,
    canvas: Annotated[float, Field(gt=1, le=2)] = PUBLISHED_CANVAS / PUBLISHED_SIDE,
    multiple: Annotated[int, Field(ge=1, le=64)] = 4,
    interpolation: Interpolation = "nearest",
    fill: Annotated[float, Field(ge=0, le=1)] = 0.5,
    mirror: bool = False,
    passes: Annotated[int, Field(ge=1, le=100)] = 1,
) -> Aligned | Raw:
    """Enlarge at random and pad at a random place; undone on the output if `mode` is aligned.

    The authors' entry to the NIPS 2017 challenge is `smallest = 310/299` = 1.0368, `mirror = true`,
    `passes = 30`. Their "zero" padding is zero of [-1,1], the grey `fill = 0.5`.

    Args:
        mode: `aligned` maps the output back to the input's frame; `raw` leaves it where the padding
            put it, as published.
        smallest: smallest side of the resized picture, as a ratio of the original side.
        canvas: side of the padded picture, as a ratio of the original side.
        multiple: number of pixels to a multiple of which the canvas is rounded up.
        interpolation: how the picture is resized, there and back.
        fill: grey level of the padding, in [0,1] units.
        mirror: whether each picture is mirrored with probability 1/2.
        passes: random placements over which the output is averaged, a generator pass each.

    Raises:
        ValueError: `smallest` is not below `canvas`; or `passes` > 1 in raw mode, where pictures that lie in
            different places would be averaged.
    """
    if mode == "raw" and passes > 1:
        raise ValueError("passes are averaged, which only aligned outputs can be: mode = 'raw' takes one")
    randomiser = Randomiser(
        smallest=smallest,
        canvas=canvas,
        multiple=multiple,
        interpolation=interpolation,
        fill=fill,
        mirror=mirror,
    )
    return Raw(randomiser) if mode == "raw" else Aligned(randomiser, passes)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="random-resize-pad",
            build=random_resize_pad,
            stochastic=True,
            gradient="straight-through",
            cite="Xie et al., Mitigating Adversarial Effects Through Randomization, ICLR 2018",
            tags=("baseline", "geometric"),
        )
    ]
