"""The pictures of a run: what the report's grid shows, kept in the run folder as 8-bit images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from magdr_core.store import write_atomically

FILE = "pictures.safetensors"
SEPARATOR = " | "

WORST = 5
"""Images with the largest output error, whose pictures are kept with every defense's cell."""

BESIDE = ("clean-input", "clean-output", "attacked-input", "attacked-output", "input", "output")
"""What is kept of them: clean, received and restored images with the generator's outputs on them."""

K = TypeVar("K", str, tuple[int, str])


def worst_of(errors: Mapping[K, float]) -> list[K]:
    """The keys of the largest errors, largest first. Six digits count, as many as a run folder keeps."""
    return sorted(errors, key=lambda k: (-float(f"{errors[k]:.6g}"), k))[:WORST]


def worst_side(side: str, seed: int) -> str:
    """What a side of the worst images is called among the pictures of a run."""
    return f"worst-{side} {seed}"


def save_pictures(run: Path, pictures: Mapping[tuple[str, str, str, str], Tensor]) -> None:
    """Write pictures keyed by (task, attack, component, side).

    A side is `input` or `output` of the first images, or what `worst_side` says.
    """
    levels = {
        SEPARATOR.join(name): (images * 255).round().byte().cpu().contiguous()
        for name, images in pictures.items()
    }
    if levels:
        write_atomically(run / FILE, lambda p: save_file(levels, str(p)))


def load_pictures(run: Path) -> dict[tuple[str, ...], Tensor]:
    """uint8 `[P,3,H,W]` by (task, attack, component, side); empty if the run has none."""
    path = run / FILE
    if not path.is_file():
        return {}
    return {tuple(name.split(SEPARATOR)): images for name, images in load_file(str(path)).items()}


def split_sides(images: Tensor) -> tuple[Tensor, Tensor]:
    """A stored set is the restored inputs, then the outputs."""
    first, second = torch.chunk(images, 2)
    return first, second
