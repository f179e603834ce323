"""What `magdr calibrate --data FOLDER` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magdr_core.calibration import promised_fpr
from magdr_core.calibration.album import COARSE_BELOW
from magdr_core.calibration.from_pictures import PictureFolder
from magdr_core.cli.common import ProgressDisplay


def say_use(display: ProgressDisplay, pictures: PictureFolder, fpr: float) -> None:
    """What the pictures that can be used are for."""
    assert pictures.sharing is not None
    fit, clean, held_out, attacked = pictures.sharing.pictures.counts
    count, repeats = sum(pictures.sharing.pictures.counts), pictures.sharing.repeats
    for_what = f"{fit} to standardise on, {clean} for the threshold, {attacked} + {held_out} to attack"
    if not fit:
        for_what = "for thresholds alone (--full fits everything, in minutes)"
    display.say(f"{count} of {len(pictures.inputs)} pictures are used: {for_what}; each with {repeats} edits")
    if clean < COARSE_BELOW:
        display.say(
            f"the false-positive rate is coarse: {fpr:.0%} is set on {clean} pictures; with fewer than "
            f"{COARSE_BELOW} the true rate may be several times that (the edits of one picture are no "
            f"further pictures: {clean} keep {promised_fpr(clean, fpr):.1%} at best)"
        )


def say_covered(display: ProgressDisplay, used: Mapping[str, Any]) -> None:
    """For each detector that knows regions, its threshold and the edits that there were pictures for."""
    for entry in used.values():
        regions = entry["state"].get("regions") if entry["kind"] == "detector" else None
        if regions is not None:
            edits = ", ".join(name for name in regions if name != "any") or "none"
            clean = entry["clean"]
            display.say(
                f"{entry['label']}: threshold {entry['thresholds']['fpr']:.2f} on {clean['n']} samples; "
                f"enough pictures for edits of: {edits}"
            )


def say_how_to_use(display: ProgressDisplay, registry: str, file: Path) -> None:
    """The option and the line of the registry that use the file."""
    display.say(f"use it with `magdr defend --calibration {file}`, or in {registry}:")
    display.say("  [calibration]")
    display.say_path(f'  file = "{file}"')
