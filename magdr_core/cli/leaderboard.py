"""magdr leaderboard"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli.common import ProgressDisplay, cache_option, check_writable, device_option
from magdr_core.cli.groups import CommandGroup
from magdr_core.cli.terminal import Terminal, say
from magdr_core.leaderboard import check_run, entries_of, read_entries, write_board, write_entries
from magdr_core.leaderboard.checking import IMAGES, TOLERANCE


@click.group("leaderboard", cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Entries of runs, a static page of them, and a check of a submission."""


@command.command("add")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A csv file of entries.")
@cache_option
def add(runs: tuple[Path, ...], out: Path, cache: Path) -> None:
    """Take the entries of RUN folders into a csv file.

    What the file has of the same component on the same suite (pictures, attacks, strengths) is replaced.
    """
    check_writable(out.parent)
    there = read_entries(out) if out.exists() else []
    new = [entry for run in runs for entry in entries_of(run, cache)]
    write_entries(out, [*there, *new])
    say(f"{out}: {len(new)} figures of {len({(e.board, e.component) for e in new})} components")


@command.command("page")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the page.")
def page(files: tuple[Path, ...], out: Path) -> None:
    """Write the page of csv FILES: index.html, and data/GENERATOR.json in the shape of the Proactive Defense
    Benchmark (ICML 2026)."""
    check_writable(out)
    for path in write_board(out, [entry for file in files for entry in read_entries(file)]):
        say(path)


@command.command("check")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--registry", type=click.Path(path_type=Path), help="The run's registry, if it needs files.")
@click.option(
    "--images", type=click.IntRange(min=1), default=IMAGES, show_default=True, help="How many, at most."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    show_default=True,
    help="A mean over these images may differ by this share of its size.",
)
@cache_option
@device_option
def check(
    run: Path, registry: Path | None, images: int, tolerance: float, cache: Path, device: str | None
) -> None:
    """Compute eight images of a RUN again, in a store of their own, and compare them with its values.

    Which images a hash of the run says. Exit code 1: something differs, or could not be computed.
    """
    console = Terminal()
    display = ProgressDisplay(console)
    with display.running(f"checking {run}", 1):
        found = check_run(
            run,
            registry,
            images=images,
            tolerance=tolerance,
            device=device,
            cache=cache,
            progress=display.step,
            report=display.say,
        )
    worst = max((c.difference for c in found.cells if not c.error), default=0.0)
    console.print(
        f"{len(found.cells)} cells on {len(found.ids)} images computed again; largest difference {worst:.2%}",
        soft_wrap=True,
    )
    if found.adaptive:
        console.print(
            f"not checked: {found.adaptive} cells of attacks that know the whole pipeline, whose images are "
            "not independent of each other",
            soft_wrap=True,
        )
    for cell in found.other:
        said = cell.error or f"{cell.value} differs by {cell.difference:.1%}"
        console.print(f"differs: {cell.place}: {said}", style="red", soft_wrap=True)
    for place in found.missing:
        console.print(f"not in the run: {place}", style="red", soft_wrap=True)
    if not found.holds:
        raise SystemExit(1)
