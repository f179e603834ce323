"""The figures of a role that core does not know: csv, manifest, comparison, report and terminal show them."""

import io
import json
import math

import numpy as np
import pytest

from magdr_core.bench.run import RunResult
from magdr_core.cli.result_view import print_tables
from magdr_core.cli.terminal import Terminal
from magdr_core.compare import RegressionRule, compare_folders
from magdr_core.compare.figures import AskedMetric, default_metrics, parse_metric
from magdr_core.compare.format import rule_lines
from magdr_core.components.figure import Figure, Threshold
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import Definitions
from magdr_core.report import write_report
from magdr_core.report.compare import write_page
from magdr_core.results.cell import as_cells
from magdr_core.results.recorded import RecordedRun
from magdr_core.results.rows import figures_of, result_rows
from tests.compare.conftest import Folder
from tests.report.conftest import FakeRun
from tests.report.page import Page

FIGURES = [
    Figure(
        name="sharpness",
        role="quality",
        unit="levels",
        digits=2,
        threshold=Threshold(0.5),
        needs=("sharp",),
        summary="how sharp",
    ),
    Figure(name="median_sharpness", role="quality", digits=1, needs=("sharp",), statistic="median"),
    Figure(
        name="blur",
        role="quality",
        better="lower",
        threshold=Threshold(0.1),
        needs=("sharp", "clean:sharp"),
        statistic="mean_difference",
    ),
    Figure(name="tint", role="quality", better="neither", needs=("hue",)),
]
LISTED = [figure.as_json() for figure in FIGURES]
N = 30
DRAW = np.random.default_rng(0)
SHARP = DRAW.normal(5.0, 1.0, N)


def quality(run, shift=0.0):
    run.cell("quality", "laplace", {"sharp": SHARP, "hue": SHARP}, "none")
    run.cell("quality", "laplace", {"sharp": SHARP - 2 + shift, "hue": SHARP})
    run.cell("attack", "pgd", {"mse_o": SHARP, "success": SHARP > 5})
    return run


@pytest.fixture
def runs(tmp_path):
    """Two run folders, of which the second is two levels sharper under the attack."""
    manifest = {"figures": LISTED}
    a = quality(Folder(tmp_path / "a", n=N, manifest=manifest))
    b = quality(Folder(tmp_path / "b", n=N, manifest=manifest), shift=2.0)
    return a.write(), b.write()


def test_paired_differences_of_all_figures_with_a_direction_are_shown_unasked(runs):
    found = compare_folders(*runs, runs[0] / "none")
    rows = {(r.place.attack, r.metric): r for r in found.rows if r.place.role == "quality"}
    assert {metric for _, metric in rows} == {"sharpness", "median_sharpness", "blur"}
    sharper = rows["pgd", "sharpness"]
    assert (sharper.difference, sharper.verdict) == (pytest.approx(2.0), "improvement")
    assert sharper.a == pytest.approx(SHARP.mean() - 2)
    assert rows["pgd", "blur"].verdict == "regression", "lower is better, says its figure"
    assert rows["none", "sharpness"].verdict == "same"
    assert any("sharpness 0.5" in line for line in rule_lines(found))
    page = write_page(found, runs[1] / "page.html").read_text(encoding="utf-8")
    assert "quality, sharpness" in page


def test_a_plugins_metric_can_be_asked_for_by_name(runs):
    both = Definitions(FIGURES)
    assert parse_metric("sharpness@small", both) == AskedMetric("sharpness", "small")
    found = compare_folders(*runs, runs[0] / "none", RegressionRule((parse_metric("blur", both),)))
    assert {r.metric for r in found.rows} == {"blur"}
    with pytest.raises(MagdrError, match="no metric 'sharpnes'; did you mean 'sharpness'"):
        parse_metric("sharpnes", both)
    with pytest.raises(MagdrError, match="no metric 'sharpness'"):
        parse_metric("sharpness")
    assert [str(m) for m in default_metrics(both)] == ["f1", "mse_o", "sharpness", "median_sharpness", "blur"]


def code(figure, statistic):
    return [{**figure.as_json(), "statistic": statistic}]


