"""Which files are taken for pictures or clips, and which are known to be some that nothing here can read."""

from __future__ import annotations

from pathlib import Path

PICTURE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jpe", ".jpeg", ".jfif", ".jpg", ".mpo", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip

VIDEO_SUFFIXES = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")

_CAMERA = "a camera's raw file"

UNREADABLE = {
    ".heic": "HEIC", ".heics": "HEIC", ".heif": "HEIF", ".hif": "HEIF",
    ".3fr": _CAMERA, ".arw": _CAMERA, ".cr2": _CAMERA, ".cr3": _CAMERA, ".dng": _CAMERA, ".nef": _CAMERA,
    ".nrw": _CAMERA, ".orf": _CAMERA, ".pef": _CAMERA, ".raf": _CAMERA, ".rw2": _CAMERA, ".srw": _CAMERA,
    ".j2k": "JPEG 2000", ".jp2": "JPEG 2000", ".jxl": "JPEG XL", ".psb": "Photoshop", ".psd": "Photoshop",
    ".tga": "TGA", ".xcf": "GIMP",
}  # fmt: skip
"""Suffixes of pictures in formats that are not read. The files are named, lest they be believed judged."""

UNREADABLE_CLIPS = {
    ".flv": "Flash video", ".m2ts": "MPEG-TS", ".mts": "MPEG-TS",
    ".ogv": "Ogg video", ".wmv": "Windows Media",
}  # fmt: skip
"""The same of clips."""

SNIFFED = 32
"""Bytes at the beginning of a file that tell its format."""

_READ = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

_MAGIC = ((b"8BPS", "Photoshop"), (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"\0\0\0\x0cjP  ", "JPEG 2000"))


def unreadable(path: Path, head: bytes) -> str:
    """The name of a format that cannot be read here, or "".

    What a file contains counts for more than its name: telephones and web sites call JPEGs `.heic`, and HEICs
    `.jpg`.

    Args:
        head: the first `SNIFFED` bytes.
    """
    if head.startswith(_READ):
        return ""
    if head[4:8] == b"ftyp":
        brands = head[8:12] + head[16:]
        if b"avif" in brands or b"avis" in brands:
            return "" if _reads_avif() else "AVIF (this Pillow was built without it)"
        if head[8:12] in _HEIC_BRANDS:
            return "HEIC"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return UNREADABLE.get(path.suffix.lower(), "")


def _reads_avif() -> bool:
    from PIL import Image

    Image.init()
    return "AVIF" in Image.OPEN
