"""The Deepfake Detection Challenge: parts of the training set with their metadata, and the preview set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl, read_json

from ._crops import Crop
from ._finding import PairFinder
from ._pairs import RecordedPair
from ._people import beside_test, by_people
from ._pictures import find, given_folder
from ._recorded import Reading, RecordedFakes

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""

LARGEST = 2**26
"""Bytes of a table; that of a part has 300,000."""

FEWEST_PARTS = 3

_PREVIEW = re.compile(r"(\d+)_(\d+)_(.+)")
"""A fake `SWAPPED_TARGET_CLIP` of the preview set is the video `TARGET_CLIP` with the face of SWAPPED."""


class DFDC(RecordedFakes):
    """Frames of the real videos of DFDC's training parts, one for each frame of a fake of them.

    The test set does not say which real video a fake was made of, and is not read. Nobody has published
    masks; some fakes have several faces of which not all are forged, or only forged sound.

    Args:
        path: a folder of parts (`dfdc_train_part_0/metadata.json`, ...), or one part.
        size: side of the square pictures, in pixels.
        frames: number of frames that are taken of each fake, evenly spaced; 0 takes all.
        pairs: number of fakes of each split at most; 0 takes all.
        crop: "face" finds the face in the real video, "landmarks" takes those that DeepfakeBench leaves
            beside its frames, "centre" keeps the middle square, "whole" everything.
        source: what is read: extracted frames, videos (extra `video`), or whichever is there, frames first.
        split: "part" shares out whole parts, of which at least 3 are needed; "original" shares out real
            videos. The metadata name no people: one may be in several videos, and in several parts.

    Raises:
        DataError: no part is there, there are too few, or metadata are something else.
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
        split: Literal["part", "original"] = "part",
    ) -> None:
        root = given_folder(path, "dfdc")
        files = [root / "metadata.json"]
        if not files[0].is_file():
            files = sorted([*root.glob("*/metadata.json"), *root.glob("train/*/metadata.json")])
        if not files:
            raise DataError(f"{root}: no part with a metadata.json, as dfdc_train_part_0/metadata.json")
        if split == "part" and len(files) < FEWEST_PARTS:
            few = f"{len(files)} of at least {FEWEST_PARTS} parts to share out"
            raise DataError(f'{root}: has {few}; split = "original" shares out real videos')
        finder = PairFinder("dfdc", source)
        parts = {str(file.parent): [*_of_part(file, finder)] for file in files}
        found = [pair for part in parts.values() for pair in part]
        finder.tell(found, root)
        if split == "part":
            # Shared out as if a part was a person; of people no more is known than their real video.
            own = {pair.key: pair for pair in found}
            of_parts = [replace(pair, people=(part,)) for part, some in parts.items() for pair in some]
            homes = by_people(of_parts, "dfdc")
            shared = {name: [own[pair.key] for pair in some] for name, some in homes.items()}
        else:
            shared = by_people(found, "dfdc")
        super().__init__("dfdc", ["dfdc"], shared, Reading(size, frames, crop, pairs), VERSION)


def _of_part(file: Path, finder: PairFinder) -> list[RecordedPair]:
    """The pairs of a part: `{"x.mp4": {"label": "FAKE", "original": "y.mp4", ...}, ...}`."""
    table, found = _table(file), list[RecordedPair]()
    for name, told in table.items():
        label, original = told.get("label"), told.get("original")
        if label not in ("REAL", "FAKE"):
            raise DataError(f"{file}: {name} has the label {label!r}, expected REAL or FAKE")
        if label == "REAL":
            continue
        if not isinstance(original, str) or not original:
            finder.miss(f"{file}: {name} names no original")
            continue
        if original in table and table[original].get("label") != "REAL":
            raise DataError(f"{file}: {name} names {original} as its original, which is no REAL video itself")
        real, fake = Path(original).stem, Path(name).stem
        found += finder.pair(fake, (real,), ([file.parent], real), {"dfdc": ([file.parent], fake)})
    return found


