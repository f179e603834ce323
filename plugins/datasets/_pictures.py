"""Where pictures lie, and how they become square ones of a dataset's size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magdr_core.api import DataError, read_picture, user_path

Box = tuple[int, int, int, int]
"""Left, upper, right, lower, as PIL counts them."""


def given_path(path: str, dataset: str, what: str) -> Path:
    """The path that a registry names.

    Raises:
        DataError: nothing was named.
    """
    if not path:
        raise DataError(f'{dataset} reads your own copy of the data: params = {{ path = "{what}" }}')
    return Path(path)


def given_folder(path: str, dataset: str) -> Path:
    """The folder that a registry names.

    Raises:
        DataError: nothing was named, or there is no such folder.
    """
    folder = given_path(path, dataset, "FOLDER")
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{dataset}: {folder} {what}")
    return folder


def beside(root: Path, path: str) -> Path | None:
    """A further file or folder, relative to the data or absolute; None if none is named.

    Raises:
        DataError: it is not there.
    """
    if not path:
        return None
    found = user_path(path, root, error=DataError)
    if not found.exists():
        raise DataError(f"{found}: does not exist")
    return found


def find(root: Path, candidates: Sequence[str], what: str) -> Path:
    """The first of these relative paths that is there.

    Raises:
        DataError: none of them is.
    """
    found = find_optional(root, candidates)
    if found is None:
        raise DataError(f"{root}: no {what}; looked for {', '.join(candidates)}")
    return found


def find_optional(root: Path, candidates: Iterable[str]) -> Path | None:
    """The first of these relative paths that is there, or None."""
    return next((root / c for c in candidates if (root / c).exists()), None)


def centre_box(width: int, height: int, crop: int) -> Box:
    """The middle `crop` x `crop` pixels; a half is rounded to even, as in the public loaders' CenterCrop."""
    left, upper = round((width - crop) / 2), round((height - crop) / 2)
    return left, upper, left + crop, upper + crop


def squared(image: Tensor, size: int, box: Box | None = None) -> Tensor:
    """Crop, then resize with PIL's bilinear filter, which averages when it shrinks.

    The public loaders do it in PIL; torch's resize does not average unless asked, and gives other pixels.

    Args:
        image: `[3,H,W]` in [0,1].
        box: what is kept; everything if None, stretched to a square.

    Returns:
        `[3,size,size]`, 8-bit levels.
    """
    levels = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(levels)
    if box is not None:
        picture = picture.crop(box)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255).contiguous()


def centre_square(image: Tensor, size: int) -> Tensor:
    """The largest square in the middle, resized: `[3,H,W] -> [3,size,size]`."""
    height, width = image.shape[1:]
    return squared(image, size, centre_box(width, height, min(height, width)))


def read_listed(path: Path, table: Path) -> Tensor:
    """A picture that a table names: `[3,H,W]`.

    Raises:
        DataError: it is missing or damaged; the line names the file, and the table if it is missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: does not exist, but {table.name} lists it")
    return read_picture(path).image


def listing(folder: Path) -> str:
    """Names and sizes of the files of a folder: what a fingerprint holds of a large published dataset.

    Reading every picture would take minutes; a picture that was encoded again has another size.
    """
    with os.scandir(folder) as entries:
        lines = [f"{e.name} {e.stat().st_size}" for e in entries if e.is_file()]
    return "\n".join(sorted(lines))


def file_digest(path: Path) -> str:
    """A hash of a file's content, read piece by piece.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from None
