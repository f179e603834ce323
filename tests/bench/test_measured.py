"""What figures of cells are, against counts by hand and scikit-learn: csv and compare share one rule."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, roc_auc_score

from magdr_core.components.figure import Figure
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DEFINITIONS, Definitions
from magdr_core.results.cell import CellResult, Facts
from magdr_core.results.measured import Siblings, measured
from magdr_core.results.rows import result_rows
from magdr_core.results.variant import Variant

DRAW = np.random.default_rng(3)
N = 40
IDS = [f"face-{i}" for i in range(N)]
CLEAN, NOISE, ATTACKED = (DRAW.normal(mean, size=N) for mean in (0.0, 0.6, 1.5))
STRICT, FINE = 1.8, 0.7


def cell(
    role, values, slice_role="attack", *, attack="pgd", component="plain", noise=False, ids=IDS, **facts
):
    about = {
        **{
            "task": "editing",
            "generator": "toy",
            "dataset": "faces",
            "attack": attack,
            "steps": 3,
            "seed": 0,
        },
        **{"slice_role": slice_role, "eps": 0.0 if attack == "none" else 6 / 255, "knowledge": "oblivious"},
        **{"role": role, "component": component, "noise": noise, **facts},
        **{"sweep": {"variant": "sweep 3"}, "benign": {"columns": {"attack": "none"}}}.get(slice_role, {}),
    }
    thresholds = {"thresholds": {"fpr": STRICT, "f1": FINE}, "fpr": 0.01} if role == "detector" else {}
    return CellResult(
        Facts(**about), f"{slice_role}-{attack}", ids, list(range(len(ids))), values, 4.0, 1.0, **thresholds
    )


def run():
    return [
        cell("detector", {"score": CLEAN}, "clean", attack="none"),
        cell("detector", {"score": NOISE}, "noise", attack="noise@6", noise=True),
        cell("detector", {"score": ATTACKED}),
        cell("detector", {"score": CLEAN + 0.5}, "benign", attack="benign:jpeg"),
    ]


def values(cells, **about):
    rows = [row for row in result_rows("mine", cells) if all(row[k] == v for k, v in about.items())]
    return {(row["metric"], row["variant"]): row["value"] for row in rows}


def test_a_detectors_figures_are_those_of_its_scores():
    truth = np.repeat([0, 1], N)
    found = values(run(), attack="pgd")
    for variant, threshold in (("fpr1", STRICT), ("best-f1", FINE)):
        flagged = np.concatenate([CLEAN, ATTACKED]) > threshold
        assert found["recall", variant] == pytest.approx((threshold < ATTACKED).mean())
        assert found["f1", variant] == pytest.approx(f1_score(truth, flagged))
        assert found["precision", variant] == pytest.approx(precision_score(truth, flagged))
    assert found["auroc", ""] == pytest.approx(roc_auc_score(truth, np.concatenate([CLEAN, ATTACKED])))
    assert found["auroc_noise", ""] == pytest.approx(roc_auc_score(truth, np.concatenate([NOISE, ATTACKED])))
    assert found["f1_of_all", ""] == pytest.approx(f1_score(truth, np.ones(2 * N)))
    assert found["forwards", ""] == 4.0
    assert ("tpr_at_5fpr", "") in found
    assert ("tpr_at_1fpr", "") not in found, "40 clean images cannot tell 1% from more"


def test_shares_have_binomial_intervals_and_what_is_not_estimated_has_none():
    rows = {(r["metric"], r["variant"]): r for r in result_rows("mine", run()) if r["attack"] == "pgd"}
    row = rows["recall", "fpr1"]
    expected = binomtest(int((ATTACKED > STRICT).sum()), N).proportion_ci(0.95, "exact")
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.low, expected.high))
    for metric in ("f1_of_all", "forwards"):
        assert np.isnan([rows[metric, ""]["ci_low"], rows[metric, ""]["ci_high"]]).all()


SUCCESS = DRAW.random(N) < 0.4


def with_attack(*cells):
    return [*run(), cell("attack", {"mse_o": SUCCESS * 0.1, "success": SUCCESS}, component="pgd"), *cells]


def test_figures_of_successful_images_are_of_those_faces_alone_and_say_how_many_they_are():
    kept = int(SUCCESS.sum())
    clean, found = CLEAN[SUCCESS], ATTACKED[SUCCESS]
    truth = np.repeat([0, 1], kept)
    rows = [r for r in result_rows("mine", with_attack()) if r["metric"].endswith("_successful")]
    assert 0 < kept < N
    assert {r["n"] for r in rows} == {kept}
    assert {r["n"] for r in result_rows("mine", with_attack()) if r["metric"] in ("f1", "auroc")} == {N}
    by_name = {(r["metric"], r["variant"]): r for r in rows}
    assert set(by_name) == {("auroc_successful", ""), ("f1_successful", "fpr1"), ("f1_successful", "best-f1")}
    auroc = by_name["auroc_successful", ""]
    assert auroc["value"] == pytest.approx(roc_auc_score(truth, np.concatenate([clean, found])))
    for variant, threshold in (("fpr1", STRICT), ("best-f1", FINE)):
        flagged = np.concatenate([clean, found]) > threshold
        assert by_name["f1_successful", variant]["value"] == pytest.approx(f1_score(truth, flagged))
    assert auroc["ci_low"] <= auroc["value"] <= auroc["ci_high"]


def test_a_defenses_error_over_successful_images_is_their_mean():
    errors = DRAW.random(N)
    cells = with_attack(cell("defense", {"mse_o": errors}, component="jpeg"))
    found = values(cells, role="defense")
    assert found["mse_o_successful", ""] == pytest.approx(errors[SUCCESS].mean())
    assert found["mse_o", ""] == pytest.approx(errors.mean())


@pytest.mark.parametrize("attack", [None, np.zeros(N)])
def test_where_no_attack_succeeds_or_nobody_knows_there_is_no_figure_of_successful_images(attack):
    cells = run()
    if attack is not None:
        cells.append(cell("attack", {"mse_o": attack, "success": attack}, component="pgd"))
    assert not [r for r in result_rows("mine", cells) if r["metric"].endswith("_successful")]


def test_success_is_that_of_the_very_attack():
    """Another attack of the same strength succeeds on other images."""
    other = cell("attack", {"mse_o": ~SUCCESS * 0.1, "success": ~SUCCESS}, attack="cw", component="cw")
    rows = [r for r in result_rows("mine", with_attack(other)) if r["metric"] == "auroc_successful"]
    assert [r["n"] for r in rows] == [int(SUCCESS.sum())]


def test_false_alarms_are_of_clean_images_and_of_harmless_edits():
    found = values(run(), attack="none")
    assert found["fpr_clean", "fpr1"] == pytest.approx((CLEAN > STRICT).mean())
    assert found["fpr_clean", "best-f1"] == pytest.approx((CLEAN > FINE).mean())
    assert found["fpr_benign", "jpeg"] == pytest.approx((CLEAN + 0.5 > STRICT).mean())
    assert values(run(), attack="noise@6") == {}, "noise is there for the figure of the others"


def test_what_gets_past_a_detector_is_counted_by_hand():
    disruption, blind = DRAW.random(N), DRAW.random(N)
    strongest = 1 + DRAW.random(N)
    scores = {
        "score": ATTACKED,
        "disruption": disruption,
        "oblivious/score": CLEAN,
        "oblivious/disruption": blind,
        "strongest/disruption": strongest,
        "targeted/score": ATTACKED,
        "targeted/progress": blind,
        "strongest/progress": 2 * strongest,
    }
    known = cell("detector", scores, "adaptive", knowledge="adaptive")
    found = values([*run(), known], knowledge="adaptive")
    left = np.where(ATTACKED > STRICT, 0.0, disruption)
    assert found["mse_o", ""] == pytest.approx(disruption.mean())
    assert found["mse_o_undetected", ""] == pytest.approx(left.mean())
    assert found["success_undetected", ""] == pytest.approx((left > 0.05).mean())
    assert found["recall", "fpr1, oblivious"] == pytest.approx((CLEAN > STRICT).mean())
    assert found["mse_o", "oblivious"] == pytest.approx(blind.mean())
    assert ((ATTACKED > STRICT) & (CLEAN > STRICT)).mean() <= 0.05
    assert found["kept_at_95_evasion", ""] == pytest.approx(left.sum() / strongest.sum())
    nearer = np.where(ATTACKED > STRICT, 0.0, blind)
    assert found["kept_targeted", ""] == pytest.approx(nearer.sum() / (2 * strongest.sum()))


def test_a_cell_of_fewer_images_takes_those_of_its_siblings():
    some = IDS[::-2]
    rows = [N - 1 - 2 * i for i in range(len(some))]
    found = values([run()[0], cell("detector", {"score": ATTACKED[rows]}, "sweep", ids=some)], attack="pgd")
    expected = f1_score(np.repeat([0, 1], len(rows)), np.concatenate([CLEAN[rows], ATTACKED[rows]]) > FINE)
    assert found["f1", "best-f1, sweep 3"] == pytest.approx(expected)


def test_without_clean_images_nothing_is_said_of_detection_but_what_was_found():
    found = values([cell("detector", {"score": ATTACKED})])
    assert {metric for metric, _ in found} == {"recall", "forwards"}
    assert found["recall", "best-f1"] == pytest.approx((ATTACKED > FINE).mean())


def test_medians_pooled_figures_and_differences_of_defenses():
    ours, theirs = DRAW.random(N) * 100, DRAW.random(N) * 90
    cells = [
        cell("defense", {"mse_o": ours, "ensemble/mse_o": ours / 2}, component="ours", baseline=False),
        cell("defense", {"mse_o": theirs}, component="theirs", baseline=True),
    ]
    found = values(cells, component="ours")
    assert found["median_mse_o", ""] == pytest.approx(np.median(ours))
    assert found["psnr_pooled_o", ""] == pytest.approx(10 * np.log10(255**2 / ours.mean()))
    assert found["l2_table2_o", ""] == pytest.approx(4.433 * np.sqrt(ours.mean()))
    assert found["mse_o", "ensemble"] == pytest.approx(ours.mean() / 2)
    assert found["mse_o_difference", "to theirs"] == pytest.approx((ours - theirs).mean())
    assert 0 < found["mse_o_difference_p", "to theirs"] <= 1


QUALITY = [
    Figure(name="sharpness", role="quality", unit="levels", digits=1, needs=("sharp",)),
    Figure(
        name="lost",
        role="quality",
        better="lower",
        needs=("sharp", "clean:sharp"),
        statistic="mean_difference",
    ),
]


def test_a_role_that_core_does_not_know_has_the_rows_of_its_figures():
    before, after = DRAW.random(N), DRAW.random(N)
    cells = [
        cell("quality", {"sharp": before}, "clean", attack="none"),
        cell("quality", {"sharp": after, "small/sharp": after / 2, "unknown": after}),
    ]
    rows = result_rows("mine", cells, QUALITY)
    found = {(row["attack"], row["metric"], row["variant"]): row for row in rows}
    assert {about: row["value"] for about, row in found.items()} == pytest.approx(
        {
            ("none", "sharpness", ""): before.mean(),
            ("none", "lost", ""): 0.0,
            ("pgd", "sharpness", ""): after.mean(),
            ("pgd", "sharpness", "small"): after.mean() / 2,
            ("pgd", "lost", ""): (after - before).mean(),
            ("pgd", "lost", "small"): (after / 2 - before).mean(),
        }
    )
    row = found["pgd", "sharpness", ""]
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert (row["role"], row["component"], row["n"]) == ("quality", "plain", N)
    assert result_rows("mine", cells) == [], "figures that nobody declared are none"


def test_what_a_sibling_has_of_the_row_s_variant_alone_is_taken_from_there():
    after, small = DRAW.random((2, N))
    cells = [
        cell("quality", {"small/sharp": small}, "clean", attack="none"),
        cell("quality", {"sharp": after, "small/sharp": after / 2}),
    ]
    found = {
        (r["attack"], r["metric"], r["variant"]): r["value"] for r in result_rows("mine", cells, QUALITY)
    }
    assert found["pgd", "lost", "small"] == pytest.approx((after / 2 - small).mean())
    assert ("pgd", "lost", "") not in found


def test_siblings_are_of_the_same_component_task_seed_and_dataset():
    attacked = cell("detector", {"score": ATTACKED})
    for other in ({"component": "other"}, {"seed": 1}, {"task": "other"}, {"dataset": "other"}):
        clean = cell("detector", {"score": CLEAN}, "clean", attack="none", **other)
        assert Siblings([attacked, clean]).of(attacked) == {}


def test_a_stored_value_is_not_taken_for_a_decision():
    """`flagged` of a defense is what the detector before it said; it has no score of its own."""
    flags = (DRAW.random(N) < 0.3).astype(float)
    known = cell("defense", {"mse_o": ATTACKED, "flagged": flags}, "adaptive", knowledge="adaptive")
    found = {
        one.figure.name: one.value for one in measured(known, {}, DEFINITIONS) if one.variant == Variant()
    }
    assert found["flagged"] == pytest.approx(flags.mean())


def test_a_figure_that_is_not_known_has_no_row():
    unknown = Figure(name="never", role="quality", needs=("sharp", "sharp"), statistic="tpr_at_1fpr")
    cells = [cell("quality", {"sharp": np.zeros(N)})]
    (one,) = measured(cells[0], {}, Definitions([unknown]))
    assert np.isnan(one.value)
    assert result_rows("mine", cells, [unknown]) == []


def test_a_statistic_that_fails_costs_its_own_rows_and_is_told_once():
    bad = Figure(name="bad", role="quality", needs=("sharp",), statistic="acme_nowhere:own")
    cells = [cell("quality", {"sharp": CLEAN}, attack=name) for name in ("none", "pgd")]
    said = []
    rows = result_rows("mine", cells, [*QUALITY, bad], said.append)
    assert {row["metric"] for row in rows} == {"sharpness"}
    assert len(said) == 1
    assert "acme_nowhere" in said[0]
    with pytest.raises(MagdrError, match="acme_nowhere"):
        result_rows("mine", cells, [bad])


def test_forwards_of_another_role_are_those_of_its_cells():
    figure = Figure(name="forwards", role="quality")
    (row,) = result_rows("mine", [cell("quality", {"sharp": CLEAN})], [figure])
    assert (row["metric"], row["value"]) == ("forwards", 4.0)
