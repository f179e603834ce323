"""Pictures of one's own through a job, in batches of face cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.cli.inputs import Input
from magdr_core.cli.jobs import Attack, Job, Result
from magdr_core.cli.told import verdict_line
from magdr_core.errors import DataError, MagdrError
from magdr_core.media import (
    Box,
    cut,
    face_cut,
    find_faces,
    paste,
    paste_change,
    read_picture,
    whole_cut,
    write_picture,
)
from magdr_core.media.panels import side_by_side
from magdr_core.media.pictures import MAX_PIXELS
from magdr_core.types import Condition

BATCH = 16

Skip = Callable[[Input, MagdrError], None]
Done = Callable[[Input, dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A picture with its face cut out."""

    given: Input
    image: Tensor
    box: Box
    face: Tensor
    facts: dict[str, Any]


def load(given: Input, size: int, whole: bool) -> Loaded:
    """Read a picture and cut its largest face out, at the generator's size.

    Raises:
        DataError: the file cannot be used, or shows no face.
    """
    picture = read_picture(given.path)
    height, width = picture.image.shape[1:]
    facts: dict[str, Any] = {"width": width, "height": height, "notes": list(picture.notes)}
    if whole:
        box = whole_cut(height, width)
    else:
        faces = find_faces(picture.image)
        if not faces:
            raise DataError(f"{given.path}: no face was found; with --whole its middle square is used")
        box = face_cut(faces[0], height, width)
        if len(faces) > 1:
            facts["notes"].append(f"{len(faces)} faces were found, the largest is used")
    if box.side < size:
        facts["notes"].append(f"the cut has {box.side} pixels a side and is enlarged to {size}")
    facts["cut"] = {"top": box.top, "left": box.left, "side": box.side}
    return Loaded(given, picture.image, box, cut(picture.image, box, size), facts)


def loaded_batches(inputs: Sequence[Input], size: int, whole: bool, skip: Skip) -> Iterator[list[Loaded]]:
    """Pictures in batches that fit in memory; `skip` is told which cannot be used."""
    batch: list[Loaded] = []
    pixels = 0
    for given in inputs:
        try:
            loaded = load(given, size, whole)
        except DataError as e:
            skip(given, e)
            continue
        batch.append(loaded)
        pixels += loaded.image[0].numel()
        if len(batch) == BATCH or pixels > MAX_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


class PhotoWork:
    """Runs a job over pictures.

    Args:
        condition: of one picture; used for all.
        out: where results go; None for a job that changes nothing.
        done, skip: told what became of each input.
    """

    def __init__(
        self,
        job: Job,
        condition: Condition,
        device: torch.device,
        *,
        whole: bool,
        out: Path | None,
        done: Done,
        skip: Skip,
    ) -> None:
        self.job = job
        self.device = device
        self.condition = condition.to(device)
        self.whole = whole
        self.out = out
        self.done = done
        self.skip = skip

    def conditions(self, count: int) -> Condition:
        return self.condition.repeat(count)

    def run(self, inputs: Sequence[Input]) -> None:
        for batch in loaded_batches(inputs, self.job.generator.size, self.whole, self.skip):
            x = torch.stack([one.face for one in batch]).to(self.device)
            results = self.job(x, self.conditions(len(x)), [one.given.name for one in batch])
            for one, result in zip(batch, results, strict=True):
                facts = {"kind": "picture", **one.facts, **result.facts}
                if self.out is not None:
                    facts["files"] = self._write(one, result, facts, self.out)
                self.done(one.given, facts)

    def _survived(self, one: Loaded, changed: Tensor, job: Attack) -> dict[str, Any]:
        """What the attack still does to whoever is given the file, and cuts the face out anew."""
        faces = [] if self.whole else find_faces(changed)
        box = face_cut(faces[0], *changed.shape[1:]) if faces else one.box
        size = job.generator.size
        clean, attacked = (cut(image, box, size).to(self.device) for image in (one.image, changed))
        place = {"top": box.top, "left": box.left, "side": box.side}
        return {"cut_in_file": place, **job.survived(clean, attacked, self.condition)}

    def _write(self, one: Loaded, result: Result, facts: dict[str, Any], out: Path) -> dict[str, str]:
        job, given = self.job, one.given
        changed = paste_change(one.image, one.box, one.face, result.changed.cpu(), limit=job.limit)
        if isinstance(job, Attack):
            facts.update(self._survived(one, changed, job))
        panels = [(label, image.cpu()) for label, image in result.panels]
        pictures = {
            job.suffix: changed,
            "output": paste(changed, one.box, result.output.cpu()),
            "compare": side_by_side(panels, f"{given.path.name}: {verdict_line(facts)}"),
        }
        paths = given.results(out, job.suffix)
        for name, path in paths.items():
            write_picture(path, pictures[name])
        return {name: str(path) for name, path in paths.items()}
