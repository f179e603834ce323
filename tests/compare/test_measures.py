"""Every metric of results.csv that has values per sample can be compared, and is the same figure."""

import numpy as np
import pytest

from magdr_core.compare import RegressionRule, compare_folders
from magdr_core.compare.figures import Size, names, parse_metric
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.results.rows import result_rows

RNG = np.random.default_rng(0)
CLEAN = {"attack": "none", "eps": 0.0, "steps": 0}
N = 120  # enough to tell 1% of false alarms


def fill(run):
    """A run with every role and kind of image."""
    measures = [f"{m}_{side}" for m in ("mse", "ssim", "psnr", "fsim", "featsim") for side in "io"]
    measures += ["mse_o_target", "identity_o"]
    together = [f"ensemble/{name}" for name in measures if not name.endswith("_i")]
    noise = {"attack": "noise", "noise": True}
    errors = {name: RNG.random(N) for name in ("mse_o", "mse_o_target", "mse_o_changed", "mse_aim")}
    shown = {name: RNG.random(N) < 0.5 for name in ("success", "success_identity")}
    shown["identity_o"] = RNG.random(N)
    run.cell("attack", "pgd", errors | shown | {"psnr_i": 30 + RNG.random(N)})
    behind = {name: RNG.random(N) for name in ("mse_o", "mse_o_channel", "mse_o_perturbation")}
    run.cell("attack", "pgd", behind, channel="rough")
    run.cell("detector", "magdr", {"score": RNG.normal(size=N)}, "none")
    run.cell("detector", "magdr", {"score": RNG.normal(2, size=N)})
    run.cell("detector", "magdr", {"score": RNG.normal(0.5, size=N)}, **noise)
    run.cell("detector", "magdr", {"score": RNG.normal(size=N)}, "noise-l2:pgd", slice_role="noise-l2")
    run.cell(
        "detector", "magdr", {"score": RNG.normal(size=N)}, "benign:jpeg", slice_role="benign", columns=CLEAN
    )
    adaptive = {"slice_role": "adaptive", "knowledge": "adaptive"}
    told = [f"{mode}{name}" for mode in ("", "oblivious/") for name in ("score", "disruption")]
    shares = ["strongest/disruption", "targeted/progress", "strongest/progress"]
    told += ["targeted/score", *shares]
    run.cell("detector", "magdr", {name: 2 * RNG.random(N) for name in told}, "cw", **adaptive)
    behind = ["mse_o", "oblivious/mse_o", "flagged", "undetected_mse_o", *shares]
    run.cell("defense", "jpeg", {name: RNG.random(N) for name in behind}, "cw", **adaptive)
    for component in ("identity", "jpeg"):
        for attack in ("none", "pgd"):
            run.cell("defense", component, {name: RNG.random(N) for name in (*measures, *together)}, attack)
    return run


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    from tests.compare.conftest import Folder

    root = tmp_path_factory.mktemp("measures")
    a, b = (fill(Folder(root / name, n=N)) for name in "ab")
    return [result_rows("mine", run.cells) for run in (a, b)], a.write(), b.write()


def place_of(row):
    return (row["task"], row["attack"], row["role"], row["component"], row["variant"], row["channel"])


NAMES = names()
VARIANTS = {name: [name] for name in NAMES} | {
    "f1": ["f1", "f1@fpr", "f1@fpr1", "f1@best-f1"],
    "fpr_clean": ["fpr_clean", "fpr_clean@best-f1"],
    "mse_o": ["mse_o", "mse_o@ensemble"],
    "mse_o_target": ["mse_o_target", "mse_o_target@ensemble"],
    "psnr_pooled_o": ["psnr_pooled_o", "psnr_pooled_o@ensemble"],
}


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_those_of_results_csv(measured, name):
    csv, folder_a, folder_b = measured
    rule = RegressionRule(tuple(map(parse_metric, VARIANTS[name])), correction="none")
    found = compare_folders(folder_a, folder_b, folder_a / "none", rule).rows
    tables = [{place_of(r): r["value"] for r in rows if r["metric"] == name} for rows in csv]
    assert found
    for row in found:
        attack = "none" if row.place.slice_role == "benign" else row.place.attack
        variant = row.place.attack.removeprefix("benign:") if row.metric == "fpr_benign" else row.variant
        place = (row.place.task, attack, row.place.role, row.place.component, variant, row.place.channel)
        assert [row.a, row.b] == pytest.approx([table[place] for table in tables], rel=1e-9)
        assert row.difference == pytest.approx(row.b - row.a)
        assert row.low <= row.difference <= row.high
    wanted = {place for place in tables[0] if not place[4] or place[2] == "detector"}
    if len(VARIANTS[name]) == 1 and name not in ("precision", "recall", "accuracy"):
        usual = {p for p in wanted if p[4] in ("", "best-f1", "jpeg")}
        assert len(found) == len(usual), "every cell that has the figure is compared"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mse", "no metric 'mse'; did you mean 'mse_o'?"),
        ("forwards", "no values per sample"),
        ("f1_successful", "of images on which an attack succeeds"),
        ("mse_i@ensemble", "no variant 'ensemble'"),
        ("auroc@fpr1", "no variant 'fpr1'"),
        ("f1@best", "no variant 'best'; did you mean 'best-f1'?"),
    ],
)
def test_a_metric_that_is_none_is_named(text, said):
    with pytest.raises(MagdrError, match=said.replace("?", r"\?")):
        parse_metric(text)


def test_which_direction_is_better():
    lower = {f.name for f in DEFINITIONS if f.role != "attack" and f.better == "lower"}
    assert {"mse_o", "median_mse_i", "l2_table2_o", "fpr_clean", "fpr_benign", "kept_at_95_evasion"} <= lower
    assert not lower & {"ssim_o", "psnr_o", "psnr_pooled_o", "f1", "auroc", "featsim_i", "success"}
    assert DEFINITIONS["attack", "mse_o"].higher_is_better, "one that disrupts more is the better attack"


def test_a_percentage_keeps_the_least_size_and_a_number_replaces_all():
    left, caused = DEFINITIONS["defense", "mse_o"], DEFINITIONS["attack", "mse_o"]
    default = left.threshold
    assert (default.size(0.0), default.size(500.0)) == (1.0, 50.0)
    assert Size.parse("20%").of(left).size(500.0) == 100.0
    assert Size.parse("20%").of(left).size(0.0) == 1.0
    assert Size.parse("5").of(left).size(500.0) == 5.0
    assert Size.parse("16256.25").of(caused).size(0.0) == 1.0, "squared levels, also of attacks"


@pytest.mark.parametrize("text", ["", "a", "-1", "nan", "inf", "5%%", "-5%"])
def test_a_threshold_that_is_none_is_refused(text):
    with pytest.raises(MagdrError, match="is no size"):
        Size.parse(text)
