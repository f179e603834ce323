"""Calibration on one's own clean pictures (`magdr calibrate --data FOLDER`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.calibration import Calibrator, promised_fpr
from magdr_core.calibration.album import COARSE_BELOW, Album
from magdr_core.cli.common import ProgressDisplay
from magdr_core.cli.paths import collect
from magdr_core.cli.photos import load
from magdr_core.errors import DataError
from magdr_core.inference.photos import because
from magdr_core.registry.read import Registry
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit


class _AlbumToolkit(Toolkit):
    """A toolkit whose dataset, by whatever label, is an album."""

    def __init__(self, registry: Registry, album: Album, device: str) -> None:
        super().__init__(registry, device=device)
        self.album = album

    def build(self, kind: str, label: str, **injected: Any) -> Any:
        return self.album if kind == "dataset" else super().build(kind, label, **injected)


class OwnPictures:
    """Reads a folder once and gives calibrators that use it.

    Their entries are *computed* under keys of their own, as everything in a store is, and *written* under the
    keys of the registry's own dataset: so one line, `[calibration] file = ...`, makes the registry use them.
    """

    def __init__(self, toolkit: Toolkit, folder: Path, whole: bool, display: ProgressDisplay) -> None:
        self.toolkit = toolkit
        self.folder = folder
        self.whole = whole
        self.display = display
        self.inputs = collect([folder], videos=False)
        self.skipped = 0
        self.album: Album | None = None
        self._faces: dict[int, tuple[list[Tensor], list[str]]] = {}

    def calibrator(self, task: str, dataset: str, store: Store) -> Calibrator:
        """A calibrator of a task on these pictures.

        Raises:
            DataError: too few of them can be used.
        """
        generator = self.toolkit.generator(task)
        faces, names = self._read(generator.size)
        if not faces:
            raise DataError(f"{self.folder}: no picture with a face")
        first = self.album is None
        self.album = Album(torch.stack(faces).to(self.toolkit.device), names, generator.condition_names)
        policy = self.album.sharing.policy(self.toolkit.registry.calibration)
        registry = replace(self.toolkit.registry, calibration=policy)
        toolkit = _AlbumToolkit(registry, self.album, str(self.toolkit.device))
        if first:
            self._say_use(policy.fpr)
        return toolkit.calibrator(task, dataset, store, progress=self.display.step)

    def _read(self, size: int) -> tuple[list[Tensor], list[str]]:
        if size not in self._faces:
            faces, names = [], []
            self.skipped = 0
            for i, given in enumerate(self.inputs):
                try:
                    faces.append(load(given, size, self.whole).face)
                    names.append(given.name)
                except Exception as e:
                    self.skipped += 1
                    if not self._faces:
                        self.display.say(f"skipped {because(given, e)}")
                self.display.step("finding faces", i + 1, len(self.inputs))
            self._faces[size] = faces, names
        return self._faces[size]

    def entries(self, calibrator: Calibrator, task: str, dataset: str, store: Store) -> dict[str, Any]:
        """What a calibrator used, under the keys by which the registry will ask."""
        asked = self.toolkit.calibrator(task, dataset, store)
        self._say_covered(calibrator.used)
        return {asked.key(e["kind"], e["label"]): e for e in calibrator.used.values()}

    def provenance(self) -> Mapping[str, Any]:
        assert self.album is not None
        return {
            "command": "magdr calibrate --data",
            "pictures": sum(self.album.sharing.pictures.counts),
            "edits_per_picture": self.album.sharing.repeats,
            "samples": list(self.album.sharing.samples.counts),
        }

    # -- telling ----------------------------------------------------------------------------------------

    def _say_use(self, fpr: float) -> None:
        assert self.album is not None
        fit, clean, held_out, attacked = self.album.sharing.pictures.counts
        count, repeats = sum(self.album.sharing.pictures.counts), self.album.sharing.repeats
        self.display.say(
            f"{count} of {len(self.inputs)} pictures are used: {fit} to standardise on, {clean} for the "
            f"threshold, {attacked} + {held_out} to attack; each with {repeats} edits"
        )
        if clean < COARSE_BELOW:
            self.display.say(
                f"the false-positive rate is coarse: {fpr:.0%} is set on {clean} pictures; with fewer than "
                f"{COARSE_BELOW} the true rate may be several times that (the edits of one picture are no "
                f"further pictures: {clean} keep {promised_fpr(clean, fpr):.1%} at best)"
            )

    def _say_covered(self, used: Mapping[str, Any]) -> None:
        for entry in used.values():
            regions = entry["state"].get("regions") if entry["kind"] == "detector" else None
            if regions is not None:
                edits = ", ".join(name for name in regions if name != "any") or "none"
                clean = entry["clean"]
                self.display.say(
                    f"{entry['label']}: threshold {entry['thresholds']['fpr']:.2f} on {clean['n']} samples; "
                    f"enough pictures for edits of: {edits}"
                )

    def say_how_to_use(self, file: Path) -> None:
        name = self.toolkit.registry.path.name
        self.display.say(f"use it with `magdr defend --calibration {file}`, or in {name}:")
        self.display.say("  [calibration]")
        self.display.say(f'  file = "{file}"')
