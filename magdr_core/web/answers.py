"""What a page is asked, and what it answers: plain values, so that the page knows no detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.media import Picture

GOOD, BAD, OPEN = "good", "bad", "open"
"""How an answer is marked: nothing to worry about, something is wrong, nobody can tell."""


@dataclass(frozen=True)
class Upload:
    """A picture that came in, still to be judged; what `inference` asks of a source.

    Attributes:
        name: what it is called, on the page and in errors.
        picture: its pixels.
    """

    name: str
    picture: Picture

    @property
    def path(self) -> Path:
        return Path(self.name)

    def read(self) -> Picture:
        return self.picture


@dataclass(frozen=True)
class Wish:
    """What is to be done with an upload.

    Attributes:
        edit: a key of `Service.edits`.
        attack: attack the picture first, to see what that does and whether it is noticed.
        whole: no search for a face; the middle square is used.
    """

    edit: str
    attack: bool = False
    whole: bool = False


@dataclass(frozen=True, eq=False)
class FaceVersion:
    """A version of a face above the edit of it.

    Attributes:
        title: which version.
        face, edit: `[3,s,s]` in [0,1].
        words: what the edit is.
        said: a line below them, if any.
    """

    title: str
    face: Tensor
    edit: Tensor
    words: str
    said: str = ""


@dataclass(frozen=True, eq=False)
class FaceAnswer:
    """What is said of one face.

    Attributes:
        title: which face; empty if there is one.
        mark: `GOOD`, `BAD` or `OPEN`.
        reasons: what is told, with a word for each line.
        columns: versions side by side.
    """

    title: str
    mark: str
    reasons: Mapping[str, str]
    columns: Sequence[FaceVersion]


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said of a picture.

    Attributes:
        headline: the verdict in a few words.
        mark: `GOOD`, `BAD` or `OPEN`.
        sentence: what happened or what to do.
        faces: the largest first.
        notes: whole sentences about reading, faces that were not shown and the like.
        restored: `[3,H,W]` uint8, the whole picture with restored faces; None if nothing was restored.
    """

    headline: str
    mark: str
    sentence: str
    faces: Sequence[FaceAnswer]
    notes: Sequence[str] = ()
    restored: Tensor | None = None


class UnknownEditError(DataError):
    """A wish for something that no generator of the registry does."""


class Service(Protocol):
    """What stands behind the page. It is called in threads, one call at a time.

    Attributes:
        edits: what may be wished for, by group: key and words of each, in their order.
        about: sentences about what judges and on what it was calibrated.
    """

    @property
    def edits(self) -> Mapping[str, Mapping[str, str]]: ...

    @property
    def about(self) -> Sequence[str]: ...

    def answer(self, upload: Upload, wish: Wish) -> Answer:
        """Judge a picture.

        Raises:
            DataError: the picture cannot be used, or shows no face; one line that begins with its name.
            MagdrError: something else goes wrong; one line.
        """

    def example(self) -> Upload:
        """A picture to try."""
