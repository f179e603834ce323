"""magdr inspect"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from torch import Tensor

from magdr_core.cli.common import (
    ProgressDisplay,
    block_option,
    cache_option,
    check_writable,
    chosen_finder,
    device_option,
    files_registry_option,
    finder_option,
    open_for_files,
)
from magdr_core.cli.document import for_a_program
from magdr_core.cli.file_results import FileReport, new_display
from magdr_core.cli.inspected import FORENSIC, Inspecting
from magdr_core.cli.media_commands import finder_facts, out_option
from magdr_core.cli.paths import Input, collect
from magdr_core.errors import DataError
from magdr_core.forensics.inspection import Inspector, chosen_models, dataset_of
from magdr_core.forensics.real_scores import RealScores, read_real_scores
from magdr_core.inference.loaded import because, load
from magdr_core.inference.sources import below
from magdr_core.measures.thresholds import rate_kept
from magdr_core.media import FaceFinder
from magdr_core.results.store import Store


@click.command("inspect", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "--model", "labels", multiple=True, metavar="LABEL", help="A [forensic.LABEL]; default: all but controls."
)
@click.option(
    "--reals",
    type=click.Path(path_type=Path, exists=True),
    help="Folder of untouched photographs like yours, at least 24, or a file of --keep: sets the threshold.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what the models say of --reals FOLDER to this file, for --reals and registries.",
)
@click.option("--whole", is_flag=True, help="No search for faces: the largest square in the middle.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")
@files_registry_option
@out_option
@cache_option
@finder_option
@device_option
@block_option
def command(
    paths: tuple[Path, ...],
    labels: tuple[str, ...],
    reals: Path | None,
    keep: Path | None,
    whole: bool,
    as_json: bool,
    registry: Path | None,
    out: Path,
    cache: Path,
    finder: str | None,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Say whether the faces of pictures, folders (with all below) and clips look forged, and where.

    Every face is judged, by the forensic models of the registry. They know the forgeries that they were
    trained on and no others; no verdict is a proof. Written is, for each NAME, where a model locates:

    \b
      NAME.inspected.png
        faces (of clips, frames) beside what is marked in
        them

    Exit code 1: some files could not be used and were skipped; 2: nothing was begun.
    """
    with for_a_program(as_json) as stdout:
        inputs = collect(paths)
        check_writable(out)
        toolkit = open_for_files(registry, device, block)
        chosen = chosen_models(toolkit, labels)
        found_by = chosen_finder(toolkit, finder, whole)
        size = toolkit.build("dataset", dataset_of(toolkit)).size
        display = new_display(as_json)
        with display.running("calibrating", 1):
            own = None if reals is None else _reals(reals, inputs, size, found_by, display)
            if keep is not None and not isinstance(own, Tensor):
                raise click.UsageError("--keep goes with --reals FOLDER")
            inspector = Inspector(toolkit, chosen, store=Store(cache), reals=own, progress=display.step)
        if keep is not None:
            inspector.reals.save(keep)
        families, qualities = inspector.trained_on()
        head = {
            "command": "inspect",
            "models": chosen,
            "trained_on": sorted(families),
            "qualities": sorted(qualities),
            "size": size,
            **finder_facts(found_by),
            "reals": inspector.count,
            "drawn": inspector.drawn,
            "false_alarms": inspector.fpr,
            "rate": rate_kept(inspector.count, toolkit.registry.calibration.fpr),
        }
        report = FileReport(new_display(as_json), as_json, head, stdout, telling=FORENSIC)
        report.start()
        work = Inspecting(
            inspector,
            finder=found_by,
            out=out,
            guess=inspector.drawn,
            done=report.done,
            skip=report.skip,
            step=report.display.step,
        )
        with report.display.running("inspect", len(inputs)):
            for given in inputs:
                work.run(given)
        report.finish()


def _reals(
    folder: Path,
    inputs: Sequence[Input],
    size: int,
    finder: FaceFinder | None,
    display: ProgressDisplay,
) -> Tensor | RealScores:
    """The largest face of each picture below a folder, `[n,3,size,size]`, without those that are judged; what
    cannot be used is said. Of a file, the scores in it.

    Raises:
        DataError: none of them can be used.
        CalibrationError: the file is damaged.
    """
    if folder.is_file():
        return read_real_scores(folder)
    judged = {os.path.realpath(given.path) for given in inputs}
    sources = [s for s in below(folder, videos=False) if os.path.realpath(s.path) not in judged]
    faces = []
    for number, given in enumerate(sources):
        display.step("reading real pictures", number, len(sources))
        try:
            faces.append(load(given, size, finder).face)
        except Exception as e:
            display.say(f"skipped {because(given, e)}")
    if not faces:
        raise DataError(f"--reals {folder}: no picture there can be used that is not judged itself")
    return torch.stack(faces)
