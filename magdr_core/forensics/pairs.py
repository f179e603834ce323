"""Real pictures of the train split beside forgeries of them, for models to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magdr_core.calibration.partition import CalibrationPart
from magdr_core.components.forensics import ForensicData
from magdr_core.components.protocols import Dataset
from magdr_core.components.rng import SampleRng
from magdr_core.forensics.clips import check_whole, drawn_by, has_clips
from magdr_core.forensics.making import ForgeryFamily, degrade, forge, takes_clips
from magdr_core.forensics.pieces import batches


@dataclass(frozen=True, eq=False)
class _Forgeries:
    """Forgeries of one family, each beside its real.

    Attributes:
        real, fake: `[n,3,H,W]`.
        masks: `[n,1,H,W]`.
        ids: n of the reals.
        drawn_by: n names of what is drawn for them; frames of a clip have the same.
        clips: which clip each is a frame of, `[n]`; None of pictures that are no frames.
    """

    real: Tensor
    fake: Tensor
    masks: Tensor
    ids: tuple[str, ...]
    drawn_by: tuple[str, ...]
    clips: Tensor | None


class TrainingPairs:
    """Makes what models learn from, the forgeries of a family once for all models.

    Args:
        toolkit: builds the forgeries and the qualities.
        part: the faces.
        seed: of everything that is drawn.
        progress: told (what, done, total).
    """

    def __init__(self, toolkit: Any, part: CalibrationPart, seed: int, progress: Any) -> None:
        self.toolkit, self.part, self.seed, self.progress = toolkit, part, seed, progress
        self._made: dict[tuple[str, str], _Forgeries] = {}

    def __call__(
        self, data: Dataset, families: Sequence[ForgeryFamily], qualities: Sequence[str], about: str = ""
    ) -> ForensicData:
        """Reals and their forgeries: each family has all faces of the part.

        Where there are qualities each pair has one of them, or none, drawn by its id; frames of a clip have
        the same.

        Args:
            about: for whom, as progress is told.

        Raises:
            DataError: a quality is given whole clips, and the part begins or ends amid one.
        """
        part = self.part
        if has_clips(data, part.split) and any(takes_clips(self.toolkit, q) for q in qualities):
            check_whole(data, part.split, part.samples)
        said = f"forging {part.split} faces ({about})" if about else "forging"
        reals, fakes, masks = [], [], []
        names, groups, of, ids = list[str](), list[str](), list[str](), list[str]()
        self.progress(said, 0, len(families))
        for number, family in enumerate(families, 1):
            made = self._forged(data, family)
            drawn = self._drawn(made.drawn_by, family, len(qualities))
            real, fake = made.real.clone(), made.fake.clone()
            for i, quality in enumerate(qualities):
                rows = [row for row, which in enumerate(drawn) if which == i]
                if rows:
                    real[rows] = self._degraded(quality, real[rows], made, rows)
                    fake[rows] = self._degraded(quality, fake[rows], made, rows)
            reals.append(real)
            fakes.append(fake)
            masks.append(made.masks)
            names += [family.name] * len(made.ids)
            groups += [family.group] * len(made.ids)
            of += [qualities[which] if which < len(qualities) else "" for which in drawn]
            ids += made.ids
            self.progress(said, number, len(families))
        return ForensicData(
            torch.cat(reals),
            torch.cat(fakes),
            torch.cat(masks),
            tuple(names),
            tuple(groups),
            tuple(of),
            tuple(ids),
            self.seed,
        )

    def _degraded(self, quality: str, images: Tensor, made: _Forgeries, rows: Sequence[int]) -> Tensor:
        """The pictures of these rows, `[n,3,H,W]`, after a quality."""
        clips = None if made.clips is None else made.clips[list(rows)]
        return degrade(self.toolkit, quality, images, [made.ids[row] for row in rows], self.seed, clips)

    def _forged(self, data: Dataset, family: ForgeryFamily) -> _Forgeries:
        """The part's pictures and their forgeries."""
        memo = (data.fingerprint(), family.label)
        if memo not in self._made:
            split = data.split(self.part.split)
            reals, fakes, masks, clips = [], [], [], list[Tensor]()
            ids, names = list[str](), list[str]()
            for batch in batches(split, self.part.samples, data.size):
                forged = forge(self.toolkit, family.label, split, batch, self.seed)
                reals.append(batch.images)
                fakes.append(forged.images)
                masks.append(forged.masks)
                clips += [] if batch.clips is None else [batch.clips.cpu()]
                ids += batch.ids
                names += drawn_by(batch)
            self._made[memo] = _Forgeries(
                torch.cat(reals),
                torch.cat(fakes),
                torch.cat(masks),
                tuple(ids),
                tuple(names),
                torch.cat(clips) if clips else None,
            )
        return self._made[memo]

    def _drawn(self, names: Sequence[str], family: ForgeryFamily, count: int) -> list[int]:
        """For each picture the number of a quality, or `count` of none."""
        if not count:
            return [0] * len(names)
        rng = SampleRng(self.seed, f"training qualities/{family.name}", names)
        drawn: list[int] = rng.integers(1, high=count + 1)[:, 0].tolist()
        return drawn
