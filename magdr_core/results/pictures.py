"""The pictures of a run: what the report's grid shows, kept in the run folder as 8-bit images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

SEPARATOR = " | "

WORST = 5
"""Images with the largest output error, whose pictures are kept with every defense's cell."""

_LARGEST = 8192
"""Pixels of a side."""

BESIDE = ("clean-input", "clean-output", "attacked-input", "attacked-output", "input", "output")
"""What is kept of them: clean, received and restored images with the generator's outputs on them."""

K = TypeVar("K", str, tuple[int, str])


def worst_of(errors: Mapping[K, float]) -> list[K]:
    """The keys of the largest errors, largest first. Six digits count, as many as a run folder keeps."""
    return sorted(errors, key=lambda k: (-float(f"{errors[k]:.6g}"), k))[:WORST]


def worst_side(side: str, seed: int) -> str:
    """What a side of the worst images is called among the pictures of a run."""
    return f"worst-{side} {seed}"


def pack_pictures(pictures: Mapping[tuple[str, str, str, str], Tensor]) -> bytes:
    """The file of pictures, `[n,3,H,W]` in [0,1] each, keyed by (task, attack, component, side).

    A side is `input` or `output` of the first images, or what `worst_side` says.
    """
    levels = {
        SEPARATOR.join(name): (images * 255).round().byte().cpu().contiguous()
        for name, images in pictures.items()
    }
    return save(levels)


def unpack_pictures(content: bytes) -> dict[tuple[str, ...], Tensor]:
    """Pictures by (task, attack, component, side): `[n,3,H,W]` uint8 each; of one task all have one size.

    Raises:
        ValueError: the content is damaged, or holds something else; the message names the picture.
    """
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f"is damaged ({type(e).__name__})") from None
    found: dict[tuple[str, ...], Tensor] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for name, images in sorted(tensors.items()):
        key, shape = tuple(name.split(SEPARATOR)), tuple(images.shape)
        if len(key) != 4 or str(images.dtype) != "torch.uint8" or len(shape) != 4 or shape[1] != 3:
            raise ValueError(f"{name[:200]!r} is not 8-bit pictures of a task, attack, component and side")
        if min(shape) < 1 or max(shape[2:]) > _LARGEST:
            raise ValueError(f"{name[:200]!r} has shape {list(shape)}")
        if sizes.setdefault(key[0], shape[2:]) != shape[2:]:
            raise ValueError(
                f"{name[:200]!r} has shape {list(shape)}, others of its task {list(sizes[key[0]])}"
            )
        found[key] = images
    return found


def split_sides(images: Tensor) -> tuple[Tensor, Tensor]:
    """A stored set `[2n,3,H,W]` is the n restored inputs, then their outputs: `[n,3,H,W]` each."""
    first, second = torch.chunk(images, 2)
    return first, second
