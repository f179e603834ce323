"""magdr detect"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli import own
from magdr_core.cli.common import open_toolkit
from magdr_core.cli.inputs import collect
from magdr_core.cli.jobs import Detect


@click.command("detect", context_settings={"help_option_names": ["-h", "--help"]})
@own.own_options
@own.calibrated_options
def command(
    paths: tuple[Path, ...],
    task: str | None,
    edits: tuple[str, ...],
    has: tuple[str, ...],
    whole: bool,
    as_json: bool,
    registry: Path | None,
    device: str | None,
    block: tuple[str, ...],
    calibration: Path | None,
    defense: str,
    cache: Path,
) -> None:
    """Say which pictures, folders (with all below) and clips hold disrupted faces; writes nothing.

    The verdict is about the largest face and about one generator and edit, as for `magdr defend`, with the
    same options. Exit code 1: some files could not be used and were skipped.
    """
    inputs = collect(paths)
    wanted = own.parsed_edits(edits)
    toolkit = open_toolkit(registry, device, block)
    own.with_calibration(toolkit, calibration)
    label = own.chosen_task(toolkit, task, wanted)
    generator = toolkit.generator(label)
    condition = own.chosen_condition(generator, wanted, has)
    display = own.new_display(as_json)
    with display.running("calibrating", 1):
        pipeline = toolkit.magdr(label, defense=defense, cache=cache, progress=display.step)
    facts = own.conditions_told(label, generator, wanted, has) | own.calibration_told(toolkit, label)
    head = {"command": "detect", **facts, "defense": defense}
    told = own.Told(own.new_display(as_json), as_json, head)
    own.work_through(
        inputs,
        Detect(pipeline, synthetic=bool(facts.get("synthetic"))),
        condition,
        toolkit,
        told,
        whole=whole,
        out=None,
    )
