"""Where FaceForensics++ keeps its clips, and its official splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.api import DataError, read_json

from ._clips import Clip, PictureClip, VideoClip
from ._pictures import Box, find
from ._splits import SPLITS

OFFICIAL = ("train", "val", "test")
"""The official names of `SPLITS`."""

Pair = tuple[str, str]

_VIDEO = re.compile(r"[A-Za-z0-9-]{1,64}")

MASK_FROM = 0.25
"""A channel of a mask above this counts as manipulated: masks are compressed videos, black is not quite 0."""

ENLARGE = 1.3
"""A face's square over its bounding box, as in the public detection code (ondyari/FaceForensics)."""


def read_splits(root: Path) -> dict[str, list[Pair]]:
    """Split -> pairs of video numbers, from `splits/train.json`, `val.json` and `test.json`.

    Raises:
        DataError: a file is missing or no list of pairs, or a video is in two splits.
    """
    splits: dict[str, list[Pair]] = {}
    owner: dict[str, str] = {}
    for split, official in zip(SPLITS, OFFICIAL, strict=True):
        name = f"{official}.json"
        path = find(root, [f"splits/{name}", f"dataset/splits/{name}", name], "official split file")
        splits[split] = _pairs(read_json(path, error=DataError), path)
        for video in videos_of(splits[split]):
            if owner.setdefault(video, name) != name:
                raise DataError(f"{path}: video {video} is also in {owner[video]}")
    return splits


def _pairs(content: Any, path: Path) -> list[Pair]:
    pairs: list[Pair] = []
    seen: set[frozenset[str]] = set()
    for number, pair in enumerate(content if isinstance(content, list) else [None], 1):
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_video(v) for v in pair)):
            raise DataError(f'{path}: is not a list of pairs such as ["000", "003"] (entry {number})')
        pairs.append((pair[0], pair[1]))
        if pair[0] == pair[1] or frozenset(pair) in seen:
            raise DataError(
                f"{path}: entry {number}: {pair[0]} and {pair[1]} are paired already, or the same"
            )
        seen.add(frozenset(pair))
    return pairs


def _is_video(name: Any) -> bool:
    """Names become parts of paths and of ids."""
    return isinstance(name, str) and _VIDEO.fullmatch(name) is not None


def videos_of(pairs: Sequence[Pair]) -> list[str]:
    """Both videos of each pair, in order, each once."""
    return list(dict.fromkeys(video for pair in pairs for video in pair))


def sequences(root: Path, method: str, compression: str) -> list[Path]:
    """Folders that may hold the clips of the originals (`method` "original") or of a manipulation.

    `raw` and `c0` are two names of the uncompressed form; older dumps lack the folder `youtube`.
    """
    names = {"raw": ("raw", "c0"), "c0": ("c0", "raw")}.get(compression, (compression,))
    if method != "original":
        return [root / "manipulated_sequences" / method / name for name in names]
    original = root / "original_sequences"
    return [original / "youtube" / name for name in names] + [original / name for name in names]


def mask_folders(root: Path, method: str) -> list[Path]:
    """Masks have no compression."""
    return [root / "manipulated_sequences" / method / "masks"]


def open_clip(folders: Sequence[Path], name: str, source: str) -> Clip:
    """A clip of extracted frames (`images/NAME/`) or a video (`videos/NAME.mp4`), the first that is there.

    Args:
        source: "images", "videos", or "auto" for either.

    Raises:
        DataError: neither is there.
    """
    tried = []
    for folder in folders:
        pictures, video = folder / "images" / name, folder / "videos" / f"{name}.mp4"
        if source != "videos" and pictures.is_dir():
            return PictureClip(pictures)
        if source != "images" and video.is_file():
            return VideoClip(video, exact=False)
        tried += [p for p, kind in ((video, "images"), (pictures, "videos")) if source != kind]
    also = f" (nor {', '.join(str(p) for p in tried[1:])})" if tried[1:] else ""
    raise DataError(f"{tried[0]}: does not exist{also}")


def inside(mask: Tensor) -> Tensor:
    """The manipulated pixels of a mask's frame: `[3,H,W] -> [H,W]` bool."""
    return (mask > MASK_FROM).any(0)


def face_square(masks: Sequence[Tensor], path: Path) -> Box:
    """A square around everything that the frames of a mask mark, enlarged, inside the frame.

    One box for the whole clip, so that the crop does not tremble; a frame without a mask says nothing.

    Args:
        masks: `[H,W]` bool each.

    Raises:
        DataError: no frame marks anything.
    """
    marked = torch.stack(list(masks)).any(0) if masks else torch.zeros(1, 1, dtype=torch.bool)
    if not bool(marked.any()):
        raise DataError(
            f"{path}: marks nothing in the frames that are looked at, so there is no face to crop"
        )
    height, width = marked.shape
    rows, columns = marked.any(1).nonzero(), marked.any(0).nonzero()
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    side = min(round(ENLARGE * max(bottom - top, right - left)), height, width)
    x = min(max((left + right - side) // 2, 0), width - side)
    y = min(max((top + bottom - side) // 2, 0), height - side)
    return x, y, x + side, y + side
