"""magdr adapt"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from magdr_core.adapt import adapt
from magdr_core.adapt.page import headline, sentences
from magdr_core.cli.common import ProgressDisplay, device_option
from magdr_core.cli.terminal import Terminal
from magdr_core.components.threads import probe_threads
from magdr_core.registry.read import default_registry

STAGES = 6


@click.command("adapt", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("registry", required=False, type=click.Path(path_type=Path))
@click.option("--generator", required=True, metavar="NAME", help="A [generator.NAME] of the registry.")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A folder of pictures; 48 faces at least."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder of its own: registry, weights, figures and a page. What is done there is kept.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Of each training [default: 1800 and 3000].")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="About how long the trainings may take."
)
@click.option("--no-twin", is_flag=True, help="No hardened twin, which takes the larger part of the time.")
@click.option("--whole", is_flag=True, help="No search for a face: the middle square of each picture.")
@device_option
def command(
    registry: Path | None,
    generator: str,
    data: Path,
    out: Path,
    steps: int | None,
    minutes: float | None,
    no_twin: bool,
    whole: bool,
    device: str | None,
) -> None:
    """Make a defense for a generator of your own.

    Trains a purifier on Eq. 8 for it and a hardened twin of it, calibrates MagDR with both, and measures on
    pictures that nothing learned from what an attack leaves before and after. OUT/registry.toml is for
    `magdr bench`, `detect` and `defend`. Called again, it goes on where it was broken off.
    """
    if steps is not None and minutes is not None:
        raise click.UsageError("say --steps or --minutes, not both")
    if device in (None, "auto", "cpu"):
        torch.set_num_threads(probe_threads())
    display = ProgressDisplay(Terminal())
    with display.running(generator, STAGES):
        made = adapt(
            registry or default_registry(),
            generator,
            data,
            out,
            steps=steps,
            minutes=minutes,
            twin=not no_twin,
            whole=whole,
            device=device,
            log=display.say,
            progress=display.step,
            advance=lambda: display.advance(""),
        )
    display.say(headline(generator, made.measured))
    for sentence in sentences(generator, made.measured, no_twin=made.no_twin):
        display.say(sentence)
    for path in (made.page, made.figures, made.registry):
        display.say_path(path)
