"""Logs a run's figures and files with MLflow, as its own settings say.

`MLFLOW_TRACKING_URI` says where, `MLFLOW_EXPERIMENT_NAME` under what (magdr if unset). Newer releases take a
folder (`file:./mlruns`) only with `MLFLOW_ALLOW_FILE_STORE=true`, and a database (`sqlite:///mlflow.db`) only
with the package `mlflow` in place of `mlflow-skinny`. There is no extra: torchattacks asks for an old release
of requests, and pip would take a release of MLflow of that time for it. Installed afterwards both work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magdr_core.api import hookimpl

from ._told import figures_of, files_of, params_of

MAGDR_API = 1
REQUIRES = ("mlflow",)
EXTRA = "mlflow"

BATCH = 500
"""Figures that are logged at once; MLflow takes a thousand."""


@hookimpl
def magdr_run_finished(run: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """One MLflow run: parameters, figures with the attack's steps, and the files of the run folder."""
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "magdr")
    found = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if found is None else found.experiment_id
    kept = client.create_run(experiment, run_name=run.name).info.run_id
    now = int(time.time() * 1000)
    try:
        params = [Param(k, v) for k, v in params_of(manifest).items()]
        for some in (params[i : i + 100] for i in range(0, len(params), 100)):
            client.log_batch(kept, params=some)
        figures = [Metric(told.name, told.value, now, told.step) for told in figures_of(rows)]
        for first in range(0, len(figures), BATCH):
            client.log_batch(kept, metrics=figures[first : first + BATCH])
        for file in files_of(run):
            client.log_artifact(kept, str(file))
    except BaseException:
        client.set_terminated(kept, "FAILED")
        raise
    client.set_terminated(kept)
