"""From a generator and a folder of pictures to a registry that defends it, in six stages.

Each stage is kept in the output folder under a hash of all that it depends on: called again with the same
things, an adaptation goes on where it was.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from magdr_core.adapt.checks import check_generator
from magdr_core.adapt.faces import FOLDER, SPLITS, cut_faces, pictures_below, told_by
from magdr_core.adapt.learning import SHARE, STEPS, Learner
from magdr_core.adapt.measuring import BeforeAndAfter, measure
from magdr_core.adapt.page import write_page
from magdr_core.adapt.stages import Stages
from magdr_core.adapt.tables import FACES, FILE, GeneratorSource
from magdr_core.calibration import calibration_file, write_calibration
from magdr_core.calibration.album import Album, Sharing
from magdr_core.calibration.from_pictures import entries_for, shown_by
from magdr_core.components.fingerprints import digest
from magdr_core.errors import MagdrError, RegistryError, suggestion
from magdr_core.files.disk import write_atomically
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.registry.read import read_registry
from magdr_core.report.formatting import seconds as duration
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit

FIGURES, PAGE, CACHE = "figures.csv", "report.html", "cache"

Log = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Adaptation:
    """What was made.

    Attributes:
        registry, figures, page: the files.
        measured: what the page shows.
        no_twin: why there is no twin; empty if there is one.
        pictures: how many each split has.
    """

    registry: Path
    figures: Path
    page: Path
    measured: BeforeAndAfter
    no_twin: str
    pictures: dict[str, int]


def adapt(
    registry: Path | str,
    generator: str,
    data: Path | str,
    out: Path | str,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    twin: bool = True,
    whole: bool = False,
    device: str | None = None,
    log: Log = print,
    progress: Progress = lambda what, done, total: None,
    advance: Callable[[], None] = lambda: None,
) -> Adaptation:
    """Make a purifier and a twin for a generator, calibrate MagDR with them, and measure before and after.

    Args:
        registry: the file whose `[generator.GENERATOR]` is meant.
        data: a folder of pictures; at least 48 must show a face.
        out: a folder of its own: the registry, weights with their cards, the calibration, `figures.csv` and
            `report.html`. What an earlier call left there is gone on with.
        steps: of each training; else as many as `minutes` allow, else the defaults.
        minutes: about how long the trainings may take together.
        twin: make one, where the generator's weights can be trained and loaded again.
        whole: no search for a face: the middle square of each picture.
        device: overrides the registry's.
        log, progress: told lines, and (what, done, total) of long steps.
        advance: called when one of the six stages is done.

    Raises:
        RegistryError: no such registry or generator.
        MagdrError: the generator cannot be adapted to, the pictures are too few, or `out` holds other files.
        WriteError: something cannot be written.
    """
    if steps is not None and minutes is not None:
        raise MagdrError("say how many steps or how many minutes, not both")
    read = read_registry(registry)
    if generator not in read.labels("generator"):
        known = suggestion(generator, read.labels("generator"))
        raise RegistryError(f"{read.path.name} has no [generator.{generator}]{known}")
    theirs = Toolkit(read, device=device)
    G = theirs.generator(generator)
    work = _Work(
        GeneratorSource(read, generator, Path(out), G.size, G.condition_names),
        theirs.resolve("generator", generator).key,
        Stages(Path(out)),
        str(theirs.device),
        log,
        progress,
    )
    pictures = work.faces(Path(data), whole=whole)
    advance()
    half, no_twin = work.checked(twin=twin)
    advance()
    learner = Learner(work.source, work.device, half, log, progress)
    planned = work.planned(learner, steps, minutes, twin=not no_twin)
    made = []
    for what in ("purifier", "twin"):
        if what in planned:
            made.append(work.trained(learner, what, planned[what]))
        advance()
    work.calibrated(made, twin=not no_twin, tested=pictures["test"])
    advance()
    found = work.measured(no_twin, pictures)
    advance()
    return found


@dataclass(frozen=True)
class _Work:
    """The stages of one adaptation.

    Attributes:
        generator: a hash of everything that the generator's outputs depend on.
    """

    source: GeneratorSource
    generator: str
    stages: Stages
    device: str
    log: Log
    progress: Progress

    @property
    def out(self) -> Path:
        return self.source.out

    def faces(self, folder: Path, *, whole: bool) -> dict[str, int]:
        """Cut the faces out, or find them cut; how many each split has."""
        inputs = pictures_below(folder, self.out)
        depends = [told_by(inputs), self.source.size, whole, list(self.source.attributes)]
        kept = self.stages.kept("faces", depends, [self.out / FOLDER])
        if kept is None:
            self.log(f"1 of 6: {len(inputs)} pictures: cutting faces of {self.source.size} px")
            kept = cut_faces(
                folder,
                inputs,
                self.out,
                self.source.size,
                finder=None if whole else self.toolkit.finder(),
                attributes=self.source.attributes,
                log=self.log,
                progress=self.progress,
            )
            self.stages.done("faces", depends, kept)
        self.log("1 of 6: faces: " + ", ".join(f"{kept[split]} for {split}" for split in SPLITS))
        return dict(kept)

    @cached_property
    def toolkit(self) -> Toolkit:
        """Of the tables that there are before anything is trained; asked for once the faces are cut."""
        return Toolkit(self.source.parsed(self.source.tables()), device=self.device)

    @cached_property
    def data(self) -> str:
        """Names the cut faces."""
        return str(self.toolkit.build("dataset", FACES).fingerprint())

    def checked(self, *, twin: bool) -> tuple[bool, str]:
        """Check the generator: (it may compute in bfloat16, why there is no twin)."""
        toolkit, task = self.toolkit, self.source.task
        found = check_generator(toolkit, task, toolkit.build("dataset", FACES).split("train"))
        self.log(
            f"2 of 6: [generator.{task}] is fine; output MSE under PGD (6/255, 10 steps): "
            f"{DEFINITIONS['attack', 'mse_o'].text(found.disrupted)} squared levels"
        )
        no_twin = found.no_twin if twin else "none was asked for"
        if no_twin:
            self.log(f"2 of 6: there will be no twin: {no_twin}")
        return found.half, no_twin

    def planned(
        self, learner: Learner, steps: int | None, minutes: float | None, *, twin: bool
    ) -> dict[str, int]:
        """Steps of each training."""
        wanted = ["purifier", *(["twin"] if twin else [])]
        if minutes is None:
            return {what: steps or STEPS[what] for what in wanted}
        depends = [self.generator, minutes, wanted, self.device]
        kept = self.stages.kept("plan", depends)
        if kept is None:
            share = sum(SHARE[what] for what in wanted)
            kept = {what: learner.steps_within(what, minutes * SHARE[what] / share) for what in wanted}
            self.stages.done("plan", depends, kept)
        told = ", ".join(f"{what} {count}" for what, count in kept.items())
        self.log(f"steps that {duration(60 * minutes)} allow: {told}")
        return {what: int(kept[what]) for what in wanted}

    def trained(self, learner: Learner, what: str, steps: int) -> str:
        """Train a network, or find it trained; a hash of what it was made of."""
        number = {"purifier": 3, "twin": 4}[what]
        recipe = learner.recipe(what, steps)
        depends = [self.generator, self.data, repr(recipe)]
        path = self.out / f"{recipe.name}.safetensors"
        if self.stages.kept(what, depends, [path]) is None:
            self.log(f"{number} of 6: training {recipe.name} in {steps} steps")
            if self.stages.kept(f"{what} begun", depends) is None:
                learner.forget(recipe.name)
                self.stages.done(f"{what} begun", depends, True)
            learner.train(what, steps)
            self.stages.done(what, depends, True)
        self.log(f"{number} of 6: {path.name}")
        return digest(depends)

    def calibrated(self, made: list[str], *, twin: bool, tested: int) -> None:
        """Calibrate MagDR on the faces of the calibration split, and write the registry."""
        source, task = self.source, self.source.task
        file = self.out / f"{task}.calibration.json"
        depends = [self.generator, made, twin, source.tables(purifier=True, twin=twin)]
        images, names = self._calibration_faces()
        sharing = Sharing.of(len(images))
        # What `magdr bench` may calibrate besides has the faces themselves, each of them once.
        own = sharing.pictures
        numbers = {"fit": max(12, own.fit.count), "clean": max(20, own.clean.count)}
        numbers["attacked"] = max(4, own.learned.count)
        text = source.written(numbers, "", twin=twin, tested=tested)
        if self.stages.kept("calibration", [depends, numbers], [file]) is None:
            self.log(f"5 of 6: calibrating on {len(images)} pictures")
            write_atomically(self.out / FILE, lambda path: path.write_text(text, encoding="utf-8"))
            toolkit = Toolkit(read_registry(self.out / FILE), device=self.device)
            store, album = (
                Store(self.out / CACHE),
                Album(images, names, shown_by(toolkit.generator(task), images), sharing),
            )
            with_album = toolkit.with_dataset(FACES, album).with_calibration(None, **sharing.numbers)
            calibrator = with_album.calibrator(task, FACES, store, progress=self.progress)
            calibrator.defense("magdr")
            entries = entries_for(toolkit, calibrator.used, task, FACES, store)
            write_calibration(file, calibration_file(entries, toolkit.registry, album.fingerprint()))
            self.stages.done("calibration", [depends, numbers], True)
        text = source.written(numbers, file.name, twin=twin, tested=tested)
        write_atomically(self.out / FILE, lambda path: path.write_text(text, encoding="utf-8"))
        self.log(f"5 of 6: {FILE}, {file.name}")

    def _calibration_faces(self) -> tuple[torch.Tensor, tuple[str, ...]]:
        split = self.toolkit.build("dataset", FACES).split("calibration")
        batch = split[list(range(len(split)))]
        return batch.images, batch.ids

    def measured(self, no_twin: str, pictures: dict[str, int]) -> Adaptation:
        """Measure before and after with what is written, and write the figures and the page."""
        task, out = self.source.task, self.out
        self.log(f"6 of 6: measuring on {pictures['test']} test pictures")
        toolkit = Toolkit(read_registry(out / FILE), device=self.device)
        calibrator = toolkit.calibrator(task, FACES, Store(out / CACHE), progress=self.progress)
        found = measure(toolkit, task, calibrator, twin=not no_twin, progress=self.progress)
        write_atomically(out / FIGURES, lambda path: _write_figures(path, found))
        page = write_page(out / PAGE, self.source, found, no_twin=no_twin, pictures=pictures)
        return Adaptation(out / FILE, out / FIGURES, page, found, no_twin, pictures)


def _write_figures(path: Path, measured: BeforeAndAfter) -> None:
    rows: list[dict[str, Any]] = [asdict(figure) for figure in measured.figures]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        for row in rows:
            shown = {k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()}
            table.writerow({k: "" if v == "nan" else v for k, v in shown.items()})
