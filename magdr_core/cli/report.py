"""magdr report"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli.terminal import say
from magdr_core.errors import MagdrError
from magdr_core.report import write_report


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Write report.html of a RUN folder again."""
    if not run.is_dir():
        raise MagdrError(f"there is no run folder {str(run)!r}")
    say(write_report(run))
