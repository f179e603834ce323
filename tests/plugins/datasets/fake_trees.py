"""Tiny trees of published forgery data sets: clips of a few frames, each known by its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

HEIGHT, WIDTH = 32, 48


def pixels(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, format="PNG")


def clip(folder: Path, seed: int, numbers=range(6), height: int = HEIGHT, width: int = WIDTH) -> None:
    """Frames `0000.png`, ...; frame `numbers[i]` has the pixels of `seed + i`."""
    for i, number in enumerate(numbers):
        write(folder / f"{number:04d}.png", pixels(seed + i, height, width))


def masks(folder: Path, numbers, box, level: int = 255, noise: int = 1) -> None:
    """Masks that are `level` inside a box (left, upper, right, lower) and `noise`, nearly black, outside."""
    left, upper, right, lower = box
    for number in numbers:
        marked = np.full((HEIGHT, WIDTH, 3), noise, dtype=np.uint8)
        marked[upper:lower, left:right] = level
        write(folder / f"{number:04d}.png", marked)


def shown(seed: int, size: int, box=None, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """What a dataset makes of such a frame: `[3,size,size]`, by PIL alone."""
    picture = Image.fromarray(pixels(seed, height, width))
    picture = picture if box is None else picture.crop(box)
    levels = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(levels.copy()).permute(2, 0, 1) / 255


MIDDLE = (8, 0, 40, 32)
"""The middle square of such a frame."""


def everything(dataset) -> dict:
    """Each split's pictures."""
    splits = {name: dataset.split(name) for name in ("train", "calibration", "test")}
    return {name: split[list(range(len(split)))] for name, split in splits.items()}
