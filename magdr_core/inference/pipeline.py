"""MagDR in front of a generator, as a library: images in; decisions and restored images out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Condition
from magdr_core.functional import batch_size
from magdr_core.guards import GuardedGenerator
from magdr_core.inference.asked import Edits, Has, condition_asked, conditions_asked
from magdr_core.inference.followed import Step
from magdr_core.inference.loaded import ALL, Wanted
from magdr_core.inference.method import Method, output_behind
from magdr_core.inference.module import MagDRModule, ValueRange, full_precision
from magdr_core.inference.operations import Defend, Detect, FaceJob
from magdr_core.inference.photos import Photo, photo_of
from magdr_core.inference.sources import Input, Pictures, sources_of
from magdr_core.inference.tensors import Images, as_faces
from magdr_core.inference.transform import MagDRTransform, Missing
from magdr_core.inference.treated import treated
from magdr_core.inference.videos import Clip, treated_clip
from magdr_core.isolation.expectations import deferred
from magdr_core.magdr import Outcome, Verdict
from magdr_core.media import Cascade, FaceFinder
from magdr_core.runtime.conditions import condition_of


class Pipeline:
    """Detection and reconstruction for one task, in front of its generator.

    Every method takes *images* and what the generator shall do with them.

    Images are faces: a tensor `[B,3,S,S]` (or `[3,S,S]`) in [0,1] with the generator's side S, taken as it
    is. Or they are pictures of any size, one or several: a path, a PIL picture or a numpy array `[H,W,3]`,
    whose largest face is cut out (`whole=True`: the middle square). They may be on any device; results are on
    this one's.

    What the generator shall do is said by names, `edits={"Blond_Hair": 1}`, with `has` for what the pictures
    show already (names, or names with values; what is not named counts as 0), or by a ready `Condition`, of
    B rows or of one for all. A generator without conditions (face replacement) needs neither.

    Attributes:
        generator: the generator that is defended; core's wrapper, which counts passes.
        magdr: the calibrated method.
        device: where it computes.
        doubt: what makes every verdict a guess (a calibration on drawn faces, for photographs), or "".
        finder: finds the faces of pictures and clips.
        recipe: makes the same pipeline in another process, and can be pickled; None if that cannot be done.

    >>> from magdr_core import Toolkit
    >>> toolkit = Toolkit.from_registry(device="cpu")
    >>> magdr = toolkit.magdr("editing", photographs=False)      # drawn faces, which the calibration knows
    >>> faces = toolkit.build("dataset", "faces").split("test")[[0, 1]].images
    >>> [str(verdict) for verdict in magdr.detect(faces, edits={"Eyeglasses": 1})]  # doctest: +ELLIPSIS
    ['not disrupted (score ..., threshold ...)', 'not disrupted (score ..., threshold ...)']
    >>> outcome = magdr.defend(faces, edits={"Eyeglasses": 1})
    >>> outcome.restored.shape, outcome.flagged.tolist()
    (torch.Size([2, 3, 64, 64]), [False, False])
    """

    def __init__(
        self,
        generator: GuardedGenerator,
        magdr: Method,
        *,
        device: torch.device | None = None,
        doubt: str = "",
        finder: FaceFinder | None = None,
        recipe: Callable[[], Pipeline] | None = None,
    ) -> None:
        self.recipe = recipe
        self.generator = generator
        self.magdr = magdr
        self.device = torch.device("cpu") if device is None else device
        self.doubt = doubt
        self.finder = Cascade() if finder is None else finder

    def __repr__(self) -> str:
        names = ", ".join(self.generator.condition_names) or "no conditions"
        doubt = f"; {self.doubt}" if self.doubt else ""
        return f"<MagDR before {self.generator.label or 'a generator'} ({names}), {self.device}{doubt}>"

    # -- what is asked for ------------------------------------------------------------------------------

    def condition(
        self, attributes: Mapping[str, float | Tensor], *, count: int = 1, **edits: float | Tensor
    ) -> Condition:
        """The condition that sets some attributes and leaves the others.

        Args:
            attributes: what the pictures show: `[B]` tensors (as in `Batch.attributes`) or numbers.
            count: how many pictures, where `attributes` does not tell: numbers, or a generator that takes no
                condition (face replacement).
            edits: the generator's condition names with their new values, `[B]` or a number each.

        Raises:
            DataError: an unknown condition name, or an edit that changes nothing.
        """
        return condition_of(self.generator, attributes, edits, count=count).to(self.device)

    def _asked(
        self, images: Images, c: Condition | None, edits: Edits | None, has: Has, whole: bool
    ) -> tuple[Tensor, Condition]:
        x = as_faces(images, self.generator.size, self.device, self._search(whole))
        return x, self.asked(len(x), c, edits, has)

    def _search(self, whole: bool) -> FaceFinder | None:
        return None if whole else self.finder

    def asked(
        self, count: int, c: Condition | None = None, edits: Edits | None = None, has: Has = ()
    ) -> Condition:
        """The condition of `count` images, `[count,C]`, from what a caller said.

        Raises:
            DataError: nothing was said, or both a condition and edits; an unknown name; an edit that changes
                nothing; another number of rows than of images.
        """
        return condition_asked(self.generator, count, c, edits, has).to(self.device)

    # -- what is done -----------------------------------------------------------------------------------

    def detect(
        self,
        images: Images,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
    ) -> list[Verdict]:
        """Which images are disrupted, a verdict each with its evidence; nothing is reconstructed."""
        return self.inspect(images, c, edits=edits, has=has, whole=whole).verdicts

    @torch.no_grad()
    @deferred()
    def inspect(
        self,
        images: Images,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
    ) -> Outcome:
        """As `detect`, with scores and evidence as tensors; `restored` is what came in."""
        x, c = self._asked(images, c, edits, has, whole)
        with full_precision(self.device):
            return self._told(self.magdr.inspect(x, c, self.generator))

    @torch.no_grad()
    @deferred()
    def reconstruct(
        self,
        images: Images,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
    ) -> Tensor:
        """One pass of Rec-Net whatever the detector says: `[B,3,S,S]`, 8-bit."""
        x, c = self._asked(images, c, edits, has, whole)
        if not len(x):
            return x
        with full_precision(self.device):
            every = torch.arange(len(x), device=x.device).split(batch_size(x.shape, "defend", x.device))
            parts = [self.magdr.reconstruct(x[idx], c[idx], self.generator).images for idx in every]
        return torch.cat(parts)

    @torch.no_grad()
    @deferred()
    def defend(
        self,
        images: Images,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
    ) -> Outcome:
        """Detect, and reconstruct what is disrupted; the outcome holds the images and the evidence."""
        x, c = self._asked(images, c, edits, has, whole)
        with full_precision(self.device):
            return self._told(self.magdr.run(x, c, self.generator))

    @torch.no_grad()
    @deferred()
    def __call__(
        self,
        images: Images,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
    ) -> Tensor:
        """The generator's output on the defended input, `[B,3,S,S]`."""
        x, c = self._asked(images, c, edits, has, whole)
        restored = self.defend(x, c).restored
        with full_precision(self.device):
            return output_behind(self.magdr, restored, x, c, self.generator) if len(x) else x

    def _told(self, outcome: Outcome) -> Outcome:
        return replace(outcome, doubtful=bool(self.doubt))

    # -- many pictures ----------------------------------------------------------------------------------

    def photos(
        self,
        pictures: Pictures,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
        restore: bool = True,
        face: Wanted = ALL,
    ) -> Iterator[Photo]:
        """Go through pictures of one's own, each as large as it is, as `magdr defend` does.

        Every face is cut out, judged and, if it is disrupted, restored; the *change* is put back, and the
        rest of the picture stays as it is, bit for bit. What neither `edits` nor `has` names is kept as each
        face shows it (:func:`~magdr_core.inference.shown.attributes_shown`). One picture at a time comes
        back, and no more than a batch of them is in memory, however large the folder. What cannot be used
        comes back with its `error` and stops nothing.

        Args:
            pictures: a file, a folder (with all below), PIL, a numpy array, or any iterable of these.
            c: a condition for all of them, instead of edits.
            restore: False only judges, as `magdr detect`.
            face: "all" of a picture, the "largest", or one by its number (by size, from 1).

        Raises:
            DataError: as for `detect`; a path that does not exist, a folder without a picture.
        """
        conditions = conditions_asked(self.generator, c, edits, has)
        job: FaceJob = Defend(self, conditions=conditions) if restore else Detect(self)
        return (
            photo_of(done, restore=restore)
            for done in treated(
                sources_of(pictures),
                job,
                conditions,
                self.device,
                finder=self._search(whole),
                wanted=face,
            )
        )

    # -- clips ------------------------------------------------------------------------------------------

    def video(
        self,
        path: Path | str,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
        out: Path | str | None = None,
        progress: Step = lambda what, done, total: None,
    ) -> Clip:
        """Judge a clip and restore its disrupted stretches, as `magdr detect` and `magdr defend` do.

        The largest face is followed and cut out of every frame; running medians over half a second decide,
        so that the verdict does not flicker, and all disrupted frames are restored in the same way. A few
        frames are in memory at a time, however long the clip.

        Args:
            path: a file (extra `video`: PyAV).
            c: a condition for all frames, instead of edits.
            out: a folder. Written there are `NAME.restored.mkv` (without loss; clean frames keep every bit),
                `NAME.output.mp4` (the generator's output) and `NAME.compare.mp4`, with the sound. Where
                nothing was restored, `NAME.unchanged` with the file's own ending is a copy of it. None only
                judges.
            progress: told (what, done, total).

        Raises:
            DataError: as for `detect`; the clip cannot be read or written, or shows no face.
        """
        conditions = conditions_asked(self.generator, c, edits, has)
        job = Detect(self) if out is None else Defend(self)
        path, folder = Path(path), None if out is None else Path(out)
        given = Input(path, path.name)
        return treated_clip(
            given, job, conditions, self.device, finder=self._search(whole), out=folder, step=progress
        )

    # -- in somebody's pipeline -------------------------------------------------------------------------

    def as_module(
        self, generator: nn.Module | None = None, *, value_range: ValueRange = "unit"
    ) -> MagDRModule:
        """A `torch.nn.Module` whose `forward(x, c)` is the generator's output on the defended input; see
        :class:`MagDRModule`."""
        return MagDRModule(self, generator, value_range=value_range)

    def as_transform(
        self,
        c: Condition | None = None,
        *,
        edits: Edits | None = None,
        has: Has = (),
        whole: bool = False,
        face: Wanted = ALL,
        missing: Missing = "keep",
        value_range: ValueRange = "unit",
    ) -> MagDRTransform:
        """A callable that restores the disrupted faces of one picture (PIL, an array `[H,W,3]` or a tensor
        `[3,H,W]`) and can be pickled, for transforms and data loaders; see :class:`MagDRTransform`."""
        return MagDRTransform(
            self, c, edits=edits, has=has, whole=whole, face=face, missing=missing, value_range=value_range
        )
