"""The one look-up of a run's figures: conditions, seeds, variants, curves."""

import math

import pytest

from magdr_core.errors import MagdrError
from magdr_core.results.cell import CellResult
from magdr_core.results.columns import to_csv
from magdr_core.results.frame import CLEAN_IMAGES, AttackCondition, FigureTable, facts_of
from magdr_core.results.variant import BEST_F1, PLAIN, Variant

PGD = AttackCondition("pgd", 0.02, 3)


def row(metric, value, low=math.nan, high=math.nan, *, variant="", attack="pgd", **more):
    clean = attack == "none"
    return {
        **{"registry": "mine", "task": "editing", "generator": "toy", "dataset": "faces", "attack": attack},
        **{"eps": 0.0 if clean else 0.02, "steps": 0 if clean else 3, "knowledge": "oblivious"},
        **{"role": "detector", "component": "plain", "variant": variant, "metric": metric, "value": value},
        **{"ci_low": low, "ci_high": high, "n": 8, "seed": 0, "seconds": 1.0, **more},
    }


def test_several_seeds_are_one_figure_whose_interval_spans_theirs():
    frame = FigureTable([row("auroc", 0.5, 0.4, 0.6), row("auroc", 0.7, 0.5, 0.9, seed=1, n=6)])
    found = frame.get("editing", PGD, "detector", "plain", "auroc")
    assert (found.value, found.low, found.high, found.n, found.seeds) == (pytest.approx(0.6), 0.4, 0.9, 6, 2)
    assert frame.first(metric="auroc").value == 0.5, "the first seed's alone"
    assert frame.text(".2f", metric="auroc") == "0.50 [0.40, 0.60]"
    assert frame.number(".2f", metric="auroc") == "0.50"


def test_what_is_not_there_is_none_and_a_dash():
    frame = FigureTable([row("auroc", 0.5), row("f1", math.nan, variant="best-f1")])
    assert frame.get("editing", PGD, "detector", "plain", "f1", Variant(BEST_F1)) is None, (
        "a row without value"
    )
    assert frame.get("editing", CLEAN_IMAGES, "detector", "plain", "auroc") is None
    assert frame.text(".2f", metric="auroc", component="other") == "-"
    assert frame.variants("editing", "f1") == []


def test_a_variant_is_asked_for_as_value_or_text():
    frame = FigureTable([row("f1", 0.1, variant="fpr1"), row("f1", 0.2, variant="best-f1")])
    assert frame.first(Variant(BEST_F1), metric="f1") == frame.first("best-f1", metric="f1")
    assert frame.variants("editing", "f1") == [Variant("fpr1"), Variant(BEST_F1)]
    assert frame.first(metric="f1") is None, "the empty variant is one of its own"


def test_another_strength_and_other_knowledge_are_other_conditions():
    rows = [row("f1", 0.1), row("f1", 0.2, eps=0.04), row("f1", 0.3, knowledge="adaptive", steps=50)]
    frame = FigureTable(rows)
    conditions = [frame.condition(facts_of(r)) for r in rows]
    assert [frame.get("editing", c, "detector", "plain", "f1").value for c in conditions] == [0.1, 0.2, 0.3]
    assert conditions[2].label == "pgd, adaptive"
    assert conditions[0].strength == "eps 5.1/255, 3 steps"


def test_an_undefended_figure_stands_with_the_only_attackers_there_are():
    alone = row("mse_o", 1.0, knowledge="none", role="defense", component="identity")
    transferred = row("f1", 0.3, knowledge="transfer")
    assert FigureTable([alone, transferred]).condition(facts_of(alone)).knowledge == "transfer"
    assert FigureTable([alone, transferred, row("f1", 0.2)]).condition(facts_of(alone)).knowledge == ""


def test_curves_are_of_f1_at_the_best_threshold_and_stand_in_no_table():
    points = [row("f1", n / 10, variant=f"best-f1, sweep {n}", steps=n) for n in (4, 2)]
    others = [
        row("f1", 0.9, variant="fpr1, sweep 2", steps=2),
        row("recall", 0.9, variant="best-f1, sweep 2"),
    ]
    frame = FigureTable([*points, *others, row("f1", 0.5, variant="best-f1")])
    ((attack, (curve,)),) = frame.sweeps("editing").items()
    assert [(n, f.value) for n, f in curve.points] == [(2, 0.2), (4, 0.4)]
    assert attack == PGD._replace(steps=0)
    assert frame.variants("editing", "f1") == [Variant(BEST_F1)]
    assert len(frame.without_sweeps().rows) == 1
    assert frame.sweeps("other") == {}


def test_rows_are_narrowed_by_their_columns():
    frame = FigureTable([row("f1", 0.1), row("auroc", 0.2), row("f1", 0.3, attack="none")])
    assert [r["value"] for r in frame.where(metric="f1", attack=("pgd", "cw")).rows] == [0.1]
    assert frame.names("attack") == ["pgd", "none"]
    assert frame.strict == PLAIN
    assert FigureTable([row("fpr_clean", 0.1, variant="fpr5, x")]).strict == Variant("fpr5")


def test_a_csv_is_read_and_what_is_none_is_named(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(to_csv([row("auroc", 0.5, variant="")]))
    assert FigureTable.read(path, path).names("metric") == ["auroc"]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(MagdrError, match=r"results\.csv: damaged, its columns are not those"):
        FigureTable.read(path)
    with pytest.raises(MagdrError, match="cannot be read"):
        FigureTable.read(tmp_path / "none.csv")


def test_a_failed_cell_says_what_its_attackers_knew():
    alone = row("mse_o", 1.0, knowledge="none", role="defense", component="identity")
    facts = facts_of(row("f1", 0.1, knowledge="transfer"))
    assert (
        FigureTable([alone], [CellResult(facts, error="no")]).condition(facts_of(alone)).knowledge
        == "transfer"
    )
