"""Each figure is declared once: what the csv has, which way is better, what is too small to matter."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from magdr_core.bench.scenarios.adaptive_cells import STRONGEST
from magdr_core.components.figure import ADJUSTED_P, Figure, Threshold
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DECISIONS, DEFINITIONS, FIGURES, ROLES, Definitions
from magdr_core.measures.statistics import STATISTICS, TPR_RATES, statistic_of
from magdr_core.results.frame import FigureTable
from magdr_core.results.rows import figures_of

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_no_figure_is_declared_twice():
    about = [(figure.role, figure.name) for figure in FIGURES]
    assert len(set(about)) == len(about)
    assert set(ROLES) == {"attack", "detector", "defense"}


def test_every_metric_of_a_run_has_its_figure_and_the_manifest_lists_it(shop):
    there = {(row["role"], row["metric"]) for row in shop.first.rows}
    assert len(there) > 40
    assert not [about for about in there if DEFINITIONS.get(*about) is None]
    listed = [Figure.from_json(data) for data in shop.first.manifest["figures"]]
    assert [
        (figure.role, figure.name) for figure in listed if figure != DEFINITIONS[figure.role, figure.name]
    ] == []
    assert {(figure.role, figure.name) for figure in listed} == there


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.csv")), ids=lambda path: path.stem)
def test_every_metric_of_the_committed_runs_has_its_figure(path):
    rows = FigureTable.read(path).rows
    assert len(figures_of(rows, [])) == len({(row["role"], row["metric"]) for row in rows})


def test_every_figure_names_a_statistic_that_is_there_and_every_statistic_is_used():
    named = {figure.statistic for figure in FIGURES} - {ADJUSTED_P}
    assert named == set(STATISTICS) - {"recall", "fpr_clean"}
    assert set(TPR_RATES) <= set(STATISTICS)
    assert f"{STRONGEST}/disruption" in DEFINITIONS["detector", "kept_at_95_evasion"].needs


def lower_in_0_2(role, name):
    stem = name.removeprefix("median_")
    return role != "attack" and stem.startswith(("mse", "fpr", "l2", "kept"))


def threshold_in_0_2(role, name):
    stem = name.removeprefix("median_")
    if stem.startswith(("mse", "l2")):
        return Threshold({"defense": 1.0, "attack": 0.005}.get(role, 0.001), 0.1)
    if stem.startswith("psnr"):
        return Threshold(0.5)
    small = stem.startswith(("ssim", "fsim", "featsim", "auroc", "fpr"))
    return Threshold(0.01 if small else 0.02)


NEW = {"success_undetected", "flagged", "median_flagged", "undetected_mse_o", "median_undetected_mse_o"}
"""Runs of 0.2 could not be compared by these."""

NEWER = {"mse_aim", "identity_o", "median_identity_o"}
"""There was nothing like it in 0.2."""


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.role}-{figure.name}")
def test_direction_and_threshold_are_those_of_0_2(figure):
    if not figure.needs or figure.name in NEW | NEWER or figure.better == "neither":
        return
    assert (figure.better == "lower") == lower_in_0_2(figure.role, figure.name)
    assert figure.threshold == threshold_in_0_2(figure.role, figure.name)


def test_figures_that_0_2_could_not_compare_have_a_sensible_direction():
    better = {name: {figure.better for figure in DEFINITIONS.named(name)} for name in NEW}
    assert {name for name, ways in better.items() if ways == {"lower"}} == {
        *("success_undetected", "undetected_mse_o", "median_undetected_mse_o"),
    }
    assert DEFINITIONS["detector", "mse_o"].better == "neither", "disruption alone says nothing of a detector"


def test_decisions_are_the_figures_of_an_operating_point():
    assert {
        *("precision", "recall", "f1", "precision_weighted", "recall_weighted", "f1_weighted", "accuracy"),
        "f1_successful",
    } == DECISIONS


def test_a_figure_comes_back_from_a_manifest():
    figure = Figure(
        name="q",
        role="quality",
        unit="dB",
        better="lower",
        digits=1,
        threshold=Threshold(0.5, 0.1),
        needs=("a", "clean:a"),
        statistic="mean_difference",
        summary="so",
    )
    assert Figure.from_json(figure.as_json()) == figure
    assert Figure.from_json({**figure.as_json(), "colour": "red"}) == figure


def test_what_core_says_of_its_own_figures_holds_whatever_a_run_folder_says():
    claimed = Figure(name="mse_o", role="defense", better="higher")
    assert Definitions([claimed])["defense", "mse_o"].better == "lower"


@pytest.fixture
def plugin(monkeypatch):
    """`plugin(f)`: the name under which a figure asks for a plugin's function."""

    def make(function):
        module = ModuleType("acme_statistics")
        module.own = function
        monkeypatch.setitem(sys.modules, "acme_statistics", module)
        return Figure(name="q", role="quality", needs=("a",), statistic="acme_statistics:own")

    return make


def test_a_plugins_statistic_is_called_with_leading_axes(plugin):
    figure = plugin(lambda values: values.max(-1))
    assert statistic_of(figure)(np.array([[1.0, 3.0], [2.0, 0.0]])).tolist() == [3.0, 2.0]
    assert statistic_of(figure)(np.array([1.0, 3.0])) == 3.0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda values: values, r"shape \[3\] for arrays of shape \[3\]"),
        (lambda values: 1 / 0, "division by zero"),
        (lambda values: sys.exit(3), "SystemExit"),
        (lambda values: "much", "could not convert"),
        (None, "it is no function"),
    ],
)
def test_a_plugins_statistic_that_is_at_fault_is_named_in_one_line(plugin, function, said):
    with pytest.raises(MagdrError, match=said) as error:
        statistic_of(plugin(function))(np.arange(3.0))
    assert str(error.value).startswith("figure 'q' of role 'quality': statistic 'acme_statistics:own'")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("statistic", "said"),
    [("maen", "there is none; did you mean 'mean'"), ("acme_nowhere:own", "cannot be imported")],
)
def test_a_statistic_that_is_not_there_is_named(statistic, said):
    with pytest.raises(MagdrError, match=said):
        statistic_of(Figure(name="q", role="quality", statistic=statistic))
