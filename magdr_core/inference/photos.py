"""Pictures through a job, in batches of face cuts that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.errors import DataError, MagdrError, one_line
from magdr_core.functional import batch_size
from magdr_core.inference.operations import FaceJob, Result
from magdr_core.inference.sources import PictureSource
from magdr_core.magdr import Verdict
from magdr_core.media import (
    Box,
    FaceFinder,
    Picture,
    cut,
    face_cut,
    faces_in,
    paste,
    paste_change,
    whole_cut,
    without_colours,
    write_picture,
)
from magdr_core.media.tiles import in_unit

BATCH_PIXELS = 16_000_000
"""Of all pictures that are held at once; a batch ends with the one that exceeds it."""

S = TypeVar("S", bound=PictureSource)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Loaded(Generic[S]):
    """A picture with its face cut out.

    Attributes:
        given: where it came from.
        levels: `[3,H,W]` uint8, all of it.
        box: the cut's place.
        face: `[3,S,S]`, the cut at the generator's size.
        facts: what reading and cutting did, JSON-able.
        grey: the file has no colours.
    """

    given: S
    levels: Tensor
    box: Box
    face: Tensor
    facts: dict[str, Any]
    grey: bool = False

    def changed(self, face: Tensor, *, limit: float | None = None) -> Tensor:
        """The whole picture with another face in its place, `[3,H,W]` uint8, as `paste_change` puts it; grey
        if it was."""
        whole = paste_change(self.levels, self.box, self.face, face, limit=limit)
        return without_colours(whole) if self.grey and whole is not self.levels else whole


@dataclass(frozen=True, eq=False)
class Skipped(Generic[S]):
    """A picture that cannot be used, and why."""

    given: S
    error: MagdrError


def because(given: PictureSource, error: Exception) -> MagdrError:
    """Why an input was skipped, in a line that names it, whatever went wrong with it."""
    if isinstance(error, MagdrError) and str(given.path) in str(error):
        return error
    reason = "there is not enough memory" if _is_out_of_memory(error) else one_line(error)
    return DataError(f"{given.path}: {reason}")


def _is_out_of_memory(error: Exception) -> bool:
    # torch's allocator on a CPU has no exception of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


@dataclass(frozen=True, eq=False)
class Photo:
    """What became of one picture.

    Attributes:
        path: the file (of a picture in memory, a name for messages).
        name: the file's name with its place below the folder that was given.
        error: why it was skipped, in one line; then there is nothing else.
        verdict: about its largest face.
        notes: what reading changed, other faces, a small cut.
        box: the place of the face.
        levels: `[3,H,W]` uint8, the received picture, upright.
        restored_levels: likewise; the received picture itself where nothing was reconstructed.
        output_levels: likewise, the generator's output in its place.
        grey: the file has no colours, so `restored` and what is saved have none.

    `image`, `restored` and `output` are these in [0,1]; None if there are none, as where nothing was to be
    restored. They are made anew each time, since they are four times as large.
    """

    path: Path
    name: str
    error: str = ""
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    box: Box | None = None
    levels: Tensor | None = field(default=None, repr=False)
    restored_levels: Tensor | None = field(default=None, repr=False)
    output_levels: Tensor | None = field(default=None, repr=False)
    grey: bool = False

    @property
    def image(self) -> Tensor | None:
        """`[3,H,W]` float32 in [0,1], 8-bit: the received picture, upright."""
        return None if self.levels is None else in_unit(self.levels)

    @property
    def restored(self) -> Tensor | None:
        """`[3,H,W]` float32 in [0,1], 8-bit: the received picture with the restored face in its place."""
        return None if self.restored_levels is None else in_unit(self.restored_levels)

    @property
    def output(self) -> Tensor | None:
        """`[3,H,W]` float32 in [0,1], 8-bit: the generator's output in its place."""
        return None if self.output_levels is None else in_unit(self.output_levels)

    def __str__(self) -> str:
        return self.error or f"{self.path}: {self.verdict}"

    def __repr__(self) -> str:
        if self.error:
            return f"<Photo {self.path}: skipped, {self.error}>"
        size = "" if self.levels is None else f"{self.levels.shape[2]} x {self.levels.shape[1]} pixels, "
        changed = self.restored_levels is not None and self.restored_levels is not self.levels
        return f"<Photo {self.path}: {size}{self.verdict!r}{', restored' * changed}>"

    def save(self, folder: Path | str) -> Path:
        """Write the restored picture as `FOLDER/NAME.restored.png`, without loss; its path.

        Raises:
            DataError: the picture was skipped, or the file cannot be written.
        """
        if self.restored_levels is None:
            raise DataError(self.error or f"{self.path}: nothing was restored, so there is nothing to save")
        path = Path(folder) / f"{self.name}.restored.png"
        write_picture(path, self.restored_levels, grey=self.grey)
        return path


