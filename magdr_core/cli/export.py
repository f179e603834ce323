"""magdr export"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli.common import (
    ProgressDisplay,
    block_option,
    cache_option,
    check_writable,
    device_option,
    open_toolkit,
)
from magdr_core.cli.terminal import Terminal
from magdr_core.export import Export


@click.command("export", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("registry", type=click.Path(path_type=Path), required=False)
@click.option("--profile", default="quick", show_default=True, help="A [profile.NAME] of the registry.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the pictures.")
@click.option(
    "--defense",
    "defenses",
    multiple=True,
    metavar="LABEL",
    help="May be repeated; default: the first one.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N samples.")
@click.option("--terms", default="", metavar="TEXT", help="Terms of pictures that are not drawn.")
@cache_option
@device_option
@block_option
def command(
    registry: Path | None,
    profile: str,
    out: Path,
    defenses: tuple[str, ...],
    limit: int | None,
    terms: str,
    cache: Path,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Write clean, attacked and restored pictures of a profile as PNG files, with a card.

    Without REGISTRY: ./registry.toml, else the packaged one, whose faces are drawn. For each task, seed,
    attack and defense:

    \b
      TASK-seedN/clean/000000.png            as it was
      TASK-seedN/ATTACK/attacked/000000.png  perturbed
      TASK-seedN/ATTACK/DEFENSE/000000.png   and restored
      triples.csv, SHA256SUMS
        what belongs together; checksums
      README.md, card.json, registry.toml
        what made it, with which seeds and weights, and
        the terms

    The same command continues what was interrupted. Exit code 1: something failed, and the card says what.
    """
    check_writable(out)
    check_writable(cache)
    console = Terminal()
    display = ProgressDisplay(console)
    toolkit = open_toolkit(registry, device, block)
    export = Export(
        toolkit,
        profile,
        out=out,
        cache=cache,
        defenses=defenses,
        limit=limit,
        terms=" ".join(terms.split()),
        progress=display.step,
        report=display.say,
    )
    with display.running(toolkit.registry.name, export.total):
        result = export.run(display.advance)
    console.print(
        f"{out}: {len(result.triples)} triples, {result.made} pictures restored now, "
        f"{len(result.failed)} parts failed",
        soft_wrap=True,
    )
    if result.failed:
        raise SystemExit(1)
