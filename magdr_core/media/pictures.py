"""Reading any usual picture file as RGB in [0,1], and writing without loss."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.files.disk import write_atomically
from magdr_core.functional import luma, to_8bit
from magdr_core.media.formats import SNIFFED, unreadable
from magdr_core.media.regular_files import open_regular
from magdr_core.media.rgb import is_grey, upright_rgb
from magdr_core.media.tiles import in_unit, like, strips, unit
from magdr_core.short_repr import one_line_repr

# Named one by one: Pillow also knows formats that it hands to other programs (EPS to Ghostscript).
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

MIN_SIDE = 16
"""A picture with a shorter side holds no face."""

MAX_PIXELS = 64_000_000
"""More than that is refused from the header, before anything is decoded (4 bytes a pixel in Pillow)."""

MAX_PIXELS_OF = {"AVIF": 48_000_000, "WEBP": 36_000_000}
"""Where the decoder itself holds several copies: up to 20 bytes a pixel."""

MAX_BYTES = 400_000_000
"""Of a file: what `MAX_PIXELS` take with 16 bits a channel and no compression."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as magdr sees it.

    Attributes:
        levels: `[3,H,W]` uint8 RGB, upright.
        notes: what reading changed besides the format ("turned as its EXIF data says", ...); what is written
            back is this image, so they are also what a copy would lose.
        grey: the file has no colours, so that what is written back shall have none.
    """

    levels: Tensor
    notes: tuple[str, ...] = ()
    grey: bool = False

    __repr__ = one_line_repr

    @property
    def image(self) -> Tensor:
        """`[3,H,W]` float32 in [0,1], 8-bit levels; made anew each time, since it is four times as large."""
        return in_unit(self.levels)


def read_picture(path: Path | str) -> Picture:
    """Read a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or PPM file.

    EXIF rotation is applied. Grey and palette become RGB; an embedded colour profile other than sRGB (CMYK,
    Display P3, ...) is converted to sRGB; 16 bits are rounded to 8, since every clean image is an 8-bit image
    here; a transparent picture is put on white. Of a JPEG with several pictures (MPO) the first is taken.

    Raises:
        DataError: missing, empty, larger than `MAX_BYTES`, no regular file, not a picture, of a format that
            cannot be read here (HEIC, camera files), damaged or truncated; animated or with several pages;
            floating-point pixels; a side below `MIN_SIDE` or more than `MAX_PIXELS` pixels. One line.
    """
    path = Path(path)
    with open_regular(path, MAX_BYTES) as file:
        return _read(path, file)


def picture_from_bytes(content: bytes, name: str) -> Picture:
    """The same of a file's content that is in memory, such as an upload; nothing is written to disk.

    Args:
        content: of a file of one of the formats above.
        name: what errors call it; its ending is taken for a hint at the format, as a file's is.

    Raises:
        DataError: as of `read_picture`.
    """
    if not content:
        raise DataError(f"{name}: is empty")
    return _read(Path(name), BytesIO(content))


def _read(path: Path, file: BinaryIO) -> Picture:
    try:
        unknown = unreadable(path, file.read(SNIFFED))
        if unknown:
            raise DataError(f"{path}: cannot be read here: {unknown}; convert it to PNG or JPEG")
        file.seek(0)
        with warnings.catch_warnings():
            # Pillow's own warnings about large or odd files would go to the terminal; ours are errors.
            warnings.simplefilter("ignore")
            return _decode(path, file)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"{path}: is larger than {MAX_PIXELS // 10**6} megapixels") from None
    except Image.UnidentifiedImageError:
        known = "JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or PPM"
        raise DataError(f"{path}: is not a picture ({known}), whatever its name says") from None
    except MemoryError:
        raise DataError(f"{path}: needs more memory than there is") from None
    except Exception as e:
        # Decoders fail in many ways on damaged files (OSError, SyntaxError, struct.error, ...).
        raise DataError(f"{path}: is damaged or truncated ({' '.join(str(e).split())})") from None


def picture_of(given: Image.Image | np.ndarray[tuple[int, ...], Any], name: str) -> Picture:
    """A picture that is in memory already, treated as `read_picture` treats a file.

    Args:
        given: PIL, or an array `[H,W,3]`: uint8, or floating point in [0,1] (rounded to 8 bits).
        name: what errors call it.

    Raises:
        DataError: another shape, type or range; a side below `MIN_SIDE`; more than `MAX_PIXELS` pixels.
    """
    image = given if isinstance(given, Image.Image) else _from_array(given, name)
    _check_size(name, *image.size)
    try:
        return _picture(Path(name), image)
    except DataError:
        raise
    except Exception as e:  # PIL decodes a file when its pixels are asked for, which is now
        raise DataError(f"{name}: is damaged or truncated ({' '.join(str(e).split())})") from None


def _picture(path: Path, image: Image.Image) -> Picture:
    levels, notes = upright_rgb(path, image)
    return Picture(levels, notes, is_grey(image))


def _from_array(array: np.ndarray[tuple[int, ...], Any], name: str) -> Image.Image:
    if array.ndim != 3 or array.shape[2] != 3:
        raise DataError(f"{name}: has shape {array.shape}, expected [H,W,3] (RGB)")
    _check_size(name, array.shape[1], array.shape[0])
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise DataError(f"{name}: floating-point pixels must be in [0,1]")
        array = np.round(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataError(f"{name}: has pixels of type {array.dtype}; give uint8, or floats in [0,1]")
    return Image.fromarray(array)


def _check_size(name: Path | str, width: int, height: int, kind: str | None = None) -> None:
    """
    Args:
        kind: Pillow's name of the file's format.
    """
    if min(width, height) < MIN_SIDE:
        raise DataError(f"{name}: {width} x {height} pixels are too few, {MIN_SIDE} a side at least")
    most = MAX_PIXELS_OF.get(kind or "", MAX_PIXELS)
    if width * height > most:
        what = "" if most == MAX_PIXELS else f", the most of a picture in {kind}; convert it to JPEG or PNG"
        raise DataError(f"{name}: {width} x {height} pixels are more than {most // 10**6} megapixels{what}")


def _decode(path: Path, file: BinaryIO) -> Picture:
    with Image.open(file, formats=_formats()) as image:
        _check_size(path, *image.size, image.format)
        if image.format != "MPO" and _has_a_second(image):
            what = "several pages" if image.format == "TIFF" else "several frames (it is animated)"
            raise DataError(f"{path}: has {what}; save the one that is meant")
        image.load()
        return _picture(path, image)


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _has_a_second(image: Image.Image) -> bool:
    """Whether there is another frame; to count them all can take minutes."""
    if not getattr(image, "is_animated", False):
        return False
    try:
        image.seek(1)
        image.seek(0)
    except EOFError:
        return False
    return True


def without_colours(image: Tensor) -> Tensor:
    """The brightness of a picture in all three channels: `[3,H,W] -> [3,H,W]`, 8-bit levels.

    What is grey already does not change, and no pixel moves further from a grey picture than it did.

    Args:
        image: in [0,1] or uint8; the result is like it.
    """
    bright = torch.empty_like(image[:1])
    for rows in strips(*image.shape[1:]):
        bright[:, rows] = like(to_8bit(luma(unit(image[:, rows])[None]))[0], image)
    return bright.expand(3, -1, -1)


def write_picture(path: Path | str, image: Tensor, *, grey: bool = False) -> None:
    """Write a PNG, without loss and atomically.

    Args:
        path: ends in `.png`; its folder is made if need be.
        image: `[3,H,W]` in [0,1] or uint8; 8-bit images come back to the last bit.
        grey: as a file of one channel; of `image` the first is taken.

    Raises:
        DataError: another suffix, or the file cannot be written.
        ValueError: not `[3,H,W]`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: pictures are written without loss, as .png")
    _check_shape(image)
    picture = _pillow(image, "L" if grey else "RGB")
    try:
        write_atomically(path, lambda p: picture.save(p, format="PNG"))
    except OSError as e:
        raise DataError(f"{path}: cannot be written ({e.strerror or e})") from None


