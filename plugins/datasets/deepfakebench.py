"""Any data set that was prepared by DeepfakeBench: aligned faces, masks and landmarks, in a JSON list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl, suggestion

from ._clips import PictureClip
from ._crops import Crop
from ._deepfakebench import Listed, Places, is_real, named_after, read_tree
from ._finding import PairFinder
from ._pairs import RecordedFake, RecordedPair
from ._people import beside_test, by_people
from ._pictures import file_digest, given_folder, given_path
from ._recorded import Reading, RecordedFakes

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""

Videos = Mapping[str, Mapping[str, Listed]]


class DeepfakeBench(RecordedFakes):
    """Frames of a data set's real videos that DeepfakeBench has prepared, each beside its fakes.

    A fake tells by its name which real video it was made of (`000_003`, `id0_id16_0003`). Faces are aligned
    one by one there, so that a fake does not lie over its real to the pixel, and where the two were taken at
    other frames, those within 5 frames are a pair. Masks are as recorded, where there are some.

    Args:
        path: the list, as `preprocessing/dataset_json/FF-DF.json`.
        root: the folder below which its paths are found, whatever machine they were written on; the list's
            own if empty.
        size: side of the square pictures, in pixels.
        manipulations: labels of fakes; a real video is taken if all of them have a fake of the same name.
            All labels of the list if empty.
        compression: which compression is read, where the list has several.
        frames: number of frames that are taken of each fake, evenly spaced; 0 takes all.
        pairs: number of fakes of each split at most; 0 takes all.
        crop: "whole" keeps all of the faces, which are cut out already; "landmarks" a square around the
            real's landmarks, "face" one around the face that is found, "centre" the middle.
        split: "official" takes the list's, where no person of the test split is in another, and `val` is
            made anew by people if it holds nothing but test videos; "people" shares out people.

    Raises:
        DataError: the list is missing or something else, or no fake tells its real video.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        root: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        manipulations: tuple[str, ...] = (),
        compression: Literal["raw", "c0", "c23", "c40"] = "c23",
        frames: Annotated[int, Field(ge=0, le=100_000)] = 10,
        pairs: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        crop: Crop = "whole",
        split: Literal["official", "people"] = "official",
    ) -> None:
        file = given_path(path, "deepfakebench", "LIST.json")
        if not file.is_file():
            raise DataError(f"deepfakebench: {file} {'is a folder' if file.is_dir() else 'does not exist'}")
        folder = given_folder(root, "deepfakebench") if root else None
        tree = read_tree(file, compression)
        wanted = _wanted(tree, manipulations, file)
        reals = {
            name: splits
            for label, videos in tree.items()
            if is_real(label)
            for name, splits in videos.items()
        }
        finder = PairFinder("deepfakebench", "images")
        places = Places(file, folder)
        found = _pairs({label: tree[label] for label in wanted}, reals, places, finder, file)
        finder.tell(found, file)
        if split == "people":
            shared = by_people(found, "deepfakebench")
        else:
            first = tree[wanted[0]]
            test = [pair for pair in found if "test" in first[pair.key]]
            calibration = [pair for pair in found if "calibration" in first[pair.key]]
            shared = beside_test(test, calibration, found, "deepfakebench")
        how = Reading(size, frames, crop, pairs)
        super().__init__("deepfakebench", wanted, shared, how, VERSION, file_digest(file))


def _wanted(tree: Mapping[str, Videos], manipulations: Sequence[str], file: Path) -> list[str]:
    """The labels of the fakes.

    Raises:
        DataError: there is none, or one that was asked for is not there.
    """
    fakes = [label for label in tree if not is_real(label)]
    if not fakes or len(fakes) == len(tree):
        raise DataError(f"{file}: needs labels of real videos and of fakes, has {', '.join(tree) or 'none'}")
    for label in manipulations:
        if label not in fakes:
            hint = suggestion(label, fakes)
            raise DataError(f"{file}: has no fakes {label!r}{hint}; there are {', '.join(fakes)}")
    return list(dict.fromkeys(manipulations)) or fakes


def _pairs(
    fakes: Mapping[str, Videos], reals: Videos, places: Places, finder: PairFinder, file: Path
) -> list[RecordedPair]:
    """The pairs of which every label has a fake, and whose files are there."""
    found = []
    for name in dict.fromkeys(name for videos in fakes.values() for name in videos):
        lacking = [label for label, videos in fakes.items() if name not in videos]
        if lacking:
            finder.miss(f"{file}: {name} has no fake {lacking[0]} (manipulations)")
            continue
        after = next(((real, people) for real, people in named_after(name) if real in reals), None)
        if after is None:
            finder.miss(f"{file}: {name} does not tell which real video of the list it was made of")
            continue
        real, people = after
        clip = _clip(reals[real], places)
        made = {label: _fake(videos[name], places) for label, videos in fakes.items()}
        missing = [one for one, there in {real: clip, **made}.items() if there is None]
        if clip is None or missing:
            listed = reals[real] if clip is None else fakes[missing[0]][name]
            frames = next(iter(listed.values())).frames
            shown = frames[0] if frames else f"{name}: no frame"
            finder.miss(f"{file}: {shown}: is not found below the folder of the data (root)")
            continue
        found.append(RecordedPair(name, people, clip, {k: fake for k, fake in made.items() if fake}))
    return found


def _clip(splits: Mapping[str, Listed], places: Places) -> PictureClip | None:
    """A video's frames; the lists of its splits are copies of each other."""
    return places.clip(next(iter(splits.values())).frames)


def _fake(splits: Mapping[str, Listed], places: Places) -> RecordedFake | None:
    listed = next(iter(splits.values()))
    clip = places.clip(listed.frames)
    return None if clip is None else RecordedFake(clip, places.clip(listed.masks))


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="deepfakebench",
            build=DeepfakeBench,
            cite="Yan et al., DeepfakeBench, NeurIPS 2023 (github.com/SCLBD/DeepfakeBench)",
            tags=("faces", "forensics"),
        )
    ]
