"""Portraits with masks of hair and person and with landmarks, and classical edits of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magdr_core.api import Batch, DataError, DataPath, DatasetSpec, Field, SampleRng, hookimpl, text_lines

from ._pictures import file_digest, given_folder, read_listed
from ._portrait_list import Portrait, read_landmarks, read_list
from ._splits import check_split, digest, stacked
from .retouch import EDITS, Scene, varied
from .retouch.hair import ENOUGH, hair_share
from .retouch.scenes import FINER

MAGDR_API = 1

NAME = "portraits"
VERSION = 1
"""Raised whenever the same files would give other pictures."""

LIST, LANDMARKS, TERMS = "list.csv", "landmarks.npz", "TERMS.txt"


class PortraitSplit:
    """The people of one split, each in as many variations as the dataset has."""

    def __init__(self, dataset: Portraits, name: str) -> None:
        self._dataset = dataset
        self._name = name
        self._rows = [i for i, p in enumerate(dataset.portraits) if p.split == name]
        # What was asked for last: an edit of it is asked for next.
        self._latest: tuple[tuple[str, ...], Scene] | None = None

    def __len__(self) -> int:
        return len(self._rows) * max(self._dataset.variations, 1)

    def _chosen(self, indices: Sequence[int]) -> tuple[list[int], tuple[str, ...]]:
        """Rows of the list, and ids; everybody comes once before anybody comes again."""
        for i in indices:
            if not 0 <= i < len(self):
                raise DataError(f"split {self._name!r} has {len(self)} pictures, there is no index {i}")
        people = len(self._rows) or 1
        rows = [self._rows[i % people] for i in indices]
        names = [self._dataset.portraits[row].name for row in rows]
        if self._dataset.variations:
            names = [f"{name}~{i // people}" for name, i in zip(names, indices, strict=True)]
        return rows, tuple(names)

    def scene(self, indices: Sequence[int]) -> Scene:
        """What edits work on: the pictures with their masks and landmarks, before they are shrunk."""
        rows, ids = self._chosen(indices)
        dataset = self._dataset
        if self._latest is None or self._latest[0] != ids:
            parts = dataset.photographed(rows)
            if dataset.variations:
                scene = varied(*parts, SampleRng(0, NAME, ids), any_frames=dataset.frames == "any")
            else:
                scene = Scene.of(*parts)
            self._latest = ids, scene
        return self._latest[1]

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        """The pictures with these indices, read from disk now.

        Raises:
            DataError: no such index, or a file that is missing or damaged, named.
        """
        rows, ids = self._chosen(indices)
        dataset = self._dataset
        if not rows:
            return Batch(stacked([], dataset.size), ()).to(dataset.device)
        scene = self.scene(indices)
        hair, person = scene.soft_masks()
        return Batch(
            images=scene.images({}),
            ids=ids,
            attributes={
                "Bald": (hair_share(scene.region) <= ENOUGH).float(),
                "Eyeglasses": scene.has_glasses.float(),
            },
            masks=scene.parts(),
            identities=torch.tensor(rows),
            annotations={"landmarks": scene.points / FINER, "hair": hair, "person": person},
        ).to(dataset.device)

    def edited(self, indices: Sequence[int], changes: Mapping[str, Tensor]) -> Tensor:
        """The same pictures with some attributes added: `[B,3,size,size]`.

        Args:
            changes: names of :data:`.retouch.EDITS` with `[B]` each. 1 adds; 0 leaves as it is, since
                classical edits take nothing away, and so does 1 for what is drawn already. What an edit does
                not touch keeps its values.

        Raises:
            DataError: another name.
        """
        unknown = sorted(set(changes) - set(EDITS))
        if unknown:
            raise DataError(f"{NAME} can add {', '.join(EDITS)}, not {unknown[0]!r}")
        wishes = {name: values.cpu() for name, values in changes.items()}
        scene = self.scene(indices)
        if "Eyeglasses" in wishes:
            wishes["Eyeglasses"] = wishes["Eyeglasses"] * ~scene.has_glasses
        return scene.images(wishes).to(self._dataset.device)


class Portraits:
    """Face crops of one's own with masks and landmarks, all of them guesses of networks.

    A batch has soft masks over the parser's 19 classes, put together from all three (hats and jewellery are
    not known); annotations `landmarks` `[B,468,2]` in pixels, `hair` and `person` `[B,1,size,size]`;
    `identities`, one for each picture; and the attributes `Bald` (hardly any hair was found) and
    `Eyeglasses`, which is about drawn glasses alone: whether somebody really wears some is not known and
    counts as 0.

    Args:
        path: the folder: `list.csv` (name, split, size, source_side), `landmarks.npz` (`names`, `points`),
            and for each name a square `NAME.jpg` and `NAME.mask.png` (red: hair, green: person).
        size: side of the pictures, in pixels.
        variations: how often everybody is there, each time at another place, in other light, often before a
            drawn background, with hair of another colour or drawn glasses; 0 shows the pictures as they are.
        frames: glasses that `edited` puts on: ordinary ones, or in variations those of any shape and colour.
        least_source: least side of the part of the original that a portrait was cut from, in pixels;
            others are blurred, and left out.

    Raises:
        DataError: the folder or one of the lists is missing or damaged, or nobody is left.
    """

    def __init__(
        self,
        *,
        path: DataPath = "",
        size: Annotated[int, Field(ge=64, le=256, multiple_of=4)] = 64,
        variations: Annotated[int, Field(ge=0, le=10_000)] = 0,
        frames: Literal["ordinary", "any"] = "ordinary",
        least_source: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.size = size
        self.variations = variations
        self.frames = frames
        self.device = torch.device("cpu")
        self._root = given_folder(path, NAME)
        self._least_source = least_source
        listed = read_list(self._root / LIST)
        self.portraits: list[Portrait] = [p for p in listed if p.source_side >= least_source]
        if not self.portraits:
            raise DataError(f"{self._root / LIST}: no portrait is cut from {least_source} pixels or more")

    @cached_property
    def _points(self) -> Tensor:
        """`[n,468,2]` as shares of the side of the picture file, in the order of the list."""
        known = read_landmarks(self._root / LANDMARKS)
        missing = [p.name for p in self.portraits if p.name not in known]
        if missing:
            raise DataError(f"{self._root / LANDMARKS}: has no points of {missing[0]}")
        return torch.stack([known[p.name] for p in self.portraits]) / torch.tensor(
            [[[float(p.size)]] for p in self.portraits]
        )

    def photographed(self, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures, hair, person and points of these rows of the list, as :class:`.retouch.Scene` has them.

        Raises:
            DataError: a file is missing, damaged or of another size than the list says.
        """
        side = FINER * self.size
        pictures: list[Tensor] = []
        masks: list[Tensor] = []
        for row in rows:
            portrait = self.portraits[row]
            for suffix, kept in ((".jpg", pictures), (".mask.png", masks)):
                path = self._root / f"{portrait.name}{suffix}"
                read = read_listed(path, self._root / LIST)
                if read.shape[1:] != (portrait.size, portrait.size):
                    shown = "x".join(map(str, read.shape[1:]))
                    raise DataError(f"{path}: {shown} pixels, {LIST} says {portrait.size}x{portrait.size}")
                kept.append(_sized(read, side))
        mask = torch.stack(masks)
        points = self._points[list(rows)] * side
        return torch.stack(pictures), mask[:, :1], mask[:, 1:2], points

    def split(self, name: str) -> PortraitSplit:
        check_split(name, NAME)
        _ = self._points  # landmarks that do not fit are found now, not at the first picture
        return PortraitSplit(self, name)

    def sources(self) -> dict[str, int]:
        """How many portraits there are of each folder, by its name."""
        folders = [p.name.rpartition("/")[0] or "." for p in self.portraits]
        return {folder: folders.count(folder) for folder in dict.fromkeys(folders)}

    def terms(self) -> str:
        """What the folder's `TERMS.txt` says about sources and terms, on one line; empty if there is none.

        Raises:
            DataError: it is no text.
        """
        path = self._root / TERMS
        if not path.is_file():
            return ""
        return " ".join(line.strip() for _, line in text_lines(path, error=DataError) if line.strip())

    def fingerprint(self) -> str:
        """Names the pictures by the lists' content and by the files' names and sizes, which are not read."""
        files = [
            f"{p.name}{suffix} {path.stat().st_size if path.is_file() else 0}"
            for p in self.portraits
            for suffix in (".jpg", ".mask.png")
            for path in [self._root / f"{p.name}{suffix}"]
        ]
        lists = (file_digest(self._root / name) for name in (LIST, LANDMARKS))
        varied_by = f"-{self.variations}x-{self.frames}" if self.variations else ""
        least = f"-from{self._least_source}" if self._least_source else ""
        return f"{NAME}-v{VERSION}-{self.size}px{varied_by}{least}-{digest(*lists, *files)}"


def _sized(image: Tensor, side: int) -> Tensor:
    """`[3,n,n]` of 8-bit levels -> `[3,side,side]`, averaged where it shrinks and bicubic where it grows."""
    if image.shape[-1] == side:
        return image
    pixels = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).contiguous().numpy())
    filtering = Image.Resampling.BOX if image.shape[-1] % side == 0 else Image.Resampling.BICUBIC
    resized = np.array(pixels.resize((side, side), filtering))
    return torch.from_numpy(resized).permute(2, 0, 1).float() / 255


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name=NAME,
            build=Portraits,
            cite="Kartynnik et al., Real-time facial surface geometry, 2019 (arXiv 1907.06724), for the mesh",
            tags=("faces", "photos", "masks"),
        )
    ]
