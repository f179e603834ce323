"""Calibration on one's own clean pictures: their faces take the place of the registry's dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from magdr_core.calibration.album import Album, Sharing
from magdr_core.calibration.calibrator import Calibrator, Progress
from magdr_core.calibration.file import calibration_file, write_calibration
from magdr_core.calibration.own_thresholds import with_own_thresholds
from magdr_core.components.protocols import Dataset
from magdr_core.components.specs import DatasetSpec
from magdr_core.errors import DataError
from magdr_core.functional import batch_size
from magdr_core.guards import GuardedFinder, GuardedGenerator
from magdr_core.inference.loaded import because, load
from magdr_core.inference.shown import attributes_shown
from magdr_core.inference.sources import Input, below
from magdr_core.media import FaceFinder
from magdr_core.registry.parsed import Registry
from magdr_core.results.store import Store
from magdr_core.runtime.samples import draw_samples


class CalibratingToolkit(Protocol):
    """The part of a toolkit that this needs."""

    @property
    def registry(self) -> Registry: ...

    @property
    def device(self) -> torch.device: ...

    def generator(self, task: str) -> GuardedGenerator: ...

    def finder(self, label: str | None = None) -> GuardedFinder: ...

    def calibrator(
        self, task: str, dataset: str, store: Store, *, progress: Progress = ...
    ) -> Calibrator: ...

    def with_calibration(self, file: Path | str | None = None, **numbers: object) -> Self: ...

    def with_dataset(self, label: str, dataset: Dataset | DatasetSpec) -> Self: ...


@dataclass(frozen=True, eq=False)
class PictureCalibration:
    """What was fitted on one's own pictures, as a calibration file holds it.

    Attributes:
        entries: by the key under which the toolkit's own registry asks, so that its one line
            `[calibration] file = ...` uses them.
        sharing: how the pictures were shared out.
        skipped: one line for each file that could not be used.
        content: of the file.
    """

    entries: Mapping[str, Any]
    sharing: Sharing
    skipped: Sequence[str]
    content: Mapping[str, Any]

    def save(self, path: Path | str) -> Path:
        """Write the file for `[calibration] file` or `Toolkit.with_calibration`; its path.

        Raises:
            WriteError: it cannot be written.
        """
        path = Path(path)
        write_calibration(path, self.content)
        return path

    def __repr__(self) -> str:
        what = ", ".join(f"{entry['kind']} {entry['label']}" for entry in self.entries.values()) or "nothing"
        pictures = sum(self.sharing.pictures.counts)
        return f"<PictureCalibration of {what}: {pictures} pictures, {len(self.skipped)} skipped>"


class PictureFolder:
    """The faces of all clean pictures below a folder, read once for each size that generators take.

    Args:
        folder: with all below it; clips and what magdr wrote for people to look at are passed over.
        finder: of faces; None for no search, the middle square of each.
        progress: told (what, done, total).
        skip: told in one line of each file that cannot be used, when it is met for the first time.

    Attributes:
        inputs: the files.
        skipped: one line for each that cannot be used, once it was tried.
        sharing: how the faces are shared out, once there was a calibrator.

    Raises:
        DataError: no such folder, or no picture in it.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        finder: FaceFinder | None,
        progress: Progress = lambda what, done, total: None,
        skip: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder = Path(folder)
        self.finder = finder
        self.progress = progress
        self.skip = skip
        self.inputs: Sequence[Input] = below(self.folder, videos=False)
        self.skipped: list[str] = []
        self.sharing: Sharing | None = None
        self._faces: dict[int, tuple[list[Tensor], list[str]]] = {}

    def faces(self, size: int) -> tuple[list[Tensor], list[str]]:
        """The largest face of each picture that can be used, `[3,size,size]` in [0,1], and their names."""
        if size not in self._faces:
            faces, names, skipped = [], [], []
            for i, given in enumerate(self.inputs):
                try:
                    faces.append(load(given, size, self.finder).face)
                    names.append(given.name)
                except Exception as e:
                    skipped.append(str(because(given, e)))
                    if not self._faces:
                        self.skip(skipped[-1])
                self.progress("finding faces", i + 1, len(self.inputs))
            self._faces[size], self.skipped = (faces, names), skipped
        return self._faces[size]

    def calibrator(
        self,
        toolkit: CalibratingToolkit,
        task: str,
        dataset: str,
        store: Store,
        *,
        progress: Progress = lambda what, done, total: None,
    ) -> Calibrator:
        """A calibrator of a task on these pictures, whatever calibration file the registry names.

        Args:
            dataset: the label whose place they take.

        Raises:
            DataError: too few of them can be used.
        """
        album = self._album(toolkit, task, Sharing.of)
        own = toolkit.with_dataset(dataset, album).with_calibration(None, **album.sharing.numbers)
        return own.calibrator(task, dataset, store, progress=progress)

    def thresholds(
        self,
        toolkit: CalibratingToolkit,
        task: str,
        dataset: str,
        store: Store,
        *,
        detectors: Sequence[str] = (),
        defenses: Sequence[str] = (),
        progress: Progress = lambda what, done, total: None,
    ) -> tuple[dict[str, Any], str]:
        """Entries of the registry's own calibration with thresholds set on these pictures, and what names the
        pictures.

        Raises:
            DataError: too few of them can be used.
            CalibrationError: the registry's calibration does not fit.
        """
        album = self._album(toolkit, task, Sharing.for_thresholds)
        asked = toolkit.calibrator(task, dataset, store, progress=progress)
        clean, _ = draw_samples(album, asked.generator, first=0, count=len(album), seed=asked.policy.seed)
        return with_own_thresholds(asked, clean, [*detectors], [*defenses]), album.fingerprint()

    def _album(self, toolkit: CalibratingToolkit, task: str, shared: Callable[[int], Sharing]) -> Album:
        generator = toolkit.generator(task)
        faces, names = self.faces(generator.size)
        if not faces:
            raise DataError(f"{self.folder}: no picture with a face")
        images = torch.stack(faces).to(toolkit.device)
        album = Album(images, names, shown_by(generator, images), shared(len(images)))
        self.sharing = album.sharing
        return album

    def provenance(self) -> dict[str, Any]:
        """What a calibration file says about the pictures; JSON-able."""
        assert self.sharing is not None
        return {
            "command": "magdr calibrate --data",
            "pictures": sum(self.sharing.pictures.counts),
            "edits_per_picture": self.sharing.repeats,
            "samples": list(self.sharing.samples.counts),
        }


