"""Sends a run's figures and files to Weights & Biases, as its own settings say.

`WANDB_MODE=offline` keeps everything in `wandb/` of the run folder, for `wandb sync`; `WANDB_PROJECT` (magdr
if unset), `WANDB_ENTITY` and the like are Weights & Biases' own variables. Without `WANDB_MODE`, and where
nobody has logged in, it is offline, too: a benchmark must not wait for somebody who types a key.
"""

from __future__ import annotations

import netrc
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from magdr_core.api import hookimpl

from ._told import figures_of, files_of, params_of

MAGDR_API = 1
REQUIRES = ("wandb",)
EXTRA = "magdr[wandb]"


@hookimpl
def magdr_run_finished(run: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """One run with all figures as its summary, a table of the rows, and the files of the run folder."""
    import wandb

    known = os.environ.get("WANDB_MODE") or _logged_in()
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", "magdr"),
        name=run.name,
        dir=str(run),
        config=params_of(manifest),
        mode=None if known else "offline",
        settings=wandb.Settings(silent=True, console="off"),
    ) as kept:
        kept.summary.update({told.name: told.value for told in figures_of(rows)})
        if rows:
            names = list(dict.fromkeys(name for row in rows for name in row))
            table = wandb.Table(columns=names, data=[[_cell(row.get(n)) for n in names] for row in rows])
            kept.log({"results": table})
        for file in files_of(run):
            shutil.copy(file, kept.dir)  # what is there goes along; `save` would only link it


def _logged_in() -> bool:
    """Whether there is a key: in the environment, or where `wandb login` puts it. Nobody is asked for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC") or None).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _cell(value: Any) -> Any:
    """Columns of a table are of one type; figures that are missing are empty texts in a row."""
    return None if value == "" else value
