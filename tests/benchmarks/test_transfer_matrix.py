"""Crafted on x, tested on y: the matrices of a run's figures, and the registries of the new benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from magdr_core.bench.plan import plan
from magdr_core.registry.read import read_registry
from magdr_core.results.columns import COLUMNS
from magdr_core.toolkit import Toolkit

ROOT = Path(__file__).parents[2]

FIGURES = {
    ("editing", "pgd"): 400.0,
    ("editing", "pgd@swap"): 100.0,
    ("swap", "pgd"): 50.0,
    ("swap", "pgd@editing"): 5.0,
    ("editing", "noise"): 11.0,
    ("swap", "noise"): 2.0,
}


def row(task, attack, value):
    told = {
        **{"registry": "r", "task": task, "generator": "g", "dataset": "d", "attack": attack},
        **{"eps": 6 / 255, "steps": 30, "knowledge": "none", "role": "defense", "component": "identity"},
        **{"variant": "", "metric": "mse_o", "value": value, "ci_low": value - 1, "ci_high": value + 1},
        **{"n": 8, "seed": 0, "seconds": 1.0},
    }
    return ",".join(str(told.get(name, "")) for name in COLUMNS)


def test_a_matrix_has_a_row_for_each_origin_and_shares_of_the_diagonal(printed, tmp_path):
    lines = [",".join(COLUMNS), *(row(*place, value) for place, value in FIGURES.items())]
    (tmp_path / "results.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = printed("transfer_matrix", tmp_path / "results.csv")
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in done.splitlines() if line.startswith("|")]
    values = [line for line in cells if line[0] in ("editing", "swap", "each, or all")]
    assert [[value.split(" [")[0] for value in line] for line in values] == [
        ["editing", "400", "5"],
        ["swap", "100", "50"],
        ["editing", "1.00", "0.10"],
        ["swap", "0.25", "1.00"],
        ["each, or all", "11", "2"],
    ]


@pytest.mark.parametrize(
    ("name", "profile"), [("transfer-matrix", "matrix"), ("anti-forgery", "anti-forgery")]
)
def test_the_registries_of_the_disruptors_can_be_planned(name, profile):
    toolkit = Toolkit(read_registry(ROOT / "benchmarks" / "registries" / f"{name}.toml"), device="cpu")
    groups = plan(toolkit, toolkit.registry.profile(profile), profile)
    assert [group.task for group in groups] == ["editing", "reenactment", "replacement"]
    made = [{s.name for s in group.slices if s.scenario == "transfer"} for group in groups]
    if name == "transfer-matrix":
        others = [("reenactment", "replacement"), ("editing", "replacement"), ("editing", "reenactment")]
        attacks = ("pgd", "universal", "universal-balanced")
        assert made == [{f"{a}@{o}" for a in attacks for o in own} for own in others]
