"""Pictures as files in memory: encoded by Pillow's codecs and read again."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from magdr_core import functional

Levels = np.ndarray[Any, np.dtype[np.uint8]]
"""A picture, `[H,W,3]`, RGB."""


def each(x: Tensor, through: Callable[[Levels, int], Levels]) -> Tensor:
    """Pictures `[B,3,H,W]` in [0,1], 8-bit, one by one through a function of (levels, index) -> same."""
    if not len(x):
        return x.clone()
    levels = (x.detach() * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous()
    received = [torch.from_numpy(np.array(through(one.numpy(), i))) for i, one in enumerate(levels)]
    return (torch.stack(received).permute(0, 3, 1, 2).to(x) / 255).contiguous()


def coded(picture: Levels, form: str, offset: int = 0, **options: Any) -> Levels:
    """A picture after it was saved in a format and read again.

    Args:
        offset: rows above and columns to the left, continued by the border's pixels, that are there while it
            is encoded: a codec's blocks then lie elsewhere.
        options: of Pillow's writer of the format.
    """
    framed = np.pad(picture, ((offset, 0), (offset, 0), (0, 0)), mode="edge") if offset else picture
    file = io.BytesIO()
    Image.fromarray(framed).save(file, format=form, **options)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))[offset:, offset:]


def resized(picture: Levels, size: Sequence[int], form: str) -> Levels:
    """A picture at another size (height, width), by one of Pillow's filters."""
    height, width = size
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling[form.upper()]))


def jpeg_gradient(x: Tensor, quality: int, subsampling: str, offset: int = 0) -> Tensor:
    """What `coded` does to pictures `[B,3,H,W]` as JPEG, differentiable: core's own JPEG. Chroma of 4:2:2,
    which it has not, is taken for that of 4:2:0."""
    framed = F.pad(x, (offset, 0, offset, 0), mode="replicate") if offset else x
    own = functional.jpeg(framed, quality, subsampling="4:4:4" if subsampling == "4:4:4" else "4:2:0")
    return own[..., offset:, offset:]
