"""Celeb-DF (v2): videos of celebrities, and fakes in which their faces were swapped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl, text_lines

from ._clips import clip_names
from ._crops import Crop
from ._finding import PairFinder
from ._pairs import RecordedPair
from ._people import beside_test, by_people
from ._pictures import find, given_folder
from ._recorded import Reading, RecordedFakes

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""

MANIPULATION = "Celeb-synthesis"

REAL, FAKE = "1", "0"
"""Labels of the list: 1 is a real video, 0 a fake, which is not what the rest of the field writes."""

_FAKE = re.compile(r"(id\d+)_(id\d+)_(\d+)")
"""`idA_idB_CCCC` is the video `idA_CCCC` with the face of B."""


class CelebDF(RecordedFakes):
    """Frames of Celeb-DF's real videos of celebrities, one for each frame of a fake of them.

    Real videos of which there is no fake (`YouTube-real`) have no rows. Nobody has published masks.

    Args:
        path: the folder with `Celeb-real`, `Celeb-synthesis` and `List_of_testing_videos.txt`.
        size: side of the square pictures, in pixels.
        frames: number of frames that are taken of each fake, evenly spaced; 0 takes all.
        pairs: number of fakes of each split at most; 0 takes all.
        crop: "face" finds the face in the real video, "landmarks" takes those that DeepfakeBench leaves
            beside its frames, "centre" keeps the middle square, "whole" everything.
        source: what is read: extracted frames, videos (extra `video`), or whichever is there, frames first.
        split: "official" tests on the published list; "people" shares out people, and needs no list.

    Raises:
        DataError: a folder or the list is missing, or the list is something else.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        frames: Annotated[int, Field(ge=0, le=100_000)] = 10,
        pairs: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        crop: Crop = "face",
        source: Literal["auto", "images", "videos"] = "auto",
        split: Literal["official", "people"] = "official",
    ) -> None:
        root = given_folder(path, "celeb-df")
        folder, finder = root / "Celeb-synthesis", PairFinder("celeb-df", source)
        found: list[RecordedPair] = []
        names = clip_names(folder, source)
        listed = tested_fakes(root) if split == "official" else set()
        for name in sorted(listed.difference(names)):
            finder.miss(f"{folder / name}.mp4: does not exist, but the list of test videos names it")
        for name in names:
            if match := _FAKE.fullmatch(name):
                first, second, number = match.groups()
                real = ([root / "Celeb-real"], f"{first}_{number}")
                fakes = {MANIPULATION: ([folder], name)}
                found += finder.pair(name, (first, second), real, fakes)
            else:
                finder.miss(f"{folder / name}: is not named as id0_id1_0000")
        finder.tell(found, folder)
        if split == "people":
            shared = by_people(found, "celeb-df")
        else:
            test = [pair for pair in found if pair.key in listed]
            others: Sequence[RecordedPair] = [pair for pair in found if pair.key not in listed]
            shared = beside_test(test, (), others, "celeb-df")
        how = Reading(size, frames, crop, pairs)
        super().__init__("celeb-df", [MANIPULATION], shared, how, VERSION)


def tested_fakes(root: Path) -> set[str]:
    """Names of the fakes in the list of test videos.

    Raises:
        DataError: it is missing, or a line is no label and path that fit together.
    """
    path = find(root, ["List_of_testing_videos.txt"], "list of test videos")
    names: set[str] = set()
    count = 0
    for number, line in text_lines(path, error=DataError):
        label, _, video = line.strip().partition(" ")
        if not label:
            continue
        count += 1
        folder, _, file = video.strip().replace("\\", "/").rpartition("/")
        expected = FAKE if folder.endswith("-synthesis") else REAL if folder.endswith("-real") else ""
        if not expected or label not in (REAL, FAKE):
            shown = line.strip()[:60]
            raise DataError(
                f"{path}:{number}: expected 1 or 0 and a video as Celeb-real/x.mp4, got {shown!r}"
            )
        if label != expected:
            raise DataError(f"{path}:{number}: {video} is labelled {label}; 1 is real here, 0 is fake")
        if label == FAKE:
            names.add(file.removesuffix(".mp4"))
    if not count:
        raise DataError(f"{path}: lists no video")
    return names


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="celeb-df",
            build=CelebDF,
            cite="Li et al., Celeb-DF, CVPR 2020 (arXiv 1909.12962)",
            tags=("faces", "video", "forensics"),
        )
    ]
