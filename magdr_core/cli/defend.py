"""magdr defend"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli import own
from magdr_core.cli.common import check_writable, open_toolkit
from magdr_core.cli.inputs import check_results, collect
from magdr_core.cli.jobs import Defend


@click.command("defend", context_settings={"help_option_names": ["-h", "--help"]})
@own.own_options
@own.out_option
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
    out: Path,
    calibration: Path | None,
    defense: str,
    cache: Path,
) -> None:
    """Detect disrupted faces in pictures, folders (with all below) and clips, and restore them.

    The largest face is cut out, judged and, if it is disrupted, restored for this generator and edit; the
    change is put back into the picture, whose rest stays as it is. Written are, for each NAME:

    \b
      NAME.restored.png   the picture, restored (clips: .mkv, lossless, without sound)
      NAME.output.png     what the generator then makes of it (clips: .mp4)
      NAME.compare.png    received, restored, and the outputs on both (clips: .mp4)

    Below a folder, hidden files and such results are passed over. What a picture shows is not known:
    attributes that --has does not name count as 0, which the generator takes for absent. A clip is judged by
    the median of half a second, so that its verdict does not flicker, and is restored stretch by stretch.

    Exit code 1: some files could not be used and were skipped; 2: nothing was written.
    """
    inputs = collect(paths)
    wanted = own.parsed_edits(edits)
    check_results(inputs, out, "restored")
    check_writable(out)
    toolkit = open_toolkit(registry, device, block)
    own.with_calibration(toolkit, calibration)
    label = own.chosen_task(toolkit, task, wanted)
    generator = toolkit.generator(label)
    condition = own.chosen_condition(generator, wanted, has)
    display = own.new_display(as_json)
    with display.running("calibrating", 1):
        pipeline = toolkit.magdr(label, defense=defense, cache=cache, progress=display.step)
    facts = own.conditions_told(label, generator, wanted, has) | own.calibration_told(toolkit, label)
    head = {"command": "defend", **facts, "defense": defense}
    told = own.Told(own.new_display(as_json), as_json, head)
    own.work_through(
        inputs,
        Defend(pipeline, synthetic=bool(facts.get("synthetic"))),
        condition,
        toolkit,
        told,
        whole=whole,
        out=out,
    )
