"""magdr defend"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from magdr_core.cli import media_commands as media
from magdr_core.cli.jobs import Defend


@click.command("defend", context_settings={"help_option_names": ["-h", "--help"]})
@media.media_options
@media.out_option
@media.calibrated_options
def command(paths: tuple[Path, ...], **options: Any) -> None:
    """Detect disrupted faces in pictures, folders (with all below) and clips, and restore them.

    Every face is cut out, judged and, if it is disrupted, restored for this generator and edit; the change is
    put back into the picture, whose rest stays as it is. Written are, for each NAME:

    \b
      NAME.restored.png (clips: .mkv, lossless, with sound)
        the picture, restored
      NAME.unchanged.* (with the file's own ending)
        or, if nothing was restored, a copy of the file,
        byte for byte
      NAME.output.png (clips: .mp4)
        what the generator then makes of it
      NAME.compare.png (clips: .mp4)
        received, restored, and the outputs on both;
        without the restored ones if there are none

    Below a folder, hidden files and such results are passed over. What a picture shows is found out by the
    generator itself, so that it is told to keep what --set does not name; --has knows better. Reenactment
    takes the action units that neither names for 0. Of a clip the largest face is followed; it is judged by
    the median of half a second, so that its verdict does not flicker, and is restored stretch by stretch.

    Exit code 1: some files could not be used and were skipped; 2: nothing was written.
    """
    media.judge("defend", Defend, paths, **options)
