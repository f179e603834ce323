"""magdr calibrate"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from magdr_core.bench.plan import defense_label, is_restoration
from magdr_core.calibration import Calibrator, calibration_file, rate_kept, write_calibration
from magdr_core.calibration.from_pictures import PictureFolder, entries_for
from magdr_core.cli.common import (
    ProgressDisplay,
    block_option,
    cache_option,
    check_writable,
    chosen_finder,
    device_option,
    finder_option,
    open_for_files,
    open_toolkit,
)
from magdr_core.cli.picture_calibration import say_covered, say_how_to_use, say_use
from magdr_core.cli.terminal import Terminal
from magdr_core.errors import DataError, RegistryError, suggestion
from magdr_core.media import FaceFinder
from magdr_core.registry.include import PREFIX
from magdr_core.registry.settings import Profile
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit


@click.command("calibrate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("registry", required=False, type=click.Path(path_type=Path))
@click.option(
    "--profile",
    help="Whose detectors and defenses [default: quick; with --data only what `magdr defend` uses].",
)
@click.option("--task", metavar="LABEL", help="One generator of the registry; default: all of the profile.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Calibrate on the faces of your own clean pictures below this folder.",
)
@click.option(
    "--full", is_flag=True, help="With --data: fit everything on them, not thresholds alone: minutes."
)
@click.option("--whole", is_flag=True, help="With --data: no search for a face, the middle square.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("magdr.calibration.json"),
    show_default=True,
    help='The file; a registry uses it with [calibration] file = "...".',
)
@cache_option
@finder_option
@device_option
@block_option
def command(
    registry: Path | None,
    profile: str | None,
    task: str | None,
    data: Path | None,
    full: bool,
    whole: bool,
    out: Path,
    cache: Path,
    finder: str | None,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Calibrate every detector and defense of a profile, on faces of the calibration split only.

    Fits the standardisation, the thresholds (from [calibration] in the registry) and Rec-Net's choices. With
    --data it sets the thresholds on your own pictures, which must be clean and are used as `magdr defend`
    will see them; with --full it fits everything on them, for which some are attacked in memory, with the
    attacks that [calibration] names.
    """
    for option, said in (("--whole", whole), ("--full", full), ("--finder", finder is not None)):
        if data is None and said:
            raise click.UsageError(f"{option} goes with --data")
    opened = open_toolkit if data is None else partial(open_for_files, task=task)
    toolkit = opened(registry, device, block)
    # The file that the registry names may be the one that is to be made, but for one of the package: that one
    # is what thresholds of one's own replace those of.
    if full or data is None or not toolkit.registry.calibration.file.startswith(PREFIX):
        toolkit = toolkit.with_calibration(None)
    policy = toolkit.registry.calibration
    chosen = toolkit.registry.profile(profile or "quick")
    detectors, defenses = chosen.detectors, chosen.defenses
    if data is not None and profile is None:
        detectors, defenses = (), ("magdr",)
    for label in detectors:
        toolkit.resolve("detector", label)
    known = [defense_label(toolkit, label) for label in defenses]
    fitted = [label for label in known if not is_restoration(toolkit, label)]
    check_writable(out.parent)
    tasks = _tasks(toolkit, chosen, task)
    display = ProgressDisplay(Terminal())
    if data is None and detectors and (doubt := rate_kept(policy.clean, policy.fpr)):
        display.say(doubt)
    pictures = None if data is None else _pictures(data, chosen_finder(toolkit, finder, whole), display)
    entries: dict[str, Any] = {}
    fingerprint = ""
    with display.running("calibrating", len(tasks)):
        for name in tasks:
            dataset = chosen.dataset or toolkit.registry.dataset_of(name)
            work = _Work(toolkit, name, dataset, Store(cache), detectors, fitted, display)
            if pictures is None:
                found, fingerprint = _on_faces(work)
            else:
                found, fingerprint = _on_pictures(work, pictures, full=full)
            entries |= found
            display.advance("")
    content = calibration_file(entries, toolkit.registry, fingerprint)
    if pictures is not None:
        content["provenance"] |= pictures.provenance()
    write_calibration(out, content)
    display.say_path(out)
    if pictures is not None:
        say_how_to_use(display, toolkit.registry.path.name, out)
        if pictures.skipped:
            raise SystemExit(1)


