"""Copies of pictures as they come off a phone and out of a chat: shrunk, filtered, noisy, compressed.

python benchmarks/phone_like.py FOLDER OUT [--share .67] [--seed 0]

What is drawn for a picture depends on the seed and the picture's name alone. With a share below 1, the other
pictures are copied as they are, so that a calibration sees both kinds.
"""

from __future__ import annotations

import argparse
import shutil
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def phone_like(picture: Image.Image, draw: np.random.Generator) -> tuple[Image.Image, int]:
    """A picture as a phone would have it, and the JPEG quality that it is written with."""
    if draw.random() < 0.6:  # sent on in a smaller size
        scale = draw.uniform(0.45, 0.9)
        size = (max(32, round(picture.width * scale)), max(32, round(picture.height * scale)))
        picture = picture.resize(size, draw.choice([Image.Resampling.BILINEAR, Image.Resampling.LANCZOS]))
    if draw.random() < 0.5:  # an app's filter
        for enhance, least, most in (
            (ImageEnhance.Brightness, 0.85, 1.15),
            (ImageEnhance.Contrast, 0.8, 1.25),
            (ImageEnhance.Color, 0.6, 1.4),
            (ImageEnhance.Sharpness, 0.5, 2.5),
        ):
            picture = enhance(picture).enhance(draw.uniform(least, most))
    if draw.random() < 0.4:  # little light
        levels = np.asarray(picture, float) + draw.normal(0, draw.uniform(1, 5), np.asarray(picture).shape)
        picture = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
    return picture, int(draw.integers(45, 91))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures that are changed")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = sorted(p for p in given.folder.iterdir() if p.suffix.lower() in ENDINGS)
    if not found:
        parser.error(f"{given.folder}: no picture there")
    given.out.mkdir(parents=True, exist_ok=True)
    for path in found:
        draw = np.random.default_rng([given.seed, zlib.crc32(path.stem.encode())])
        if draw.random() < given.share:
            picture, quality = phone_like(Image.open(path).convert("RGB"), draw)
            picture.save(given.out / f"{path.stem}.jpg", quality=quality)
        else:
            shutil.copyfile(path, given.out / path.name)
    print(f"{len(found)} pictures in {given.out}")


if __name__ == "__main__":
    main()
