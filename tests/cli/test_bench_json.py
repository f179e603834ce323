"""`magdr bench --json`: one document on stdout, whatever else there is to say."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from magdr_core.cli.bench_document import _as_in_csv
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited

TINY = edited(
    SMALL,
    (DEFENSES, 'defenses = ["jpeg"]'),
    ('detectors = ["magdr", "distortion"]', "detectors = []"),
    ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
)

NOISY = """
import sys
from magdr_core.api import RestorationSpec, hookimpl

MAGDR_API = 1
print("imported")


def loud():
    def f(x):
        print("called")
        return x
    return f


def broken():
    def f(x):
        raise ValueError("no luck")
    return f


@hookimpl
def magdr_restorations():
    return [RestorationSpec(name="loud", build=loud), RestorationSpec(name="broken", build=broken)]
"""


@pytest.fixture
def run(magdr):
    """`run(text)`: the command's outcome on a registry of this text, with a plugin that prints."""

    def go(text, *options):
        Path("noisy.py").write_text(NOISY)
        Path("mine.toml").write_text(text + '[plugins]\nlocal = { noisy = "noisy.py" }\n')
        return magdr("bench", "mine.toml", "--limit", "2", "--json", *options)

    return go


def test_the_document_holds_folder_manifest_cells_and_rows(run):
    done = run(
        edited(TINY, ('defenses = ["jpeg"]', 'defenses = ["jpeg", "loud"]'))
        + '[restoration.loud]\nuse = "noisy/loud"\n'
    )
    assert done.code == 0, done.err
    document = done.document
    assert document["schema"] == 1
    (found,) = document["runs"]
    folder = Path(found["folder"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert found["manifest"] == {key: manifest[key] for key in found["manifest"]}
    assert found["manifest"]["profile"] == "quick"
    assert "registry_text" not in found["manifest"]
    assert found["cells"]["failed"] == 0
    assert found["cells"]["computed"] == len(json.loads((folder / "cells.json").read_text()))
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [
        {k: "" if v is None else f"{v:.9g}" if isinstance(v, float) else str(v) for k, v in row.items()}
        for row in found["rows"]
    ] == rows
    assert Path(found["report"]).is_file()
    assert document["compared"] == []
    assert "imported" in done.err
    assert "called" in done.err


def test_a_second_run_says_that_its_cells_were_kept(run):
    first, second = run(TINY).document["runs"][0], run(TINY).document["runs"][0]
    assert (second["cells"]["computed"], second["cells"]["kept"]) == (0, first["cells"]["computed"])
    assert second["rows"] == first["rows"]


def test_failed_cells_are_named_and_the_exit_code_is_that_without_it(run):
    text = (
        edited(TINY, ('defenses = ["jpeg"]', 'defenses = ["jpeg", "broken"]'))
        + '[restoration.broken]\nuse = "noisy/broken"\n'
    )
    done = run(text)
    assert done.code == 1
    cells = done.document["runs"][0]["cells"]
    assert cells["failed"] == len(cells["errors"]) == 2
    error = cells["errors"][0]
    assert (error["task"], error["role"], error["component"]) == ("editing", "defense", "broken")
    assert "no luck" in error["error"]


def test_badges_of_checked_rows_are_there(run):
    text = edited(TINY, ("pictures = 2", "pictures = 2\nchecks = { faces = 4, steps = 2, passes = 500 }"))
    done = run(text)
    checks = {row["component"]: row for row in done.document["runs"][0]["checks"]}
    assert {"jpeg", "pgd"} <= set(checks)
    assert {row["badge"] for row in checks.values()} <= {"verified", "incomplete", "unreliable"}
    assert done.code == int(any(row["badge"] == "unreliable" for row in checks.values()))
    assert all(isinstance(row["failed"], list) for row in checks.values())


def test_a_wrong_registry_leaves_stdout_empty(run):
    done = run(f"{TINY}[attack.x]\neps = 1\n")
    assert (done.code, done.out) == (2, "")
    assert "this table has no key 'eps'" in done.err


def test_a_shard_has_no_folder(run):
    document = run(TINY, "--shard", "1/1").document
    (found,) = document["runs"]
    assert (found["folder"], found["report"], found["rows"]) == (None, None, [])


def test_figures_have_the_digits_of_the_table():
    assert [_as_in_csv(v) for v in (1 / 3, math.nan, math.inf, -math.inf, 3, "", "x")] == [
        0.333333333,
        None,
        "inf",
        "-inf",
        3,
        None,
        "x",
    ]
