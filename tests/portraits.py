"""A made-up folder of portraits: painted ovals with hair, their masks, and a mesh laid out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from magdr_plugins.datasets.retouch import mesh
from PIL import Image

SKIN, HAIR, WALL, CLOTH = (205, 160, 130), (70, 45, 30), (90, 120, 170), (40, 40, 60)
CENTRE, HALF = (0.5, 0.57), (0.26, 0.31)
"""Of the oval of the face, in sides of the picture."""


def _ring(names, centre, half, start=-math.pi / 2, turn=1.0):
    angles = start + turn * 2 * math.pi * np.arange(len(names)) / len(names)
    return {
        name: (centre[0] + half[0] * math.cos(a), centre[1] + half[1] * math.sin(a))
        for name, a in zip(names, angles, strict=True)
    }


def made_mesh() -> np.ndarray:
    """`[468,2]` in sides of the picture; points that nothing asks for are in the middle of the face."""
    points = np.tile(np.array(CENTRE), (mesh.POINTS, 1))
    rings = [
        _ring(mesh.OVAL, CENTRE, HALF),
        _ring(mesh.LEFT_EYE, (0.39, 0.46), (0.045, 0.02), math.pi, -1),
        _ring(mesh.RIGHT_EYE, (0.61, 0.46), (0.045, 0.02), math.pi, -1),
        _ring(mesh.LEFT_BROW, (0.39, 0.40), (0.06, 0.015)),
        _ring(mesh.RIGHT_BROW, (0.61, 0.40), (0.06, 0.015)),
        _ring(mesh.NOSE, (0.5, 0.56), (0.05, 0.09)),
    ]
    for ring in rings:
        for name, place in ring.items():
            points[name] = place
    outer, inner = (0.11, 0.045), (0.08, 0.015)
    for lip, sign in ((mesh.UPPER_LIP, -1), (mesh.LOWER_LIP, 1)):
        for half, part, back in ((outer, lip[:11], 1), (inner, lip[11:], -1)):
            for k, name in enumerate(part):
                along = back * (2 * k / (len(part) - 1) - 1)
                points[name] = (
                    0.5 + half[0] * along,
                    0.71 + sign * half[1] * math.sqrt(max(0, 1 - along**2)),
                )
    points[mesh.LEFT_CHEEK], points[mesh.RIGHT_CHEEK] = (0.36, 0.62), (0.64, 0.62)
    return points


def painted(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its mask, `[size,size,3]` uint8 each."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] + 0.5) / size

    def oval(cx, cy, rx, ry):
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1

    face, head = oval(*CENTRE, *HALF), oval(0.5, 0.5, 0.36, 0.42)
    hair = head & ~face & (y < 0.75)
    body = (y > 0.86) | (oval(0.5, 0.9, 0.15, 0.2) & ~face)
    picture = np.empty((size, size, 3))
    for colour, where in ((WALL, y < 2), (CLOTH, body), (SKIN, face), (HAIR, hair)):
        picture[where] = colour
    picture += rng.normal(0, 6, picture.shape)
    mask = np.zeros((size, size, 3))
    mask[..., 0], mask[..., 1] = 255 * hair, 255 * (hair | face | body)
    return picture.clip(0, 255).astype(np.uint8), mask.astype(np.uint8)


def write_portraits(root: Path, train: int = 6, others: int = 2, size: int = 128) -> Path:
    """A folder with some people for training and fewer for each of the other splits."""
    splits = ["train"] * train + ["calibration"] * others + ["test"] * others
    lines = ["name,split,size,source_side"]
    for i, split in enumerate(splits):
        picture, mask = painted(size, i)
        path = root / "made" / f"{i:04d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path.with_suffix(".jpg"), format="PNG")
        Image.fromarray(mask).save(path.with_suffix(".mask.png"))
        lines.append(f"made/{i:04d},{split},{size},{100 + i}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    names = np.array([f"made/{i:04d}" for i in range(len(splits))])
    points = np.stack([made_mesh() * size] * len(splits)).astype(np.float16)
    np.savez(root / "landmarks.npz", names=names, points=points)
    return root
