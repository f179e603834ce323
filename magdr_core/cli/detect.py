"""magdr detect"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from magdr_core.cli import media_commands as media
from magdr_core.cli.jobs import Detect


@click.command("detect", context_settings={"help_option_names": ["-h", "--help"]})
@media.media_options
@media.calibrated_options
def command(paths: tuple[Path, ...], **options: Any) -> None:
    """Say which pictures, folders (with all below) and clips hold disrupted faces; writes nothing.

    Every face of a picture, and the largest of a clip, gets a verdict for one generator and edit: disrupted,
    not disrupted, or cannot tell, where the calibration knows nothing like it or the score lies between.
    With it comes how sure it is, why, and what to do. Options are those of `magdr defend`.

    Exit code 1: some files could not be used and were skipped.
    """
    media.judge("detect", Detect, paths, **options)