class DFDCPreview(RecordedFakes):
    """Frames of the real videos of DFDC's preview set, one for each frame of a fake of them.

    Nobody has published masks. Names tell both people of a fake.

    Args:
        path: the folder with `dataset.json`, `original_videos`, `method_A` and `method_B`.
        size: side of the square pictures, in pixels.
        method: method whose fakes are read; "all" reads both.
        frames: number of frames that are taken of each fake, evenly spaced; 0 takes all.
        pairs: number of fakes of each split at most; 0 takes all.
        crop: "face" finds the face in the real video, "landmarks" takes those that DeepfakeBench leaves
            beside its frames, "centre" keeps the middle square, "whole" everything.
        source: what is read: extracted frames, videos (extra `video`), or whichever is there, frames first.
        split: "official" tests on what `dataset.json` says; "people" shares out people.

    Raises:
        DataError: the folder or `dataset.json` is missing, or is something else.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        method: Literal["all", "method_A", "method_B"] = "all",
        frames: Annotated[int, Field(ge=0, le=100_000)] = 10,
        pairs: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        crop: Crop = "face",
        source: Literal["auto", "images", "videos"] = "auto",
        split: Literal["official", "people"] = "official",
    ) -> None:
        root = given_folder(path, "dfdc-preview")
        file = find(root, ["dataset.json"], "dataset.json")
        manipulation = "dfdc-preview" if method == "all" else method
        table, finder = _table(file), PairFinder("dfdc-preview", source)
        reals = {Path(name).stem: name for name, told in table.items() if _is_real(name, told, file)}
        found, test = list[RecordedPair](), list[RecordedPair]()
        for name, told in table.items():
            by = name.replace("\\", "/").partition("/")[0]
            if told["label"] == "real" or method not in ("all", by):
                continue
            match = _PREVIEW.fullmatch(Path(name).stem)
            original = f"{match[2]}_{match[3]}" if match else ""
            if match is None or original not in reals:
                finder.miss(f"{file}: {name} is a fake of no real video that is listed")
                continue
            real, fake = (_place(root, one) for one in (reals[original], name))
            key = f"{by}-{Path(name).stem}"
            made = [*finder.pair(key, (match[2], match[1]), real, {manipulation: fake})]
            found += made
            test += made if told["set"] == "test" else []
        finder.tell(found, root)
        if split == "people":
            shared = by_people(found, "dfdc-preview")
        else:
            shared = beside_test(test, (), found, "dfdc-preview")
        how = Reading(size, frames, crop, pairs)
        super().__init__("dfdc-preview", [manipulation], shared, how, VERSION)


def _is_real(name: str, told: Mapping[str, Any], file: Path) -> bool:
    label, part = told.get("label"), told.get("set")
    if label not in ("real", "fake"):
        raise DataError(f"{file}: {name} has the label {label!r}, expected real or fake")
    if part not in ("train", "test"):
        raise DataError(f"{file}: {name} is in the set {part!r}, expected train or test")
    return label == "real"


def _place(root: Path, name: str) -> tuple[list[Path], str]:
    """A video that the list names, as it was published or as DeepfakeBench leaves it."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0]:
        raise DataError(f"{root / 'dataset.json'}: {name[:60]!r} is no video inside the dataset's folder")
    folder = root.joinpath(*parts[:-1])
    return [folder, root / parts[0]], Path(parts[-1]).stem


def _table(file: Path) -> dict[str, dict[str, Any]]:
    """A JSON object of objects.

    Raises:
        DataError: it is something else.
    """
    table = read_json(file, error=DataError, most=LARGEST)
    if not isinstance(table, dict) or not table or not all(isinstance(one, dict) for one in table.values()):
        raise DataError(f'{file}: is no list of videos such as {{"x.mp4": {{"label": ...}}, ...}}')
    return table


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    tags = ("faces", "video", "forensics")
    return [
        DatasetSpec(
            name="dfdc", build=DFDC, cite="Dolhansky et al., DFDC, 2020 (arXiv 2006.07397)", tags=tags
        ),
        DatasetSpec(
            name="dfdc-preview",
            build=DFDCPreview,
            cite="Dolhansky et al., DFDC preview, 2019 (arXiv 1910.08854)",
            tags=tags,
        ),
    ]
