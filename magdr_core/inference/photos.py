"""What became of one picture, for people who call the library."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.inference.loaded import S, Skipped
from magdr_core.inference.sources import copied, unchanged_path
from magdr_core.inference.treated import Treated
from magdr_core.magdr import Verdict
from magdr_core.media import Box, write_picture
from magdr_core.media.tiles import in_unit


@dataclass(frozen=True)
class PhotoFace:
    """What was decided about one face of a picture: the place of its cut, and the verdict."""

    box: Box
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Photo:
    """What became of one picture.

    Attributes:
        path: the file.
        name: the file's name with its place below the folder that was given.
        error: why it was skipped, in one line; then there is nothing else.
        faces: the decision about each face that was looked at, the largest first.
        notes: what reading changed, faces that were not looked at, a small cut.
        levels: `[3,H,W]` uint8, the received picture, upright.
        restored_levels: likewise; the received picture itself where nothing was reconstructed.
        output_levels: likewise, the generator's outputs in their places.
        grey: the file has no colours, so `restored` and what is saved have none.

    `image`, `restored` and `output` are these in [0,1]; None if there are none, as where nothing was to be
    restored. They are made anew each time, since they are four times as large.
    """

    path: Path
    name: str
    error: str = ""
    faces: tuple[PhotoFace, ...] = ()
    notes: tuple[str, ...] = ()
    levels: Tensor | None = field(default=None, repr=False)
    restored_levels: Tensor | None = field(default=None, repr=False)
    output_levels: Tensor | None = field(default=None, repr=False)
    grey: bool = False

    @property
    def worst(self) -> PhotoFace | None:
        """The face that decides about the picture: a disrupted one, if there is any."""
        return max(self.faces, key=lambda face: face.verdict.standing, default=None)

    @property
    def verdict(self) -> Verdict | None:
        """About the picture: that about its worst face."""
        return None if self.worst is None else self.worst.verdict

    @property
    def box(self) -> Box | None:
        """The place of that face."""
        return None if self.worst is None else self.worst.box

    @property
    def unchanged(self) -> bool:
        """Nothing was restored: what comes back is what came in."""
        return self.restored_levels is self.levels

    @property
    def image(self) -> Tensor | None:
        """`[3,H,W]` float32 in [0,1], 8-bit: the received picture, upright."""
        return None if self.levels is None else in_unit(self.levels)

    @property
    def restored(self) -> Tensor | None:
        """`[3,H,W]` float32 in [0,1], 8-bit: the received picture with restored faces in their places."""
        return None if self.restored_levels is None else in_unit(self.restored_levels)

    @property
    def output(self) -> Tensor | None:
        """`[3,H,W]` float32 in [0,1], 8-bit: the generator's outputs in their places."""
        return None if self.output_levels is None else in_unit(self.output_levels)

    def __str__(self) -> str:
        return self.error or f"{self.path}: {self.verdict}"

    def __repr__(self) -> str:
        if self.error:
            return f"<Photo {self.path}: skipped, {self.error}>"
        size = "" if self.levels is None else f"{self.levels.shape[2]} x {self.levels.shape[1]} pixels, "
        worst = f"the worst of {len(self.faces)} faces " if len(self.faces) > 1 else ""
        changed = self.restored_levels is not None and not self.unchanged
        return f"<Photo {self.path}: {size}{worst}{self.verdict!r}{', restored' * changed}>"

    def save(self, folder: Path | str) -> Path:
        """Write the restored picture as `FOLDER/NAME.restored.png`, without loss; its path.

        A file in which nothing was restored is copied, byte for byte, to `FOLDER/NAME.unchanged` and its own
        ending; a picture that is no file, without loss, to `FOLDER/NAME.unchanged.png`.

        Raises:
            DataError: the picture was skipped, or the file cannot be written.
            WriteError: the copy cannot be written.
        """
        if self.restored_levels is None:
            raise DataError(self.error or f"{self.path}: nothing was restored, so there is nothing to save")
        folder = Path(folder)
        if not self.unchanged:
            path = folder / f"{self.name}.restored.png"
        elif self.path.is_file():
            return copied(self.path, unchanged_path(folder, self.name))
        else:
            path = folder / f"{self.name}.unchanged.png"
        write_picture(path, self.restored_levels, grey=self.grey)
        return path


def photo_of(done: Treated[S] | Skipped[S], *, restore: bool) -> Photo:
    """The result for people: the changed cuts put back into the picture."""
    if isinstance(done, Skipped):
        return Photo(done.given.path, done.given.name, error=str(done.error))
    restored = done.changed() if restore else None
    decided = [(one.box, result.verdict) for one, result in zip(done.faces, done.results, strict=True)]
    return Photo(
        done.given.path,
        done.given.name,
        faces=tuple(PhotoFace(box, verdict) for box, verdict in decided if verdict is not None),
        notes=tuple(note for one in done.faces for note in one.facts["notes"]),
        levels=done.received,
        restored_levels=restored,
        output_levels=None if restored is None else done.output(restored),
        grey=done.faces[0].grey,
    )
