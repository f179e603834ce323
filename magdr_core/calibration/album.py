"""Face cuts as a dataset: one's own clean pictures, to calibrate on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magdr_core.calibration.partition import CalibrationPartition
from magdr_core.components.batch import Batch
from magdr_core.errors import DataError

ACTION_UNITS = 17
"""OpenFace's intensities."""

SHARES = (0.3, 0.4, 0.15, 0.15)
"""Of the pictures: to standardise on, for the threshold, and two parts to attack (`CalibrationPartition`)."""

MIN_PICTURES = 24
COARSE_BELOW = 100
"""With fewer pictures a false-positive rate of 1% cannot be set, let alone checked."""

WANTED = 96
"""Samples per part that repeated pictures are to give; few pictures are used with several edits each."""

WANTED_CLEAN = 200
"""Samples that a threshold is to be set on, likewise."""

MOST_REPEATS = 8


@dataclass(frozen=True)
class Sharing:
    """How one's own pictures are shared out.

    Attributes:
        pictures: how many different pictures each part has.
        repeats: how often each is used, with another edit each time.
    """

    pictures: CalibrationPartition
    repeats: int

    @staticmethod
    def for_thresholds(count: int) -> Sharing:
        """All of them set thresholds. Raises DataError for fewer than `MIN_PICTURES`."""
        _enough(count)
        pictures = CalibrationPartition.sized(0, count, 0)
        return Sharing(pictures, min(MOST_REPEATS, max(1, -(-WANTED_CLEAN // count))))

    @staticmethod
    def of(count: int) -> Sharing:
        """Every part has some. Raises DataError for fewer than `MIN_PICTURES`."""
        _enough(count)
        fit, attacked = round(count * SHARES[0]), round(count * SHARES[2])
        pictures = CalibrationPartition.sized(fit, count - fit - 2 * attacked, attacked)
        return Sharing(pictures, min(MOST_REPEATS, max(1, -(-WANTED // fit))))

    @property
    def samples(self) -> CalibrationPartition:
        """The parts as calibration sees them, every picture `repeats` times."""
        return self.pictures.times(self.repeats)

    @property
    def numbers(self) -> dict[str, int]:
        """These samples as keys of a registry's `[calibration]`."""
        parts = self.samples
        return {"fit": parts.fit.count, "clean": parts.clean.count, "attacked": parts.learned.count}


def _enough(count: int) -> None:
    if count < MIN_PICTURES:
        raise DataError(f"{count} clean pictures with a face are too few, {MIN_PICTURES} at least")


class Album:
    """Pictures in memory as the split `calibration`, in the order in which calibration uses its parts.

    Each picture belongs to one part only, and is there `repeats` times under ids of its own, so that it gets
    as many edits. Action units of one's own pictures are not known; all are 0, which is also what `magdr
    defend` assumes where it is not told.

    Args:
        images: `[n,3,S,S]`, 8-bit levels.
        names: n stable names.
        attributes: by the generator's condition names what each picture shows, `[n]` in [0,1] each, as
            `magdr defend` takes it to be.
        sharing: what they are for; every part has some if None.
    """

    def __init__(
        self,
        images: Tensor,
        names: Sequence[str],
        attributes: Mapping[str, Tensor],
        sharing: Sharing | None = None,
    ) -> None:
        self.size = int(images.shape[-1])
        self.device = images.device
        self.sharing = sharing or Sharing.of(len(images))
        self._images = images
        self._names = tuple(names)
        self._attributes = {name: shown.to(images.device) for name, shown in attributes.items()}
        self._rows = _spread(len(images), self.sharing)

    def split(self, name: str) -> Album:
        if name != "calibration":
            raise DataError(f"one's own pictures have no split {name!r}, only 'calibration'")
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        rows = [self._rows[i] for i in indices]
        pictures = [i for i, _ in rows]
        return Batch(
            images=self._images[pictures],
            ids=tuple(f"{self._names[i]}#{k}" for i, k in rows),
            attributes={name: shown[pictures] for name, shown in self._attributes.items()},
            action_units=torch.zeros(len(rows), ACTION_UNITS, device=self.device),
            identities=torch.tensor([i for i, _ in rows], device=self.device),
        )

    def fingerprint(self) -> str:
        levels = (self._images * 255).round().byte().cpu().contiguous().numpy().tobytes()
        shown = [(name, values.tolist()) for name, values in self._attributes.items()]
        content = hashlib.sha256(levels + "\n".join([*self._names, repr(shown)]).encode()).hexdigest()
        return f"album-{self.size}px-{len(self._images)}x{self.sharing.repeats}-{content[:32]}"


def _spread(count: int, sharing: Sharing) -> list[tuple[int, int]]:
    """(picture, repeat) of each sample. Pictures are dealt to the parts by a fixed shuffle, since a folder's
    neighbours are often of the same person or place."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    return [(order[i], k) for part in sharing.pictures for k in range(sharing.repeats) for i in part.samples]
