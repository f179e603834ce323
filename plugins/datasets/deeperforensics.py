"""DeeperForensics-1.0: faces of paid actors, put into videos of FaceForensics++."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl, text_lines

from ._crops import Crop
from ._faceforensics import sequences
from ._finding import PairFinder, Place
from ._pairs import RecordedPair
from ._people import beside_test
from ._pictures import find, given_folder
from ._recorded import Reading, RecordedFakes
from ._splits import SPLITS

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""

Variant = Literal[
    "end_to_end",
    "reenact_postprocess",
    "end_to_end_level_1",
    "end_to_end_level_2",
    "end_to_end_level_3",
    "end_to_end_level_4",
    "end_to_end_level_5",
    "end_to_end_random_level",
    "end_to_end_mix_2_distortions",
    "end_to_end_mix_3_distortions",
    "end_to_end_mix_4_distortions",
]

_FAKE = re.compile(r"(\d+)_([A-Z]\d+)")
"""`TARGET_ACTOR`: the FaceForensics++ video TARGET with the face of an actor."""


class DeeperForensics(RecordedFakes):
    """Frames of FaceForensics++ originals, one for each frame of DeeperForensics' fake of them.

    Nobody has published masks. The splits are the lists of the dataset. Its own real videos are of the
    actors, and are no originals of the fakes.

    Args:
        path: the folder with `manipulated_videos` and `lists`.
        originals: the folder of FaceForensics++, whose `original_sequences` hold the targets.
        size: side of the square pictures, in pixels.
        variant: the folder of fakes. Those of `end_to_end_...` are perturbed and the originals are not, so
            that a perturbation tells a fake; choose `picture_qualities` in its place.
        compression: compression of the originals; "c23" is what the fakes were made of.
        frames: number of frames that are taken of each fake, evenly spaced; 0 takes all.
        pairs: number of fakes of each split at most; 0 takes all.
        crop: "face" finds the face in the real video, "landmarks" takes those that DeepfakeBench leaves
            beside its frames, "centre" keeps the middle square, "whole" everything.
        source: what is read: extracted frames, videos (extra `video`), or whichever is there, frames first.

    Raises:
        DataError: a folder or a list is missing, or a list is something else.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        originals: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        variant: Variant = "end_to_end",
        compression: Literal["raw", "c0", "c23", "c40"] = "c23",
        frames: Annotated[int, Field(ge=0, le=100_000)] = 10,
        pairs: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        crop: Crop = "face",
        source: Literal["auto", "images", "videos"] = "auto",
    ) -> None:
        root = given_folder(path, "deeperforensics")
        if not originals:
            raise DataError(
                'deeperforensics: its real videos are those of FaceForensics++: originals = "FOLDER"'
            )
        targets = sequences(given_folder(originals, "deeperforensics"), "original", compression)
        folder = root / "manipulated_videos" / variant
        if not folder.is_dir():
            raise DataError(f"{folder}: does not exist")
        finder = PairFinder("deeperforensics", source)
        listed: dict[str, list[RecordedPair]] = {}
        for split, names in read_lists(root).items():
            listed[split] = []
            for name in names:
                target, actor = name.split("_")
                fakes: dict[str, Place] = {variant: ([folder], name)}
                listed[split] += finder.pair(name, (target, actor), (targets, target), fakes)
        finder.tell([pair for found in listed.values() for pair in found], folder)
        shared = beside_test(listed["test"], listed["calibration"], listed["train"], "deeperforensics")
        how = Reading(size, frames, crop, pairs)
        super().__init__("deeperforensics", [variant], shared, how, VERSION)


def read_lists(root: Path) -> dict[str, list[str]]:
    """Names of fakes by split, from `lists/splits/train.txt`, `val.txt` and `test.txt`.

    Raises:
        DataError: a list is missing, a line is no fake's name, or a fake is listed twice.
    """
    lists: dict[str, list[str]] = {}
    known: dict[str, str] = {}
    for split, official in zip(SPLITS, ("train", "val", "test"), strict=True):
        path = find(root, [f"lists/splits/{official}.txt"], "list of a split")
        lists[split] = []
        for number, line in text_lines(path, error=DataError):
            name = line.strip().replace("\\", "/").rpartition("/")[2].removesuffix(".mp4")
            if not name:
                continue
            if not _FAKE.fullmatch(name):
                raise DataError(
                    f"{path}:{number}: expected a fake as 000_M101.mp4, got {line.strip()[:60]!r}"
                )
            if name in known:
                raise DataError(f"{path}:{number}: {name} is listed already, in {known[name]}")
            known[name] = path.name
            lists[split].append(name)
    return lists


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="deeperforensics",
            build=DeeperForensics,
            cite="Jiang et al., DeeperForensics-1.0, CVPR 2020 (arXiv 2001.03024)",
            tags=("faces", "video", "forensics"),
        )
    ]
