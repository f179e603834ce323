"""examples/slurm_array.sh as Slurm starts it: parts into one store, then the tables."""

import csv
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from magdr_core.cli import cli
from tests.bench.engines.test_engine import LIGHT

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm_array.sh"


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """`submitted(task, count)`: what a job's `magdr` does in a folder with a registry."""
    (tmp_path / "light.toml").write_text(LIGHT)
    # In place of magdr: tells its threads and arguments, which are then given to it in this process.
    stand_in = tmp_path / "bin" / "magdr"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS"\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    folders = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"

    def submit(task=None, count=None):
        slurm = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(count)} if task else {}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        told = subprocess.run(
            ["bash", str(SCRIPT), "light.toml"],
            env=clean | {"PATH": folders, "MAGDR_CACHE": "shared store"} | slurm,
            capture_output=True,
            text=True,
            check=True,
        )
        threads, *arguments = told.stdout.splitlines()
        assert threads == "1"
        return CliRunner().invoke(cli, arguments)

    return submit


def test_the_array_fills_one_store_and_the_last_job_writes_the_tables(submitted, tmp_path):
    for task in (2, 1):
        done = submitted(task, 2)
        assert done.exit_code == 0, done.output
        assert f"part {task} of 2, into the cache" in done.output
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "shared store" / "cells").is_dir()
    done = submitted()
    assert done.exit_code == 0, done.output
    assert "0 cells computed" in done.output
    (table,) = (tmp_path / "runs").glob("light-quick-*/results.csv")
    with table.open(newline="") as file:
        assert {row["component"] for row in csv.DictReader(file)} == {"pgd", "noise", "identity", "jpeg"}
