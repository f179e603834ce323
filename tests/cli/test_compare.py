"""magdr compare: what it prints and writes, and how it ends."""

import csv
import io
import json

import pytest

from magdr_core.compare.output import COLUMNS
from tests.compare.conftest import Folder, filled


@pytest.fixture
def runs(tmp_path):
    """`runs(b_change=...)`: run folders `a` and `b` in the working folder."""

    def make(**b):
        filled(Folder(tmp_path / "a")).write()
        filled(Folder(tmp_path / "b"), **b).write()

    return make


def test_a_planted_regression_is_reported_with_its_interval_and_ends_with_1(runs, magdr, tmp_path):
    runs(mse=130.0)
    done = magdr("compare", "a", "b")
    assert done.code == 1
    assert "editing, regression: B minus A on the same images" in done.out
    row = next(line for line in done.out.splitlines() if "+30.0" in line)
    assert "[30.0, 30.0]" in row
    assert "mse_o ↓" in done.out
    assert "↑ more is better, ↓ less is better" in done.out
    assert "1 regression, 0 improvements, 0 uncertain" in done.out
    assert "adjusted after Holm" in done.out
    assert (tmp_path / "b" / "compare-to-a.html").is_file()
    assert "b/compare-to-a.html" in done.out


@pytest.mark.parametrize("change", [{}, {"mse": 105.0}, {"mse": 60.0}])
def test_equal_slightly_worse_and_better_runs_end_with_0(runs, magdr, change):
    runs(**change)
    done = magdr("compare", "a", "b")
    assert done.code == 0
    assert "0 regressions" in done.out


def test_small_differences_are_counted_and_shown_on_demand(runs, magdr):
    runs(mse=105.0)
    assert "+5.0" not in magdr("compare", "a", "b").out
    assert "not shown: 1 within the threshold, 3 identical, 2 reference" in magdr("compare", "a", "b").out
    shown = magdr("compare", "a", "b", "--all")
    assert "+5.0 [5.0, 5.0]" in shown.out
    assert "not shown" not in shown.out


def test_metric_and_threshold_decide(runs, magdr):
    runs(mse=105.0)
    assert magdr("compare", "a", "b", "--threshold", "mse_o=2").code == 1
    assert magdr("compare", "a", "b", "--threshold", "2%").code == 1
    assert magdr("compare", "a", "b", "--metric", "f1", "--threshold", "0").code == 0
    assert magdr("compare", "a", "b", "--metric", "median_mse_o", "--threshold", "3").code == 1


def test_json_is_one_document_and_csv_one_table(runs, magdr):
    runs(mse=130.0)
    done = magdr("compare", "a", "b", "--json")
    assert done.code == 1
    verdicts = [c["verdict"] for c in done.document["comparisons"]]
    assert verdicts.count("regression") == 1
    assert done.document["rule"]["comparisons_tested"] == 1
    table = magdr("compare", "a", "b", "--csv")
    assert table.code == 1
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert tuple(rows[0]) == COLUMNS
    assert [r["verdict"] for r in rows] == verdicts


def test_the_page_can_be_put_elsewhere(runs, magdr, tmp_path):
    runs()
    assert magdr("compare", "a", "b", "--out", "page.html").code == 0
    assert (tmp_path / "page.html").is_file()
    assert not list((tmp_path / "b").glob("*.html"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "Missing argument 'RUN_B'"),
        (["a", "a"], "the same folder"),
        (["a", "nowhere"], "nowhere: there is no such run folder"),
        (["a", "empty"], "empty/manifest.json: missing"),
        (["a", "b", "--metric", "f2x"], "no metric 'f2x'"),
        (["a", "b", "--threshold", "much"], "'much' is no size"),
        (["a", "b", "--threshold", "0.02"], "of which of f1, mse_o? Say METRIC=0.02"),
        (["a", "b", "--threshold", "ssim_o=0.02"], "'ssim_o' is not among the metrics"),
        (["a", "b", "--metric", "ssim_o"], "none of which has ssim_o"),
        (["a", "b", "--correction", "some"], "Invalid value for '--correction'"),
        (["a", "b", "--json", "--out", "empty"], "empty: the page cannot be written (Is a directory)"),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(runs, magdr, tmp_path, arguments, said):
    runs()
    (tmp_path / "empty").mkdir()
    done = magdr("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not list((tmp_path / "b").glob("*.html"))


def test_runs_that_share_nothing_end_with_2(magdr, tmp_path):
    filled(Folder(tmp_path / "a")).write()
    other = filled(Folder(tmp_path / "b"))
    for cell in other.cells:
        cell["facts"]["task"] = "replacement"
    other.write()
    done = magdr("compare", "a", "b")
    assert done.code == 2
    assert done.err == "magdr: a and b share no cell: tasks editing there, replacement here\n"


def test_too_few_images_are_said(magdr, tmp_path):
    for name, mse in (("a", 100.0), ("b", 200.0)):
        filled(Folder(tmp_path / name), mse=mse, found=4, n=4).write()
    done = magdr("compare", "a", "b")
    assert done.code == 1
    assert "too few images: 4 can never pass the correction for 1 comparison (6 can)" in done.out
    again = magdr("compare", "a", "b", "--correction", "none")
    assert again.code == 1
    assert "too few images" not in again.out
    assert "no correction for multiple comparisons" in again.out


def test_labels_with_brackets_are_shown_as_they_are(magdr, tmp_path):
    for name, text in (("a", ""), ("b", "[defense.bold]\n[defense.red]\n")):
        filled(Folder(tmp_path / name, text=text)).write()
    assert "[defense.red] added" in magdr("compare", "a", "b").out


def test_an_unfinished_run_says_what_is_missing(runs, magdr, tmp_path):
    runs()
    (tmp_path / "b" / "cells.json").unlink()
    done = magdr("compare", "a", "b")
    assert done.code == 2
    assert "b/cells.json: missing; is this the folder of a finished `magdr bench` run?" in done.err


def test_json_says_nothing_but_json(runs, magdr):
    runs()
    json.loads(magdr("compare", "a", "b", "--json").out)