def load(given: S, size: int, finder: FaceFinder | None) -> Loaded[S]:
    """Read a picture and cut its largest face out, at the generator's size.

    Args:
        finder: of faces; None for no search, the largest square in the middle.

    Raises:
        DataError: the file cannot be used, or shows no face.
        ComponentError: the finder fails.
    """
    picture, boxes = _found(given, finder)
    loaded = _cut_out(given, picture, boxes[0], size)
    if len(boxes) > 1:
        loaded.facts["notes"].insert(
            len(picture.notes), f"{len(boxes)} faces were found, the largest is used"
        )
    return loaded


def load_all(given: S, size: int, finder: FaceFinder | None) -> list[Loaded[S]]:
    """The same with every face, the largest first; what reading did is told of the first.

    Raises:
        DataError: the file cannot be used, or shows no face.
        ComponentError: the finder fails.
    """
    picture, boxes = _found(given, finder)
    faces = [_cut_out(given, picture, box, size) for box in boxes]
    for face in faces[1:]:
        del face.facts["notes"][: len(picture.notes)]
    return faces


def _found(given: PictureSource, finder: FaceFinder | None) -> tuple[Picture, list[Box]]:
    """A picture and the places of its faces, the largest first.

    Raises:
        DataError: the file cannot be used, or shows no face.
    """
    picture = given.read()
    height, width = picture.levels.shape[1:]
    if finder is None:
        return picture, [whole_cut(height, width)]
    faces = faces_in(picture.levels, finder)
    if not faces:
        raise DataError(
            f"{given.path}: no face was found; with --whole (whole=True) its middle square is used"
        )
    return picture, [face_cut(face, height, width) for face in faces]


def _cut_out(given: S, picture: Picture, box: Box, size: int) -> Loaded[S]:
    height, width = picture.levels.shape[1:]
    facts: dict[str, Any] = {"width": width, "height": height, "notes": list(picture.notes)}
    if box.side < size:
        facts["notes"].append(f"the cut has {box.side} pixels a side and is enlarged to {size}")
    facts["cut"] = place_of(box)
    return Loaded(given, picture.levels, box, cut(picture.levels, box, size), facts, picture.grey)


def place_of(box: Box) -> dict[str, float]:
    """Where a cut is, JSON-able; with its angle where it is turned."""
    place: dict[str, float] = {"top": box.top, "left": box.left, "side": box.side}
    return {**place, "angle": box.angle} if box.angle else place


def loaded_batches(
    sources: Iterable[S], size: int, finder: FaceFinder | None, device: torch.device
) -> Iterator[list[Loaded[S]] | Skipped[S]]:
    """Pictures in batches that fit in memory; one that cannot be used comes as soon as it is met."""
    together = batch_size((size, size), "deliver", device)
    batch: list[Loaded[S]] = []
    pixels = 0
    for given in sources:
        try:
            loaded = load(given, size, finder)
        except Exception as e:
            yield Skipped(given, because(given, e))
            continue
        batch.append(loaded)
        pixels += loaded.levels[0].numel()
        if len(batch) == together or pixels > BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
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
    condition: Condition,
    device: torch.device,
    *,
    finder: FaceFinder | None,
) -> Iterator[tuple[Loaded[S], Result] | Skipped[S]]:
    """Every picture with what the job made of its face, or why it was skipped.

    At most one batch of pictures is in memory, however many there are; before a GPU the next one as well,
    which is read while the GPU works.

    Args:
        condition: of one picture; used for all.
        finder: of faces; None for no search, the largest square in the middle.
    """
    cuda = device.type == "cuda"
    batches = loaded_batches(sources, job.generator.size, finder, device)
    for batch in ahead(batches) if cuda else batches:
        if isinstance(batch, Skipped):
            yield batch
            continue
        yield from _worked_on(batch, job, condition.to(device), device)
        del batch  # before the next one is read


def _worked_on(
    batch: Sequence[Loaded[S]], job: FaceJob, condition: Condition, device: torch.device
) -> Iterator[tuple[Loaded[S], Result] | Skipped[S]]:
    """A batch through the job; if that fails, one by one, so that only the picture at fault is lost."""
    try:
        faces = torch.stack([one.face for one in batch])
        x = faces.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else faces.to(device)
        results = job(x, condition.repeat(len(x)), [one.given.name for one in batch])
    except Exception as e:
        failure = e
    else:
        yield from zip(batch, results, strict=True)
        return
    if len(batch) == 1:
        yield Skipped(batch[0].given, because(batch[0].given, failure))
        return
    del failure  # its traceback holds the batch's memory
    for one in batch:
        yield from _worked_on([one], job, condition, device)


def photo_of(done: tuple[Loaded[S], Result] | Skipped[S], *, restore: bool) -> Photo:
    """The result for people: the changed cut put back into the picture."""
    if isinstance(done, Skipped):
        return Photo(done.given.path, done.given.name, error=str(done.error))
    one, result = done
    restored = output = None
    if restore:
        restored = one.changed(result.changed.cpu())
        output = paste(restored, one.box, result.output.cpu())
    return Photo(
        one.given.path,
        one.given.name,
        verdict=result.verdict,
        notes=tuple(one.facts["notes"]),
        box=one.box,
        levels=one.levels,
        restored_levels=restored,
        output_levels=output,
        grey=one.grey,
    )