def shown_by(generator: GuardedGenerator, images: Tensor) -> dict[str, Tensor]:
    """What pictures `[n,3,S,S]` show, by the generator's condition names, as `magdr defend` will take it."""
    if not generator.whole_target:
        nothing = torch.zeros(len(images), device=images.device)
        return dict.fromkeys(generator.condition_names, nothing)
    together = batch_size(images.shape, "deliver", images.device)
    parts = [attributes_shown(generator, some, {}) for some in images.split(together)]
    return {name: torch.cat([part[name] for part in parts]) for name in generator.condition_names}


def entries_for(
    toolkit: CalibratingToolkit, used: Mapping[str, Any], task: str, dataset: str, store: Store
) -> dict[str, Any]:
    """Entries that were computed on one's own pictures, under the keys by which the registry will ask.

    They are *computed* under keys of their own, as everything in a store is, and *written* under those of the
    registry's dataset: so one line, `[calibration] file = ...`, makes the registry use them.

    Args:
        used: of the calibrator on the pictures.
        dataset: the label of the registry's dataset.
    """
    asked = toolkit.with_calibration().calibrator(task, dataset, store)
    # What an attack has learned is nobody's calibration, and has a key of another kind.
    return {asked.key(e["kind"], e["label"]): e for e in used.values() if e["kind"] != "attack"}


def calibrate_on_pictures(
    toolkit: CalibratingToolkit,
    task: str,
    folder: Path | str,
    *,
    detectors: Sequence[str] = (),
    defenses: Sequence[str] = ("magdr",),
    dataset: str | None = None,
    whole: bool = False,
    finder: str | None = None,
    full: bool = False,
    cache: Path | str = "runs/cache",
    progress: Progress = lambda what, done, total: None,
) -> PictureCalibration:
    """Set the thresholds of detectors, and what defenses know of them, on the faces of one's own clean
    pictures.

    They must be clean, and like those that will be judged. All else stays as the registry's calibration has
    it, unless everything is to be fitted on them (`full`): then some are attacked in memory, with the attacks
    of the registry's `[calibration]`, no picture is in two parts of it, and it takes minutes on a CPU.

    Args:
        task: a `[generator.TASK]` table.
        folder: of pictures of any size, with all below it; 24 at least must show a face.
        detectors, defenses: labels; a defense brings the detector that it needs.
        dataset: the label whose place the pictures take; the task's if None.
        whole: no search for a face, the middle square of each picture.
        finder: what finds the faces, as of `Toolkit.finder`.
        full: fit everything on them.
        cache: where attacked pictures and what was fitted are kept.
        progress: told (what, done, total).

    Raises:
        DataError: no such folder, or too few pictures can be used.
        RegistryError: no such task or component.
        ComponentError: one of the components cannot be fitted.

    >>> from magdr_core import Toolkit
    >>> from magdr_core.calibration import calibrate_on_pictures
    >>> toolkit = Toolkit.from_registry(device="cpu")
    >>> made = calibrate_on_pictures(toolkit, "editing", "photos")                  # doctest: +SKIP
    >>> magdr = toolkit.with_calibration(made.save("mine.json")).magdr("editing")   # doctest: +SKIP
    """
    pictures = PictureFolder(folder, finder=None if whole else toolkit.finder(finder), progress=progress)
    label = dataset or toolkit.registry.dataset_of(task)
    store = Store(Path(cache))
    if full:
        calibrator = pictures.calibrator(toolkit, task, label, store, progress=progress)
        for detector in detectors:
            calibrator.detector(detector)
        for defense in defenses:
            calibrator.defense(defense)
        entries = entries_for(toolkit, calibrator.used, task, label, store)
        fingerprint = calibrator.data.fingerprint()
    else:
        wanted: dict[str, Any] = {"detectors": detectors, "defenses": defenses, "progress": progress}
        entries, fingerprint = pictures.thresholds(toolkit, task, label, store, **wanted)
    assert pictures.sharing is not None
    content = calibration_file(entries, toolkit.registry, fingerprint)
    content["provenance"] |= pictures.provenance()
    return PictureCalibration(entries, pictures.sharing, tuple(pictures.skipped), content)