def write_jpeg(path: Path | str, image: Tensor, quality: int, *, grey: bool = False) -> None:
    """Write a JPEG, atomically.

    Args:
        path: its folder is made if need be.
        image: `[3,H,W]` in [0,1] or uint8.
        quality: as Pillow has it, with half the resolution of colours.
        grey: as a file of one channel; of `image` the first is taken.

    Raises:
        DataError: the file cannot be written.
        ValueError: not `[3,H,W]`.
    """
    content = _jpeg_bytes(image, quality, grey)
    try:
        write_atomically(Path(path), lambda p: p.write_bytes(content))
    except OSError as e:
        raise DataError(f"{path}: cannot be written ({e.strerror or e})") from None


def as_jpeg(image: Tensor, quality: int, *, grey: bool = False) -> Tensor:
    """What such a file shows, `[3,H,W]` uint8."""
    with Image.open(BytesIO(_jpeg_bytes(image, quality, grey))) as picture:
        levels = np.array(picture.convert("RGB"))
    return torch.from_numpy(levels).permute(2, 0, 1).contiguous()


def _jpeg_bytes(image: Tensor, quality: int, grey: bool) -> bytes:
    _check_shape(image)
    stream = BytesIO()
    _pillow(image, "L" if grey else "RGB").save(stream, format="JPEG", quality=quality)
    return stream.getvalue()


def _pillow(image: Tensor, mode: str) -> Image.Image:
    _, height, width = image.shape
    picture = Image.new(mode, (width, height))
    for rows in strips(height, width):
        levels = to_levels(image[:, rows])
        picture.paste(Image.fromarray(levels if mode == "RGB" else levels[..., 0].copy()), (0, rows.start))
    return picture


def to_levels(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """`[3,H,W]` in [0,1] or uint8 -> `[H,W,3]` uint8.

    Raises:
        ValueError: another shape.
    """
    _check_shape(image)
    image = image.detach()
    levels = image if image.dtype == torch.uint8 else (image.clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def _check_shape(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"expected an image [3,H,W], got {tuple(image.shape)}")
