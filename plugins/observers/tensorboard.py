"""Writes a run's figures for TensorBoard, into the folder `tensorboard` of the run.

`tensorboard --logdir runs` shows all runs. Points of a sweep over steps make a curve.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magdr_core.api import hookimpl

from ._told import figures_of, params_of

MAGDR_API = 1
REQUIRES = ("tensorboard",)
EXTRA = "magdr[tensorboard]"

FOLDER = "tensorboard"


@hookimpl
def magdr_run_finished(run: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes one event file in place of those of an earlier run into the same folder."""
    from torch.utils.tensorboard import SummaryWriter

    folder = run / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for told in figures_of(rows):
            writer.add_scalar(told.name, told.value, told.step)
        writer.add_text("run", f"```\n{json.dumps(params_of(manifest), indent=2)}\n```")
