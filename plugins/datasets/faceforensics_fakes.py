"""FaceForensics++ for forensics: originals, each beside what the manipulations made of it, with masks."""

from __future__ import annotations

from typing import Annotated, Literal

from magdr_core.api import DataError, DataPath, DatasetSpec, Field, hookimpl

from ._clips import find_clip
from ._crops import Crop
from ._faceforensics import mask_folders, read_splits, sequences
from ._finding import PairFinder, Place
from ._pairs import RecordedPair
from ._pictures import given_folder
from ._recorded import Reading, RecordedFakes

MAGDR_API = 1

VERSION = 1
"""Raised whenever the same files would give other pictures."""

Method = Literal["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"]

WITHOUT_MASKS = ("FaceShifter",)
"""Of these nobody has published any."""


class FaceForensicsFakes(RecordedFakes):
    """Frames of FaceForensics++'s originals that manipulations have fakes of, and these fakes.

    Only frames that all of the manipulations have are taken: clips of FaceSwap and NeuralTextures are
    shorter. What masks mean is not the same: of Face2Face and FaceSwap the blended face, of Deepfakes a
    rectangle, of NeuralTextures the region that the tracker followed. FaceShifter has none.

    Args:
        path: the folder with `original_sequences`, `manipulated_sequences` and `splits`.
        size: side of the square pictures, in pixels.
        manipulations: manipulations whose fakes are read.
        compression: compression of originals and fakes; "raw" and "c0" mean the same.
        frames: number of frames that are taken of each original, evenly spaced; 0 takes all.
        pairs: number of originals of each split at most; 0 takes all.
        crop: "mask" keeps what the masks of the first manipulation that has some mark, "face" finds the face
            in the original, "landmarks" takes those that DeepfakeBench leaves beside its frames, "centre"
            keeps the middle square, "whole" everything.
        masks: whether masks are there; without them figures of localization have nothing to go by.
        source: what is read: extracted frames, videos (extra `video`), or whichever is there, frames first.

    Raises:
        DataError: a folder or split file is missing, or no fake is there.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 128,
        manipulations: tuple[Method, ...] = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"),
        compression: Literal["raw", "c0", "c23", "c40"] = "c23",
        frames: Annotated[int, Field(ge=0, le=100_000)] = 10,
        pairs: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
        crop: Crop | Literal["mask"] = "mask",
        masks: bool = True,
        source: Literal["auto", "images", "videos"] = "auto",
    ) -> None:
        root = given_folder(path, "faceforensics-fakes")
        if not manipulations:
            raise DataError("faceforensics-fakes: manipulations are empty; name some, as Deepfakes")
        masked = [name for name in manipulations if masks and name not in WITHOUT_MASKS]
        if crop == "mask" and not masked:
            raise DataError('faceforensics-fakes: crop = "mask" needs masks of one of the manipulations')
        finder = PairFinder("faceforensics-fakes", source)
        originals = sequences(root, "original", compression)
        shared: dict[str, list[RecordedPair]] = {}
        for split, listed in read_splits(root).items():
            shared[split] = []
            for a, b in (both for pair in listed for both in (pair, pair[::-1])):
                fakes: dict[str, Place] = {
                    name: (sequences(root, name, compression), f"{a}_{b}") for name in manipulations
                }
                for pair in finder.pair(f"{a}_{b}", (a, b), (originals, a), fakes):
                    made = {
                        name: fake._replace(masks=find_clip(mask_folders(root, name), f"{a}_{b}"))
                        if name in masked
                        else fake
                        for name, fake in pair.fakes.items()
                    }
                    shared[split].append(RecordedPair(pair.key, pair.people, pair.real, made))
        finder.tell([pair for found in shared.values() for pair in found], root)
        how = Reading(size, frames, crop, pairs)
        super().__init__("faceforensics-fakes", manipulations, shared, how, VERSION)


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="faceforensics-fakes",
            build=FaceForensicsFakes,
            cite="Roessler et al., FaceForensics++, ICCV 2019 (arXiv 1901.08971)",
            tags=("faces", "video", "forensics"),
        )
    ]
