"""Run folders are read through one model: what does not fit ends in one line with the file and the field."""

import csv
import io
import json
import os
import struct

import pytest
import torch

from magdr_core.compare import compare_folders
from magdr_core.errors import MagdrError
from magdr_core.report import write_report
from magdr_core.results.columns import COLUMNS
from magdr_core.results.pictures import pack_pictures
from magdr_core.results.recorded import RecordedRun
from magdr_core.results.run_folder import (
    CELLS,
    CHECKS,
    MANIFEST,
    PICTURES,
    RESULTS,
    VALUES,
    RunWriter,
    manifest_digest,
)
from magdr_core.results.values import pack_values
from tests.edits import edited

FACTS = {
    "task": "editing",
    "generator": "stargan",
    "dataset": "faces",
    "attack": "pgd",
    "slice_role": "attack",
    "eps": 0.02,
    "steps": 3,
    "knowledge": "oblivious",
    "role": "defense",
    "component": "magdr",
    "seed": 0,
    "noise": False,
}
SAMPLES = {"ids": ["a", "b"], "identities": [1, 2], "forwards": 2.0, "seconds": 1.0}
ROW = {
    **{k: FACTS[k] for k in FACTS if k in COLUMNS},
    **{"registry": "small", "variant": "", "metric": "mse_o", "value": 3.5, "ci_low": "", "ci_high": ""},
    **{"n": 2, "seconds": 1.0},
}


def cells():
    defense = {"key": "k1", "facts": FACTS, "values": {"mse_o": [1.0, 2.0]}, **SAMPLES}
    detector = {
        "key": "k2",
        "facts": FACTS | {"role": "detector"},
        "values": {"score": [1.0, 2.0]},
        "thresholds": {"fpr": 1.5, "f1": 1.0},
        "fpr": 0.01,
        **SAMPLES,
    }
    return [defense, detector]


def checks():
    row = {"task": "editing", "role": "defense", "component": "magdr", "badge": "verified", "why": "so"}
    check = {"name": "eps-0", "verdict": "pass", "said": "nothing moved", "evidence": {"largest move": 0.0}}
    return {"settings": {"faces": 2, "steps": 3}, "rows": [{**row, "how": {"eps": 0.02}, "checks": [check]}]}


def table(**changed):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, [(ROW | changed).get(c, "") for c in COLUMNS]])
    return out.getvalue().encode()


@pytest.fixture
def folder(tmp_path):
    """A finished run."""
    manifest = {"registry": "small", "registry_text": "", "profile": "quick", "settings": {}, "device": "cpu"}
    writer = RunWriter(tmp_path / "run", manifest)
    writer.begin()
    writer.write(RESULTS, table())
    writer.write_json(CELLS, [{k: v for k, v in c.items() if k not in ("values", "ids")} for c in cells()])
    writer.write(VALUES, pack_values(cells()))
    writer.write_json(CHECKS, checks())
    writer.write(PICTURES, pack_pictures({("editing", "pgd", "magdr", "input"): torch.zeros(2, 3, 8, 8)}))
    writer.finish()
    return tmp_path / "run"


