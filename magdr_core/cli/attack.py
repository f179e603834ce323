"""magdr attack"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from magdr_core.cli import media_commands as media
from magdr_core.cli.attacked_photos import ENDINGS, QUALITY, AttackedPhotos
from magdr_core.cli.attacks import chosen_attack, ready_attack
from magdr_core.cli.common import cache_option, check_writable, chosen_finder, open_for_files
from magdr_core.cli.document import for_a_program
from magdr_core.cli.jobs import AttackJob
from magdr_core.cli.paths import check_results, collect


@click.command("attack", context_settings={"help_option_names": ["-h", "--help"]})
@media.media_options
@media.out_option
@click.option("--attack", metavar="LABEL", help="An [attack.LABEL] of the registry; default: its first.")
@click.option(
    "--survive",
    type=click.Choice(["jpeg"]),
    help=f"Make it survive JPEG, and write pictures as such, of quality {QUALITY}.",
)
@cache_option
def command(
    paths: tuple[Path, ...],
    task: str | None,
    edits: tuple[str, ...],
    has: tuple[str, ...],
    source: Path | None,
    text: str | None,
    whole: bool,
    as_json: bool,
    registry: Path | None,
    finder: str | None,
    device: str | None,
    block: tuple[str, ...],
    cache: Path,
    out: Path,
    attack: str | None,
    survive: str | None,
) -> None:
    """Perturb the largest face of pictures, folders (with all below) and clips against a generator.

    A picture's own pixels are perturbed, for several cuts of the face that a generator may be given. In clips
    the attack works at the generator's size and is enlarged. How much survives in the written file is
    measured and said. Written are, for each NAME:

    \b
      NAME.attacked.png (clips: .mkv, lossless, with sound)
        the perturbed picture; .jpg with --survive jpeg
      NAME.output.png (clips: .mp4)
        what the generator then makes of it
      NAME.compare.png (clips: .mp4)
        given, attacked, and the outputs on both

    Exit code 1: some files could not be used and were skipped; 2: nothing was written.
    """
    with for_a_program(as_json) as stdout:
        inputs = collect(paths)
        wanted = media.parsed_edits(edits)
        check_results(inputs, out, "attacked", ENDINGS[survive is not None])
        check_writable(out)
        toolkit = open_for_files(registry, device, block, task)
        label = media.chosen_task(toolkit, task, wanted)
        chosen = chosen_attack(toolkit, attack)
        generator = toolkit.generator(label)
        found_by = chosen_finder(toolkit, finder, whole)
        conditions = media.chosen_conditions(
            generator,
            wanted,
            media.parsed_edits(has, "--has"),
            source=media.source_face(source, generator, found_by),
            text=text,
            device=toolkit.device,
        )
        head = {
            "command": "attack",
            **media.condition_facts(toolkit, label, conditions),
            **({} if source is None else {"source": str(source)}),
            "attack": chosen,
            **media.finder_facts(found_by),
        }
        report = media.FileReport(media.new_display(as_json), as_json, head, stdout)
        report.start()
        job = AttackJob(generator, ready_attack(toolkit, label, chosen, cache), toolkit.registry.seed)
        photos = partial(AttackedPhotos, survive_jpeg=survive is not None, step=report.display.step)
        media.work_through(inputs, job, conditions, toolkit, report, finder=found_by, out=out, photos=photos)
