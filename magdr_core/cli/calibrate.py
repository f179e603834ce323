"""magdr calibrate"""

from __future__ import annotations

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
    device_option,
    open_toolkit,
)
from magdr_core.cli.picture_calibration import say_covered, say_how_to_use, say_use
from magdr_core.cli.terminal import Terminal
from magdr_core.errors import DataError, RegistryError, suggestion
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
@click.option("--whole", is_flag=True, help="With --data: no search for a face, the middle square.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("magdr.calibration.json"),
    show_default=True,
    help='The file; a registry uses it with [calibration] file = "...".',
)
@cache_option
@device_option
@block_option
def command(
    registry: Path | None,
    profile: str | None,
    task: str | None,
    data: Path | None,
    whole: bool,
    out: Path,
    cache: Path,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Calibrate every detector and defense of a profile, on faces of the calibration split only.

    Fits the standardisation, the thresholds (from [calibration] in the registry) and Rec-Net's choices. With
    --data it does so on your own pictures, which must be clean and are used as `magdr defend` will see them;
    some of them are attacked in memory, with the attacks that [calibration] names.
    """
    if whole and data is None:
        raise click.UsageError("--whole goes with --data")
    # The file that the registry names may be the one that is to be made.
    toolkit = open_toolkit(registry, device, block).with_calibration(None)
    policy = toolkit.registry.calibration
    chosen = toolkit.registry.profile(profile or "quick")
    detectors, defenses = chosen.detectors, chosen.defenses
    if data is not None and profile is None:
        detectors, defenses = (), ("magdr",)
    for label in detectors:
        toolkit.resolve("detector", label)
    for label in defenses:
        defense_label(toolkit, label)
    check_writable(out.parent)
    tasks = _tasks(toolkit, chosen, task)
    display = ProgressDisplay(Terminal())
    if data is None and detectors and (doubt := rate_kept(policy.clean, policy.fpr)):
        display.say(doubt)
    pictures = None if data is None else _pictures(data, whole, display)
    entries: dict[str, Any] = {}
    fingerprint = ""
    with display.running("calibrating", len(tasks) * (len(detectors) + len(defenses))):
        for name in tasks:
            store = Store(cache)
            dataset = chosen.dataset or toolkit.registry.dataset_of(name)
            if pictures is None:
                calibrator = toolkit.calibrator(name, dataset, store, progress=display.step)
            else:
                first = pictures.sharing is None
                calibrator = pictures.calibrator(toolkit, name, dataset, store, progress=display.step)
                if first:
                    say_use(display, pictures, policy.fpr)
            fingerprint = calibrator.data.fingerprint()
            for label in detectors:
                _say_thresholds(display, name, label, calibrator.detector(label).thresholds)
                display.advance("")
            for label in defenses:
                if not is_restoration(toolkit, label):
                    calibrator.defense(label)
                    _say_plan(display, calibrator, name, label)
                display.advance("")
            if pictures is None:
                entries |= calibrator.used
            else:
                say_covered(display, calibrator.used)
                entries |= entries_for(toolkit, calibrator.used, name, dataset, store)
    content = calibration_file(entries, toolkit.registry, fingerprint)
    if pictures is not None:
        content["provenance"] |= pictures.provenance()
    write_calibration(out, content)
    display.say(str(out))
    if pictures is not None:
        say_how_to_use(display, toolkit.registry.path.name, out)
        if pictures.skipped:
            raise SystemExit(1)


def _pictures(folder: Path, whole: bool, display: ProgressDisplay) -> PictureFolder:
    """Raises UsageError for a folder without any picture."""
    try:
        return PictureFolder(
            folder, whole=whole, progress=display.step, skip=lambda line: display.say(f"skipped {line}")
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


def _say_thresholds(display: ProgressDisplay, task: str, label: str, thresholds: Any) -> None:
    shown = ", ".join(f"{k} {v:.3f}" for k, v in thresholds.items())
    display.say(f"{task} / {label}: {shown}")


def _say_plan(display: ProgressDisplay, calibrator: Calibrator, task: str, label: str) -> None:
    for entry in calibrator.used.values():
        if entry["kind"] == "defense" and entry["label"] == label and "recnet" in entry["state"]:
            recnet = entry["state"]["recnet"]
            for i in recnet["order"]:
                best = ", ".join(f"{k} {v}" for k, v in recnet["best"][i].items())
                display.say(f"{task} / {label}: layer {i + 1}: {best}")
