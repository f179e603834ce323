"""Whatever people hold a face in, as the batch that the generator takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.inference.loaded import load
from magdr_core.inference.sources import Pictures, sources_of
from magdr_core.media import FaceFinder

Images = Tensor | Sequence[Tensor] | Pictures
"""Faces as they are, in tensors, or pictures whose faces are cut out."""

_SLACK = 1e-4


def as_faces(images: Images, size: int, device: torch.device, finder: FaceFinder | None) -> Tensor:
    """`[B,3,S,S]` float32 in [0,1] on the device.

    Args:
        images: a tensor `[B,3,S,S]` or `[3,S,S]` (or a sequence of the latter), floating point in [0,1] or
            uint8: faces, taken as they are. Or pictures of any size, one or several: a path, PIL, or a numpy
            array `[H,W,3]`; the largest face of each is cut out.
        size: S, the generator's native side.
        finder: of pictures' faces; None for no search, the largest square in the middle.

    Raises:
        DataError: another size, type or range; a picture that cannot be used or shows no face.
    """
    if isinstance(images, list | tuple) and images and all(isinstance(one, Tensor) for one in images):
        images = _stacked(images)
    if isinstance(images, Tensor):
        return _checked(images, size).to(device)
    pictures = cast("Pictures", images)  # a list of tensors has been stacked
    faces = [load(source, size, finder).face for source in sources_of(pictures)]
    if not faces:
        raise DataError("there is no image")
    return torch.stack(faces).to(device)


def _stacked(images: Iterable[Tensor]) -> Tensor:
    shapes = {tuple(one.shape) for one in images}
    if len(shapes) > 1:
        raise DataError(f"images of several shapes: {', '.join(map(str, sorted(shapes)))}")
    return torch.stack(list(images))


def _checked(x: Tensor, size: int) -> Tensor:
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[1] != 3:
        raise DataError(f"expected images [B,3,{size},{size}], got {tuple(x.shape)}")
    if tuple(x.shape[2:]) != (size, size):
        height, width = x.shape[2:]
        raise DataError(
            f"images are {height} x {width}, this generator takes {size} x {size}: give faces of that size, "
            "or pictures (paths, PIL, numpy), whose faces are cut out"
        )
    if x.dtype == torch.uint8:
        return x.float() / 255
    if not x.is_floating_point():
        raise DataError(f"expected floating-point images in [0,1] or uint8, got {x.dtype}")
    x = x.detach().float()
    if x.numel():
        low, high = (float(v) for v in x.aminmax())
        if not (low >= -_SLACK and high <= 1 + _SLACK):
            hint = _brought(low, high)
            raise DataError(f"image values are in [{low:.3g}, {high:.3g}], expected [0, 1]{hint}")
    return x


def _brought(low: float, high: float) -> str:
    """How values in one of the other usual ranges are brought into [0,1]; empty for any other."""
    if -1.01 < low < 0 and high < 1.01:
        return "; (x + 1) / 2 brings [-1,1] there"
    return "; x / 255 brings levels there" if low >= 0 and 1.5 < high <= 255 else ""
