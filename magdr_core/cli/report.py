"""magdr report"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli.terminal import say
from magdr_core.report.build import write_page
from magdr_core.report.load import load_run


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Write report.html of a RUN folder again."""
    data = load_run(run)
    for note in data.notes:
        say(note, err=True)
    say(write_page(data))
