"""Whatever Pillow has opened, as upright 8-bit RGB.

Everything here looks at one pixel at a time, so it is done to a strip of rows after the other: beside the
decoded picture and the result no whole copy is made.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.media.tiles import strips

_GREY = ("1", "L", "LA", "La")

_Array = np.ndarray[tuple[int, ...], Any]


def is_grey(image: Image.Image) -> bool:
    """No colours, as far as the kind of its pixels tells."""
    return image.mode in _GREY or image.mode.startswith("I")


def upright_rgb(path: Path, image: Image.Image) -> tuple[Tensor, tuple[str, ...]]:
    """`[3,H,W]` uint8, turned as its EXIF data says, and what was changed.

    Args:
        path: what errors call it.

    Raises:
        DataError: pixels of an unknown range.
    """
    image.load()
    notes: dict[str, None] = {}
    orientation = _orientation(image, notes)
    width, height = image.size
    turned = orientation >= 5
    levels = np.empty((3, width, height) if turned else (3, height, width), np.uint8)
    as_stored = _as_stored(levels, orientation)
    convert = _Conversion(path, image, notes)
    for rows in strips(height, width):
        strip = convert(image.crop((0, rows.start, width, rows.stop)))
        as_stored[:, rows] = np.asarray(strip).transpose(2, 0, 1)
    return torch.from_numpy(levels), tuple(notes)


def _orientation(image: Image.Image, notes: dict[str, None]) -> int:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:
        # Damaged EXIF data is common and says nothing about the pixels.
        notes["its EXIF data cannot be read"] = None
        return 1
    if orientation not in range(2, 9):
        return 1
    notes["turned as its EXIF data says"] = None
    return int(orientation)


def _as_stored(upright: _Array, orientation: int) -> _Array:
    """A view of an upright picture `[3,H,W]` whose rows and columns are those of the file."""
    view = upright.transpose(0, 2, 1) if orientation >= 5 else upright
    from_below, from_right = orientation in (3, 4, 6, 7), orientation in (2, 3, 7, 8)
    return view[:, :: -1 if from_below else 1, :: -1 if from_right else 1]


class _Conversion:
    """Makes strips of one picture RGB.

    Args:
        image: the whole picture.
        notes: what is changed is added here.
    """

    def __init__(self, path: Path, image: Image.Image, notes: dict[str, None]) -> None:
        self._path = path
        self._notes = notes
        self._grey = is_grey(image)
        self._profile: bytes | None = image.info.get("icc_profile")
        self._transform: ImageCms.ImageCmsTransform | None = None
        self._prepared = False
        if image.mode == "F":
            raise DataError(f"{path}: has floating-point pixels of unknown range; save it as 8 or 16 bits")

    def __call__(self, strip: Image.Image) -> Image.Image:
        if strip.mode.startswith("I"):
            strip = _eight_bits(self._path, strip)
            self._notes["16 bits rounded to 8"] = None
        alpha: Image.Image | None = None
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            alpha = strip.getchannel("A")
        if self._profile:
            strip = self._to_srgb(strip.convert("RGB") if alpha is not None else strip, self._profile)
        strip = strip.convert("RGB")
        if alpha is not None and alpha.getextrema() != (255, 255):
            strip = Image.composite(strip, Image.new("RGB", strip.size, "white"), alpha)
            self._notes["transparency put on white"] = None
        # A colour profile may have tinted what is grey.
        return strip.convert("L").convert("RGB") if self._grey else strip

    def _to_srgb(self, strip: Image.Image, profile: bytes) -> Image.Image:
        if not self._prepared:
            self._transform, self._prepared = _to_srgb(strip.mode, profile, self._notes), True
        if self._transform is None:
            return strip
        converted = ImageCms.applyTransform(strip, self._transform)
        return converted if converted is not None else strip


def _to_srgb(mode: str, profile: bytes, notes: dict[str, None]) -> ImageCms.ImageCmsTransform | None:
    """None where nothing is to be done: sRGB already, or a profile that does not fit."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(given).strip()
        if "srgb" in name.lower():
            return None
        transform = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A profile that is damaged or belongs to another mode: the pixels as they are.
        notes["its colour profile does not fit"] = None
        return None
    notes[f"colours converted from {name or 'its profile'}"] = None
    return transform


def _eight_bits(path: Path, strip: Image.Image) -> Image.Image:
    values = np.asarray(strip).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{path}: has 32-bit pixels of unknown range; save it as 8 or 16 bits")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
