"""magdr calibrate"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from magdr_core.bench.plan import defense_label, is_restoration
from magdr_core.calibration import Calibrator, calibration_file
from magdr_core.cli.common import (
    ProgressDisplay,
    block_option,
    cache_option,
    check_writable,
    device_option,
    open_toolkit,
)
from magdr_core.errors import RegistryError
from magdr_core.store import Store, write_atomically


@click.command("calibrate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("registry", required=False, type=click.Path(path_type=Path))
@click.option("--profile", default="quick", show_default=True, help="Whose detectors and defenses.")
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
    profile: str,
    out: Path,
    cache: Path,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Calibrate every detector and defense of a profile, on faces of the calibration split only.

    Fits the standardisation, the thresholds (from [calibration] in the registry) and Rec-Net's choices.
    """
    console = Console()
    toolkit = open_toolkit(registry, device, block)
    # The file that the registry names may be the one that is to be made.
    policy = toolkit.registry.calibration.model_copy(update={"file": "auto"})
    toolkit.resolver.registry = replace(toolkit.registry, calibration=policy)
    chosen = toolkit.registry.profile(profile)
    for label in chosen.detectors:
        toolkit.resolve("detector", label)
    for label in chosen.defenses:
        defense_label(toolkit, label)
    check_writable(out.parent)
    tasks = chosen.generators or tuple(toolkit.registry.labels("generator"))
    if not tasks:
        raise RegistryError(f"{toolkit.registry.path.name}: no [generator.TASK] table")
    display = ProgressDisplay(console)
    entries: dict[str, Any] = {}
    fingerprint = ""
    with display.running("calibrating", len(tasks) * (len(chosen.detectors) + len(chosen.defenses))):
        for task in tasks:
            calibrator = toolkit.calibrator(task, chosen.dataset, Store(cache), progress=display.step)
            fingerprint = calibrator.data.fingerprint()
            for label in chosen.detectors:
                thresholds = calibrator.detector(label).thresholds
                shown = ", ".join(f"{k} {v:.3f}" for k, v in thresholds.items())
                display.say(f"{task} / {label}: {shown}")
                display.advance("")
            for label in chosen.defenses:
                if not is_restoration(toolkit, label):
                    calibrator.defense(label)
                    _say_plan(display, calibrator, task, label)
                display.advance("")
            entries |= calibrator.used
    data = calibration_file(entries, toolkit.registry, fingerprint)
    text = json.dumps(data, indent=1, sort_keys=True) + "\n"
    write_atomically(out, lambda p: p.write_text(text, encoding="utf-8"))
    console.print(str(out), highlight=False, soft_wrap=True)


def _say_plan(display: ProgressDisplay, calibrator: Calibrator, task: str, label: str) -> None:
    for entry in calibrator.used.values():
        if entry["kind"] == "defense" and entry["label"] == label and "recnet" in entry["state"]:
            recnet = entry["state"]["recnet"]
            for i in recnet["order"]:
                best = ", ".join(f"{k} {v}" for k, v in recnet["best"][i].items())
                display.say(f"{task} / {label}: layer {i + 1}: {best}")