@pytest.mark.parametrize(
    ("statistic", "said"),
    [
        ("os:getcwd", "belongs to no installed plugin"),
        ("magdr_plugins.nowhere:own", "cannot be imported"),
        ("magdr_plugins:own", "cannot be imported"),
    ],
)
def test_code_that_a_run_folder_names_is_run_only_if_a_plugin_brings_it(tmp_path, statistic, said):
    manifest = {"figures": code(FIGURES[0], statistic)}
    paths = [quality(Folder(tmp_path / name, n=N, manifest=manifest)).write() for name in "ab"]
    found = compare_folders(*paths, tmp_path)
    assert {r.place.role for r in found.rows} == {"attack"}
    (note,) = [note for note in found.a.notes if "sharpness" in note]
    assert said in note
    assert note.endswith("it is not compared")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("better", "best"),
        ("digits", -1),
        ("digits", 50),
        ("threshold", {"absolute": -1.0}),
        ("needs", "sharp"),
    ],
)
def test_a_manifest_with_a_figure_that_is_none_is_refused(tmp_path, field, value):
    manifest = {"figures": [{**LISTED[0], field: value}]}
    path = quality(Folder(tmp_path / "a", n=N, manifest=manifest)).write()
    with pytest.raises(MagdrError, match=rf"not the manifest of a run: figures\[0\]\.{field}"):
        RecordedRun(path)


def test_a_role_that_the_manifest_does_not_list_is_refused(tmp_path):
    path = quality(Folder(tmp_path / "a", n=N)).write()
    with pytest.raises(MagdrError, match="role: it is none of attack, detector, defense"):
        RecordedRun(path).cells()


def test_the_manifest_lists_every_figure_of_a_plugins_role_and_those_that_rows_have():
    cells = quality(Folder(None)).cells
    rows = result_rows("mine", cells, FIGURES)
    listed = figures_of(rows, as_cells(cells), FIGURES)
    assert [f for f in listed if f.role == "quality"] == FIGURES
    assert {f.name for f in listed if f.role == "attack"} == {"mse_o", "median_mse_o", "success"}
    failed = as_cells({"key": "", "facts": c["facts"], "error": "no"} for c in cells)
    assert figures_of([], failed, FIGURES) == FIGURES, "failed cells have roles, too"


@pytest.fixture
def page(tmp_path):
    run = FakeRun(tmp_path / "run", manifest={"figures": LISTED})
    run.cell("attack", "pgd", "pgd", {"mse_o": 0.1, "success": 1.0})
    for name, sharp in (("laplace", 5.123), ("tenengrad", 4.0)):
        run.cell("quality", name, "none", {"sharpness": (sharp, sharp - 1, sharp + 1), "tint": 0.5})
        run.cell("quality", name, "pgd", {"sharpness@small": sharp / 2, "blur": 0.25})
    run.fail("quality", "broken", "pgd", "acme: no")
    return Page(write_report(run.write()).read_text(encoding="utf-8"))


def test_the_report_has_a_plain_table_of_the_role(page):
    head, *lines = page.tables["quality, editing"]
    assert lines
    text = " ".join(str((head, lines)).split())
    assert "sharpness" in text
    assert "levels" in text
    assert "higher is better" in text
    assert "5.12" in text
    assert "4.12 to 6.12" in text
    assert "2.56" in text, "of the variant"
    assert "0.250" in text
    assert "0.500" in text
    assert "failed" in text
    assert "Clean images" in text


def test_the_terminal_has_a_plain_table_of_the_role():
    cells = quality(Folder(None)).cells
    rows = result_rows("mine", cells, FIGURES)
    result = RunResult(None, {"figures": LISTED}, rows, as_cells(cells))
    console = Terminal()
    console.file, console.width = io.StringIO(), 140
    print_tables(console, result)
    told = console.file.getvalue()
    assert "editing: quality" in told
    assert "sharpness (levels)" in told
    assert f"{SHARP.mean():.2f} [" in told
    assert f"{SHARP.mean() - 2:.2f} [" in told
    assert "tint" in told


def test_rows_of_the_role_are_read_from_a_run_folder(tmp_path):
    run = FakeRun(tmp_path / "run", manifest={"figures": LISTED})
    run.cell("quality", "laplace", "pgd", {"sharpness": 1.0})
    recorded = RecordedRun(run.write())
    assert [row["role"] for row in recorded.rows()] == ["quality"]
    assert recorded.figures() == FIGURES
    assert math.isnan(recorded.rows()[0]["ci_low"])
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["figures"] == LISTED
