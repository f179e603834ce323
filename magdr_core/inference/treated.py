"""Pictures through a job, in batches of face cuts that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from magdr_core.functional import batch_size
from magdr_core.inference.loaded import ALL, Loaded, Skipped, Wanted, because, load_all
from magdr_core.inference.operations import FaceJob, Result
from magdr_core.inference.shown import Conditions, target_of
from magdr_core.inference.sources import PictureSource
from magdr_core.media import FaceFinder, paste

BATCH_PIXELS = 16_000_000
"""Of all pictures that are held at once; a batch ends with the one that exceeds it."""

S = TypeVar("S", bound=PictureSource)
T = TypeVar("T")

Faces = list[Loaded[S]]
"""The faces of one picture."""


@dataclass(frozen=True, eq=False)
class Treated(Generic[S]):
    """A picture with what became of its faces; one for each, in the same order.

    Attributes:
        faces: the cuts, the largest first.
        results: what the job made of them.
    """

    faces: Faces[S]
    results: Sequence[Result]

    @property
    def given(self) -> S:
        return self.faces[0].given

    @property
    def received(self) -> Tensor:
        """`[3,H,W]` uint8, the picture as it was read."""
        return self.faces[0].levels

    def changed(self, limit: float | None = None) -> Tensor:
        """The picture with all changed faces in their places, `[3,H,W]` uint8; `received` itself if none
        was changed."""
        picture = self.received
        for one, result in zip(self.faces, self.results, strict=True):
            picture = one.put_into(picture, result.changed.cpu(), limit=limit)
        return picture

    def output(self, changed: Tensor) -> Tensor:
        """The changed picture with the generator's outputs in their places, `[3,H,W]` uint8."""
        for one, result in zip(self.faces, self.results, strict=True):
            changed = paste(changed, one.box, result.output.cpu())
        return changed


def loaded_batches(
    sources: Iterable[S],
    size: int,
    finder: FaceFinder | None,
    device: torch.device,
    wanted: Wanted = ALL,
) -> Iterator[list[Faces[S]] | Skipped[S]]:
    """The faces of pictures, in batches that fit in memory; one that cannot be used comes as soon as it is
    met."""
    together = batch_size((size, size), "deliver", device)
    batch: list[Faces[S]] = []
    count = pixels = 0
    for given in sources:
        try:
            faces = load_all(given, size, finder, wanted)
        except Exception as e:
            yield Skipped(given, because(given, e))
            continue
        batch.append(faces)
        count += len(faces)
        pixels += faces[0].levels[0].numel()
        if count >= together or pixels > BATCH_PIXELS:
            yield batch
            batch, count, pixels = [], 0, 0
    if batch:
        yield batch


def ahead(source: Iterator[T]) -> Iterator[T]:
    """The same, in the same order; each is fetched by another thread while the one before is worked on."""
    end: Any = object()
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, source, end)
        while (got := coming.result()) is not end:
            coming = reader.submit(next, source, end)
            yield got


def treated(
    sources: Iterable[S],
    job: FaceJob,
    conditions: Conditions,
    device: torch.device,
    *,
    finder: FaceFinder | None,
    wanted: Wanted = ALL,
) -> Iterator[Treated[S] | Skipped[S]]:
    """Every picture with what the job made of its faces, or why it was skipped.

    At most one batch of pictures is in memory, however many there are; before a GPU the next one as well,
    which is read while the GPU works.

    Args:
        finder: of faces; None for no search, the largest square in the middle.
    """
    cuda = device.type == "cuda"
    batches = loaded_batches(sources, job.generator.size, finder, device, wanted)
    for batch in ahead(batches) if cuda else batches:
        if isinstance(batch, Skipped):
            yield batch
            continue
        yield from _worked_on(batch, job, conditions, device)
        del batch  # before the next one is read


def _worked_on(
    batch: Sequence[Faces[S]], job: FaceJob, conditions: Conditions, device: torch.device
) -> Iterator[Treated[S] | Skipped[S]]:
    """A batch through the job; if that fails, one by one, so that only the picture at fault is lost."""
    try:
        results = iter(_results([one for faces in batch for one in faces], job, conditions, device))
    except Exception as e:
        failure = e
    else:
        yield from (Treated(faces, [next(results) for _ in faces]) for faces in batch)
        return
    if len(batch) == 1:
        given = batch[0][0].given
        yield Skipped(given, because(given, failure))
        return
    del failure  # its traceback holds the batch's memory
    for faces in batch:
        yield from _worked_on([faces], job, conditions, device)


def _results(faces: Faces[S], job: FaceJob, conditions: Conditions, device: torch.device) -> list[Result]:
    """A crowd's faces are more than fit in memory at once."""
    size = faces[0].face.shape[-1]
    together = batch_size((size, size), "deliver", device)
    results: list[Result] = []
    for first in range(0, len(faces), together):
        some = faces[first : first + together]
        x = torch.stack([one.face for one in some])
        x = x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)
        c = conditions(x)
        for i, result in enumerate(job(x, c, [one.given.name for one in some])):
            target = target_of(job.generator, c, i)
            results.append(replace(result, facts={"target": target, **result.facts}))
    return results
