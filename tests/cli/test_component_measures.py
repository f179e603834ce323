"""`magdr plugins list --measures`: what committed results say of each component."""

from __future__ import annotations

import csv
import importlib.util
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from magdr_core.cli.component_measures import LEGEND, measure_lines
from magdr_core.errors import PluginError
from magdr_core.hosting.component_figures import ComponentFigure, figures_of_package

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "component_figures", ROOT / "benchmarks/component_figures.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_packaged_figures_are_those_of_the_committed_results(script):
    packaged = (files("magdr_plugins") / "figures.csv").read_text(encoding="utf-8")
    assert packaged == script.text(), "run python benchmarks/component_figures.py"
    assert len(packaged) < 40_000


def test_a_figure_is_found_in_the_page_that_it_names():
    """An independent look: adaptive recall of MagDR's detector, read from the results by hand."""
    (one,) = [
        f
        for f in figures_of_package("magdr_plugins")[("detector", "magdr")]
        if (f.task, f.measure, f.knowledge) == ("editing", "recall", "adaptive")
    ]
    with (ROOT / f"benchmarks/results/{one.page}.csv").open() as file:
        (row,) = [
            r
            for r in csv.DictReader(file)
            if (r["task"], r["role"], r["component"], r["knowledge"], r["metric"], r["variant"], r["attack"])
            == ("editing", "detector", "magdr", "adaptive", "recall", "fpr1", "pgd")
        ]
    assert (one.value, one.n) == (float(row["value"]), int(row["n"]))
    # None of 16: the upper end is 1 - 0.025^(1/16).
    assert (one.value, one.low) == (0, 0)
    assert one.high == pytest.approx(1 - 0.025 ** (1 / 16))


def test_older_forms_of_a_component_are_not_taken_for_it(script):
    figures = figures_of_package("magdr_plugins")
    assert {f.page for f in figures[("detector", "magdr")]} == {"faces64-detection", "faces64-standard"}
    assert {f.page for f in figures[("defense", "magdr")]} == {"faces64-standard"}
    registry = script.read_registry(script.REGISTRIES["tables"])
    assert script.measured(registry, "defense", "jpeg") == ("restoration", "jpeg")
    assert script.measured(registry, "detector", "feature-squeezing-3x3") is None
    assert script.measured(registry, "defense", "oracle") is None


def test_figures_are_listed_with_n_and_the_adaptive_ones(magdr):
    done = magdr("plugins", "list", "magdr", "--kind", "detector", "--measures")
    assert done.code == 0, done.err
    (line,) = [text for text in done.out.splitlines() if text.strip().startswith("editing: attacked faces")]
    assert "oblivious, pgd 6/255, 1 [" in line
    assert "(n = 256, faces64-detection)" in line
    assert line.endswith("adaptive, pgd 6/255, 0 [0, 0.206] (n = 16, faces64-standard)")


def test_what_was_not_attacked_adaptively_is_said_to_be_so(magdr):
    lines = magdr("plugins", "list", "metzen", "--measures").out.splitlines()
    attacked = [text for text in lines if "detected at the threshold" in text]
    assert len(attacked) == 3
    assert all(text.endswith("adaptive: not measured") for text in attacked)
    older = magdr("plugins", "list", "magnet", "--kind", "detector", "--measures").out
    assert "suite of 0.1.0, which flatters" in older


def test_programs_get_the_same_and_without_the_option_nothing_changes(magdr):
    (entry,) = magdr("plugins", "list", "jpeg", "--kind", "restoration", "--measures", "--json").document
    one = next(f for f in entry["measures"] if f["knowledge"] == "adaptive")
    assert (one["component"], one["measure"], one["remark"]) == (
        "jpeg",
        "mse_o",
        "suite of 0.1.0, which flatters",
    )
    (plain,) = magdr("plugins", "list", "jpeg", "--kind", "restoration", "--json").document
    assert "measures" not in plain
    assert "Figures:" not in magdr("plugins", "list", "jpeg").out


def test_a_damaged_file_of_a_package_names_its_line(tmp_path, monkeypatch):
    (tmp_path / "acme_broken").mkdir()
    (tmp_path / "acme_broken" / "__init__.py").touch()
    (tmp_path / "acme_broken" / "figures.csv").write_text("kind,component\nattack,x\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"acme_broken: figures.csv, line 2: KeyError"):
        figures_of_package("acme_broken")


def test_what_an_attack_does_is_told_in_the_unit_of_what_defenses_leave():
    figures = ComponentFigure(
        "attack", "cw", "editing", "mse_o", "none", "", 6 / 255, 0.1, 0.05, 0.2, 9, "page"
    )
    (line,) = measure_lines([figures])
    assert "output MSE (higher disrupts more): 6/255 1626 [813, 3251]" in line
    assert "Output MSE is in squared levels of 0 to 255" in LEGEND
    (share,) = measure_lines([replace(figures, measure="success")])
    assert "faces disrupted: 6/255 0.1 [0.05, 0.2]" in share