@dataclass(frozen=True)
class _Work:
    """What is calibrated for one task: labels of `detectors` and `defenses`."""

    toolkit: Toolkit
    task: str
    dataset: str
    store: Store
    detectors: Sequence[str]
    defenses: Sequence[str]
    display: ProgressDisplay

    def fit(self, calibrator: Calibrator) -> None:
        for label in self.detectors:
            fpr = self.toolkit.registry.calibration.fpr
            thresholds = calibrator.detector(label).thresholds
            _say_thresholds(self.display, self.task, label, thresholds, fpr)
        for label in self.defenses:
            calibrator.defense(label)
            _say_plan(self.display, calibrator, self.task, label)


def _on_faces(work: _Work) -> tuple[dict[str, Any], str]:
    """Entries, by key, that the dataset's calibration faces give, and the dataset's fingerprint."""
    calibrator = work.toolkit.calibrator(work.task, work.dataset, work.store, progress=work.display.step)
    work.fit(calibrator)
    return calibrator.used, calibrator.data.fingerprint()


def _on_pictures(work: _Work, pictures: PictureFolder, *, full: bool) -> tuple[dict[str, Any], str]:
    """The same of one's own pictures."""
    toolkit, first = work.toolkit, pictures.sharing is None
    asked: Any = (toolkit, work.task, work.dataset, work.store)
    if full:
        calibrator = pictures.calibrator(*asked, progress=work.display.step)
        fingerprint = calibrator.data.fingerprint()
    else:
        found, fingerprint = pictures.thresholds(
            *asked, detectors=work.detectors, defenses=work.defenses, progress=work.display.step
        )
    if first:
        say_use(work.display, pictures, toolkit.registry.calibration.fpr)
    if full:
        work.fit(calibrator)
        found = entries_for(toolkit, calibrator.used, work.task, work.dataset, work.store)
    say_covered(work.display, found)
    return found, fingerprint


def _pictures(folder: Path, finder: FaceFinder | None, display: ProgressDisplay) -> PictureFolder:
    """Raises UsageError for a folder without any picture."""
    try:
        return PictureFolder(
            folder, finder=finder, progress=display.step, skip=lambda line: display.say(f"skipped {line}")
        )
    except DataError as e:
        raise click.UsageError(str(e)) from None


def _tasks(toolkit: Toolkit, profile: Profile, task: str | None) -> list[str]:
    known = toolkit.registry.labels("generator")
    if task is not None:
        if task not in known:
            raise RegistryError(
                f"{toolkit.registry.path.name} has no [generator.{task}]{suggestion(task, known)}"
            )
        return [task]
    return toolkit.registry.defended(profile)


def _say_thresholds(
    display: ProgressDisplay, task: str, label: str, thresholds: Mapping[str, float], fpr: float
) -> None:
    meant = {"fpr": f"{100 * fpr:g}% false alarms", "f1": "the best F1"}
    shown = ", ".join(f"{v:.3f} for {meant.get(k, k)}" for k, v in sorted(thresholds.items(), reverse=True))
    display.say(f"{task} / {label}: disrupted is what scores above the threshold: {shown}")


def _say_plan(display: ProgressDisplay, calibrator: Calibrator, task: str, label: str) -> None:
    for entry in calibrator.used.values():
        if entry["kind"] == "defense" and entry["label"] == label and "recnet" in entry["state"]:
            recnet = entry["state"]["recnet"]
            for i in recnet["order"]:
                best = ", ".join(f"{k} {v}" for k, v in recnet["best"][i].items())
                display.say(f"{task} / {label}: layer {i + 1}: {best}")