def refused(folder):
    """The line with which report and compare refuse a folder; nothing is written."""
    there = sorted(p.name for p in folder.iterdir())
    lines = []
    for read in (write_report, lambda run: compare_folders(run, run, run / "no cache")):
        with pytest.raises(MagdrError) as error:
            read(folder)
        lines.append(str(error.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]
    assert sorted(p.name for p in folder.iterdir()) == there
    return lines[0]


def signed(folder, name, content):
    """Put a file into the folder as if the run had written it."""
    manifest = json.loads((folder / MANIFEST).read_text())
    writer = RunWriter(folder, manifest)
    writer._files = manifest["files"]
    writer.write(name, content)
    writer.finish()


def test_a_finished_run_is_read(folder):
    run = RecordedRun(folder)
    run.check()
    assert (len(run.cells()), len(run.rows()), len(run.values()), len(run.pictures())) == (2, 1, 2, 1)
    assert run.checks()["rows"][0]["badge"] == "verified"
    assert run.notes == []
    assert write_report(folder).is_file()
    assert compare_folders(folder, folder, folder).rows


def test_an_unfinished_run_is_refused_and_says_what_to_do(folder):
    writer = RunWriter(folder, {"registry": "small", "profile": "quick", "settings": {}})
    writer.begin()
    assert sorted(p.name for p in folder.iterdir()) == [MANIFEST]
    assert f"{folder / MANIFEST}: this run is not finished" in refused(folder)
    assert "the same `magdr bench` command continues it" in refused(folder)


@pytest.mark.parametrize("name", [CELLS, RESULTS, CHECKS, VALUES, PICTURES])
def test_a_file_of_another_run_is_named(folder, name):
    content = (folder / name).read_bytes()
    more = pack_values([*cells(), cells()[0] | {"key": "k3"}])
    (folder / name).write_bytes(more if name == VALUES else edited(content, (b"magdr", b"other")))
    assert refused(folder).startswith(f"{folder / name}: not the file that this run wrote")
    (folder / name).unlink()
    assert refused(folder).startswith(f"{folder / name}: missing")


def test_pictures_of_an_earlier_run_are_not_taken_for_this_runs(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["files"][PICTURES]
    manifest["sha256"] = manifest_digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert refused(folder).startswith(f"{folder / PICTURES}: not the file that this run wrote")


def test_a_manifest_that_was_changed_is_named(folder):
    path = folder / MANIFEST
    path.write_text(edited(path.read_text(), ("cpu", "gpu")))
    assert refused(folder).startswith(f"{path}: not the file that this run wrote")


def test_a_run_of_an_earlier_version_is_read_with_a_note(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in ("run", "finished", "files", "sha256"):
        del manifest[name]
    (folder / MANIFEST).write_text(json.dumps(manifest | {"schema": 1}))
    assert "cannot be verified" in RecordedRun(folder).notes[0]
    assert write_report(folder).is_file()
    assert compare_folders(folder, folder, folder).a.notes


TEXT, NUMBER = "Input should be a valid string", "Input should be a valid number"
WRONG_CELLS = [
    ("facts.task", {"a": 1}, TEXT),
    ("facts.component", None, TEXT),
    ("facts.eps", "x", NUMBER),
    ("facts.eps", float("nan"), "nan is no figure"),
    ("facts.steps", [], "Input should be a valid integer"),
    ("facts.steps", 10**400, "an integer of more than 64 bits"),
    ("facts.seed", "0", "Input should be a valid integer"),
    ("facts.role", "baseline", "it is none of attack, detector, defense"),
    ("facts.knowledge", "", "at least 1 character"),
    ("facts.slice_role", 5, TEXT),
    ("facts.noise", "no", "Input should be a valid boolean"),
    ("forwards", {}, NUMBER),
    ("forwards", -1.0, "greater than or equal to 0"),
    ("seconds", {"a": 1}, NUMBER),
    ("thresholds", [1], "valid dictionary"),
    ("threat", "x", "valid dictionary"),
    ("threat", {"eps": []}, ""),
    ("worst", {"a": 1}, "valid list"),
    ("mse_o", {"a": "x"}, NUMBER),
    ("mse_o", [], "valid dictionary"),
    ("error", 5, TEXT),
    ("error", None, "it is empty"),
    ("key", 7, TEXT),
    ("key", "", "it is missing"),
]


@pytest.mark.parametrize(("field", "value", "said"), WRONG_CELLS)
def test_a_mistyped_field_of_a_cell_is_named(folder, field, value, said):
    data = json.loads((folder / CELLS).read_text())
    *way, last = field.split(".")
    place = data[1]
    for name in way:
        place = place[name]
    place[last] = value
    signed(folder, CELLS, json.dumps(data).encode())
    line = refused(folder)
    assert line.startswith(f"{folder / CELLS}: damaged, ")
    assert f"[1].{field}" in line
    assert said in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("badge", "trustworthy"),
        ("why", None),
        ("role", "judge"),
        ("component", 5),
        ("how", None),
        ("checks", None),
        ("checks", [{"name": "eps-0", "verdict": "pass"}]),
        ("checks", [{"name": "eps-0", "verdict": "fine", "said": ""}]),
    ],
)
def test_a_mistyped_field_of_a_checked_row_is_named(folder, field, value):
    data = checks()
    data["rows"][0][field] = value
    signed(folder, CHECKS, json.dumps(data).encode())
    assert f"{folder / CHECKS}: damaged, not the checks of a run: rows[0].{field}" in refused(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("settings", []),
        ("settings", {"detectors": "magdr"}),
        ("settings", {"attacks": [5]}),
        ("registry", None),
        ("registry_text", "["),
        ("registry_text", "a = " + "[" * 5000),
        ("profile", ["quick"]),
        ("versions", {"torch": 2}),
        ("started", 10**400),
        ("finished", "yes"),
        ("files", None),
    ],
)
def test_a_mistyped_field_of_the_manifest_is_named(folder, field, value):
    manifest = json.loads((folder / MANIFEST).read_text()) | {field: value}
    manifest["sha256"] = manifest_digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    line = refused(folder)
    assert line.startswith(str(folder / MANIFEST))
    assert field in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eps", "x"),
        ("eps", "-1"),
        ("value", "inf"),
        ("value", "nan"),
        ("ci_low", "1e300"),
        ("n", "0"),
        ("n", "9" * 5000),
        ("seed", "1.5"),
        ("steps", ""),
        ("role", "judge"),
        ("knowledge", ""),
        ("variant", "best-f1, sweep 0"),
        ("variant", "steps=" + "9" * 400),
        ("variant", "penalty=1e+- x"),
    ],
)
def test_a_wrong_field_of_the_results_is_named(folder, field, value):
    signed(folder, RESULTS, table(**{field: value}))
    line = refused(folder)
    assert line.startswith(f"{folder / RESULTS}: damaged, line 2: ")
    assert field in line


