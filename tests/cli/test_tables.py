"""The console's tables: attacks that know the component first, and what is to be said beside the figures."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest

from magdr_core.bench.run import RunResult
from magdr_core.cli.channel_view import channel_tables
from magdr_core.cli.checks import print_checks
from magdr_core.cli.result_view import print_tables
from magdr_core.cli.terminal import Terminal
from magdr_core.results.cell import as_cells
from magdr_core.results.frame import FigureTable


def fact(role, component, attack, knowledge):
    return {
        **{"task": "editing", "role": role, "component": component, "attack": attack, "seed": 0},
        **{"knowledge": knowledge, "slice_role": "clean" if attack == "none" else "attack"},
        **{"generator": "toy", "dataset": "faces", "eps": 0.0, "steps": 0},
    }


def row(facts, metric, value, variant=""):
    shown = {"eps": 6 / 255, "steps": 30, "n": 8, "ci_low": math.nan, "ci_high": math.nan}
    return {**facts, **shown, "metric": metric, "value": value, "variant": variant}


def result(*, knowing):
    rows, cells = [], []
    for attack, knowledge in [("none", "none"), ("pgd", "oblivious"), *([("pgd", "adaptive")] * knowing)]:
        scale = 10 if knowledge == "adaptive" else 1
        for role, component in (("defense", "jpeg"), ("detector", "plain")):
            facts = fact(role, component, attack, knowledge)
            cells.append({"facts": facts, "forwards": 1.0})
            if role == "defense":
                rows += [row(facts, m, 11.0 * scale) for m in ("mse_o", "median_mse_o")]
            elif attack != "none":
                rows.append(row(facts, "f1", 0.9 / scale, "best-f1"))
                rows.append(row(facts, "auroc", 0.8 / scale))
                rows.append(row(facts, "f1_of_all", 2 / 3))
                rows.append(row(facts, "recall", 0.7 / scale, "fpr1"))
            else:
                rows.append(row(facts, "fpr_clean", 0.01, "fpr1"))
    return RunResult(Path("run"), {}, rows, as_cells(cells))


def printed(show, found):
    console = Terminal()
    console.file = io.StringIO()
    console.width = 140
    show(console, found)
    return console.file.getvalue()


def test_tables_of_attacks_that_know_the_component_come_first_with_their_own_figures():
    told = printed(print_tables, result(knowing=True))
    titles = [line.strip() for line in told.splitlines() if line.strip().startswith("editing: ")]
    assert [t.partition(" (")[0] for t in titles] == [
        "editing: detection by attacks that know it",
        "editing: output MSE after defense by attacks that know it",
        "editing: disruption where nothing defends",
        "editing: detection",
        "editing: output MSE after defense",
    ]
    knowing, _, others = told.partition("editing: disruption where nothing defends")
    assert "110 / 110" in knowing
    assert row_of(knowing, "plain") == ["1%", "7%", "0.09", "0.08", "-"]
    assert "110 / 110" not in others
    assert "11 / 11" in others
    assert row_of(others, "plain") == ["1%", "70%", "0.90", "0.80", "-"]


def row_of(text, name):
    """The figures behind a name."""
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_no_figure_is_lost_in_a_narrow_terminal(width):
    console = Terminal()
    console.file, console.width = io.StringIO(), width
    print_tables(console, result(knowing=True))
    told = console.file.getvalue()
    tables = told.partition(" more is better")[0]
    assert "…" not in tables
    assert max(map(len, tables.splitlines())) <= width
    found = " ".join(" ".join(row_of(part, "plain")) for part in tables.split("detector ")[1:])
    assert [found.count(f) for f in ("1%", "7%", "70%", "0.09", "0.90")] == [2, 1, 1, 1, 1]


def test_heads_say_which_way_is_better():
    told = printed(print_tables, result(knowing=False))
    heads = told[told.index("editing: detection") : told.index("plain")].split()
    assert [f"{word} {heads[i + 1]}" for i, word in enumerate(heads) if word in ("clean", "found", "F1")][
        -3:
    ] == [
        "clean ↓",
        "found ↑",
        "F1 ↑",
    ]
    assert "↑ more is better, ↓ less is better" in told


def test_figures_behind_channels_fit_a_narrow_terminal_and_say_which_way_is_better():
    names = ("jpeg", "webp", "resize", "chain")
    rows = [
        {
            **row(fact("defense", "jpeg-defense", "none", "none"), "mse_o", 10.0 + i),
            "channel": name,
            "eps": 0.0,
        }
        for i, name in enumerate(("", *names))
    ]
    rows = [{**one, "steps": 0} for one in rows]
    console = Terminal()
    console.file, console.width = io.StringIO(), 60
    channel_tables(console, FigureTable(rows), "editing", names)
    told = console.file.getvalue()
    assert max(map(len, told.splitlines())) <= 60
    assert "mse_o ↓" in told
    shown = [float(v) for line in told.splitlines() if "mse_o" in line for v in line.split("↓")[1].split()]
    assert shown == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_arrows_are_ascii_where_the_terminal_is():
    console = Terminal()
    console.file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_tables(console, result(knowing=False))
    console.file.flush()
    told = console.file.buffer.getvalue().decode("ascii")
    assert "^ more is better, v less is better" in told
    assert "found ^" in told


def test_the_error_of_an_attack_is_in_the_unit_of_those_of_defenses():
    found = result(knowing=False)
    facts = fact("attack", "pgd", "pgd", "none")
    found.rows += [row(facts, "mse_o", 0.05), row(facts, "median_mse_o", 0.04), row(facts, "success", 0.5)]
    found = RunResult(found.folder, {}, found.rows, [*found.cells, *as_cells([{"facts": facts}])])
    assert row_of(printed(print_tables, found), "pgd") == ["6/255", "813", "650", "50%"]


def test_few_images_are_said_to_be_few():
    told = printed(print_tables, result(knowing=False))
    assert "8 images are few: 0% of them may be up to 37% of all" in told


def test_f1_of_flagging_everything_stands_over_the_f1_of_detectors():
    told = " ".join(printed(print_tables, result(knowing=False)).split())
    assert "flagging all has F1 0.67)" in told


@pytest.mark.parametrize("knowing", [False, True])
def test_a_run_without_adaptive_rows_is_called_oblivious_only_once(knowing):
    told = printed(print_tables, result(knowing=knowing))
    assert told.count("oblivious-only: no attack of this run knew what it attacked") == (not knowing)


def test_a_score_that_is_turned_round_and_an_f1_that_is_free_are_said():
    told = printed(print_tables, result(knowing=True))
    assert "note: AUROC below one half. " in told
    assert "note: F1 that is no merit. " in told
    assert [line for line in told.splitlines() if line.startswith("  editing / plain: ")] == [
        "  editing / plain: pgd, adaptive 0.080",
        "  editing / plain: pgd, adaptive 0.090",
    ]
    assert "note: " not in printed(print_tables, result(knowing=False))


def test_an_incomplete_row_is_told_with_the_reason():
    found = result(knowing=False)
    skipped = {"name": "budget", "verdict": "skipped", "said": "too small"}
    found.checks = [
        {**fact("defense", "jpeg", "", ""), "badge": "incomplete", "why": "10 of 12 [x]", "checks": [skipped]}
    ]
    told = printed(print_checks, found)
    assert "incomplete: editing / defense jpeg: 10 of 12 [x]\n" in told
    assert "sanity checks: 1 incomplete" in told
    assert found.unreliable == []
