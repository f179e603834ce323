"""`magdr bench --observer`: a run is told to what the option names, after its report is written."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_bench_json import TINY

LISTENER = """
import json
from magdr_core.api import hookimpl

MAGDR_API = 1

@hookimpl
def magdr_run_finished(run, rows):
    report = (run / "report.html").is_file()
    (run / "told.json").write_text(json.dumps({"rows": len(rows), "report": report}))
"""


def test_an_observer_is_told_of_the_rows_and_finds_the_report(magdr, tmp_path):
    Path("listener.py").write_text(LISTENER)
    Path("mine.toml").write_text(TINY)
    done = magdr("bench", "mine.toml", "--limit", "2", "--out", "run", "--observer", "listener.py")
    assert done.code == 0, done.err
    told = json.loads((tmp_path / "run" / "told.json").read_text())
    rows = (tmp_path / "run" / "results.csv").read_text().count("\n") - 1
    assert told == {"rows": rows, "report": True}


def test_an_observer_that_is_not_there_is_told_before_anything_is_computed(magdr, tmp_path):
    Path("mine.toml").write_text(TINY)
    done = magdr("bench", "mine.toml", "--observer", "tensorbord")
    assert done.code == 2
    assert done.err == "magdr: no observer 'tensorbord'; did you mean 'tensorboard'?\n"
    assert not (tmp_path / "runs").exists()