def with_head(content, change):
    """Values with another header."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    head = json.loads(header["__metadata__"]["magdr"])
    change(head)
    header["__metadata__"]["magdr"] = json.dumps(head)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


VALUES_CHANGES = {
    "cells": lambda head: head.update(cells=5),
    "samples[0]": lambda head: head.update(samples=[[["a", "b"], [1]]]),
    "samples[0]: an id is there twice": lambda head: head.update(samples=[[["a", "a"], [1, 2]]]),
    "cells.k1.names": lambda head: head["cells"]["k1"].update(names=[5]),
    "cells.k1.samples": lambda head: head["cells"]["k1"].update(samples=7),
    "cells.k1: has values of shape [1, 2], not [2, 2]": lambda head: head["cells"]["k1"].update(
        names=["a", "b"]
    ),
    "cells.k2.thresholds.fpr": lambda head: head["cells"]["k2"].update(thresholds={"fpr": "x"}),
    "cells.k2.fpr": lambda head: head["cells"]["k2"].update(fpr=1e300),
    "cells.k9: has no values": lambda head: head["cells"].update(k9=head["cells"]["k1"]),
    "format 9": lambda head: head.update(schema=9),
}


@pytest.mark.parametrize("said", VALUES_CHANGES)
def test_a_wrong_field_of_the_values_is_named(folder, said):
    signed(folder, VALUES, with_head((folder / VALUES).read_bytes(), VALUES_CHANGES[said]))
    line = refused(folder)
    assert line.startswith(f"{folder / VALUES}: damaged, ")
    assert said in line


@pytest.mark.parametrize("values", [[float("nan"), 1.0], [1e300, 1.0]])
def test_values_that_are_no_figures_are_named(folder, values):
    wrong = [cells()[0] | {"values": {"mse_o": values}}, cells()[1]]
    signed(folder, VALUES, pack_values(wrong))
    assert f"{folder / VALUES}: damaged, cells.k1" in refused(folder)


def test_a_detector_without_scores_is_named_by_compare(folder):
    wrong = [cells()[0], cells()[1] | {"values": {"mse_o": [1.0, 2.0]}}]
    signed(folder, VALUES, pack_values(wrong))
    with pytest.raises(MagdrError, match=rf"{VALUES}: damaged, cells\.k2: a detector without score"):
        compare_folders(folder, folder, folder)


@pytest.mark.parametrize(
    "pictures",
    [
        {("editing", "pgd", "magdr", "input"): torch.zeros(2, 3, 0, 0)},
        {("editing", "pgd", "magdr", "input"): torch.zeros(0, 3, 8, 8)},
        {("editing", "pgd", "magdr", "input"): torch.zeros(2, 1, 8, 8)},
        {("editing", "pgd", "magdr", "input"): torch.zeros(3, 8, 8)},
        {("editing", "pgd", "input"): torch.zeros(2, 3, 8, 8)},
        {
            ("editing", "pgd", "magdr", "input"): torch.zeros(2, 3, 8, 8),
            ("editing", "pgd", "magdr", "output"): torch.zeros(2, 3, 4, 4),
        },
    ],
)
def test_pictures_of_impossible_shapes_are_named(folder, pictures):
    signed(folder, PICTURES, pack_pictures(pictures))
    line = refused(folder)
    assert line.startswith(f"{folder / PICTURES}: damaged, 'editing | pgd | ")


@pytest.mark.parametrize("name", [MANIFEST, CELLS, RESULTS, CHECKS, VALUES, PICTURES])
@pytest.mark.parametrize("special", ["fifo", "zero", "folder", "sparse", "empty", "brackets", "utf-16"])
def test_special_and_damaged_files_are_named(folder, name, special):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if special == "fifo":
        os.mkfifo(path)
    elif special == "zero":
        path.symlink_to("/dev/zero")
    elif special == "folder":
        path.mkdir()
    elif special == "sparse":
        path.write_bytes(content)
        os.truncate(path, 2**31)
    else:
        path.write_bytes({"empty": b"", "brackets": b"[" * 200_000}.get(special, content[:200] + b"\xff\xfe"))
    assert refused(folder).startswith(f"{path}: ")
