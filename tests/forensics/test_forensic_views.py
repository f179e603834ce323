"""What is shown of forensic models: looked up by forgery and quality, in a terminal and in the report."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from magdr_core.bench.run import Bench
from magdr_core.cli.forensic_view import forensic_tables
from magdr_core.report.build import write_report
from magdr_core.report.figures import Figures
from magdr_core.report.forensic import forensics
from magdr_core.report.load import load_run
from magdr_core.results.forensic_grid import ForensicGrid
from tests.forensics.test_forensic_bench import toolkit


def row(attack, component, variant, metric, value):
    return {
        **{"attack": attack, "component": component, "variant": variant, "metric": metric, "value": value},
        **{
            "role": "forensic",
            "ci_low": value - 0.1,
            "ci_high": value + 0.1,
            "n": 9,
            "knowledge": "oblivious",
        },
    }


ROWS = [
    row("forged:swap", "a", "seen", "auc", 0.9),
    row("forged:swap", "a", "unseen quality, jpeg40", "auc", 0.7),
    row("forged:warp", "a", "unseen family", "auc", 0.6),
    row("forged:edit", "a", "unseen member", "auc", 0.8),
    row("none", "a", "seen", "false_alarms", 0.1),
    {**row("pgd", "d", "", "auroc", 0.9), "role": "detector"},
]


def test_grid_finds_figures_by_forgery_and_quality():
    grid = ForensicGrid(ROWS, ["blur", "jpeg40"])
    assert grid.models == ["a"]
    assert grid.qualities == ["", "jpeg40"]
    assert grid.attacks("auc") == ["forged:swap", "forged:warp", "forged:edit"]
    assert grid.get("forged:swap", "a", "auc", "jpeg40").value == 0.7
    assert grid.get("forged:warp", "a", "auc", "jpeg40") is None
    assert grid.unseen("a", "auc") == ["forged:warp", "forged:edit"]
    assert grid.unseen("a", "auc", "jpeg40") == []
    assert grid.mean("a", "auc") == pytest.approx((0.9 + 0.6 + 0.8) / 3)
    assert grid.mean("a", "iou") is None


def test_terminal_marks_what_is_unseen_and_means_over_forgeries():
    out = io.StringIO()
    forensic_tables(Console(file=out, width=100), ROWS, "faces", ["jpeg40"])
    lines = [re.sub(r"[│┃\s]+", " ", line).strip() for line in out.getvalue().splitlines()]
    assert {"swap 0.90", "warp 0.60*", "edit 0.80*", "mean 0.77", "mean at jpeg40 0.70", "real 0.10"} <= {
        *lines
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    bench = Bench(toolkit(folder), "quick", out=folder / "run", cache=folder / "cache", limit=3, report=print)
    bench.run()
    return folder / "run"


def test_report_has_a_table_per_figure_and_pictures_of_what_is_located(run):
    figures = Figures(load_run(run))
    found = forensics(figures, "forensics", 10**6)
    by_title = dict(found.tables)
    auc = by_title["Forged or not: AUC against their own reals"]
    assert [column.title for column in auc.columns] == ["stamp", "sticker", "other"]
    assert [block.title for block in auc.blocks] == ["untouched", "jpeg40", "grainy"]
    line = next(line for line in auc.blocks[0].lines if line.label == "corner")
    assert [field.note for field in line.fields] == ["", "unseen member", "unseen family"]
    assert [panel.title for panel in found.gallery.panels] == ["stamp", "sticker", "other", "nothing"]
    titles = [strip.title for strip in found.gallery.panels[0].strips]
    assert titles == ["forged", "mask", "corner", "learner"]
    assert found.gallery.samples == 2
    assert figures.attacks("forensics") == [], "no attack made them"


def test_report_of_forensic_models_alone_speaks_of_nothing_else(run):
    page = write_report(run).read_text(encoding="utf-8")
    assert "This run asks 2 forensic models which faces are forged" in page
    assert "Forged pictures, and where models see it" in page
    assert "oblivious-only." not in page.split("<h2")[1]
    for absent in ("Table 1: detectors", "The profile has no", "Figure 4: pictures"):
        assert absent not in page
