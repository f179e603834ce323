"""Verdicts, matching and failures on runs whose every value is known."""

import json

import numpy as np
import pytest

from magdr_core.compare import RegressionRule, compare_folders
from magdr_core.compare.figures import Size, parse_metric
from magdr_core.compare.format import counted, figure, rule_lines, signed
from magdr_core.compare.output import COLUMNS, to_csv, to_json
from magdr_core.errors import MagdrError
from tests.compare.conftest import REGISTRY, errors, filled
from tests.edits import edited


def compare(folders, rule=None, cache=None):
    a, b = folders
    return compare_folders(a, b, cache or a.parent / "no-cache", rule)


def verdicts(comparison):
    return {(r.place.role, r.place.component, r.place.attack, r.metric): r.verdict for r in comparison.rows}


def row_of(comparison, role, component, attack="pgd"):
    return next(
        r
        for r in comparison.rows
        if (r.place.role, r.place.component, r.place.attack) == (role, component, attack)
    )


def test_the_same_results_are_identical_and_nothing_is_tested(two):
    found = compare(two())
    assert set(verdicts(found).values()) == {"same", "reference"}
    assert (found.tested, found.found_worse, found.changes) == (0, False, [])
    assert all(r.p is None and r.identical for r in found.rows)


def test_a_planted_regression_is_found_with_its_interval(two, folder):
    a, _ = two()
    worse = filled(folder("b"))
    jpeg = next(c for c in worse.cells if c["facts"]["component"] == "jpeg" and c["facts"]["attack"] == "pgd")
    before = np.array(jpeg["values"]["mse_o"])
    planted = 30 + np.random.default_rng(5).normal(scale=4, size=24)
    jpeg["values"]["mse_o"], jpeg["key"] = (before + planted).tolist(), "planted"
    found = compare((a, worse.write()))
    (row,) = found.regressions
    assert (row.place.component, row.place.attack, row.metric, row.n) == ("jpeg", "pgd", "mse_o", 24)
    assert (row.a, row.b) == pytest.approx((100.0, 100.0 + planted.mean()))
    assert row.difference == pytest.approx(planted.mean())
    # The interval of the differences alone: mean +- 1.96 s / sqrt(n), within the bootstrap's own noise.
    half = 1.96 * planted.std() / np.sqrt(24)
    assert (row.low, row.high) == pytest.approx((planted.mean() - half, planted.mean() + half), abs=0.5)
    assert row.p_adjusted < 0.001
    assert found.found_worse
    assert len(row.worst) == 3
    assert all(
        b - a == pytest.approx(p) for (_, a, b), p in zip(row.worst, sorted(-planted)[:3], strict=True)
    ) or ([b - a for _, a, b in row.worst] == pytest.approx(sorted(planted, reverse=True)[:3]))


@pytest.mark.parametrize(
    ("change", "verdict"),
    [({"mse": 109.0}, "small"), ({"mse": 112.0}, "regression"), ({"mse": 80.0}, "improvement")],
)
def test_the_threshold_is_a_tenth_of_the_error(two, change, verdict):
    assert verdicts(compare(two(**change)))[("defense", "jpeg", "pgd", "mse_o")] == verdict


@pytest.mark.parametrize(("text", "verdict"), [("8", "regression"), ("10", "small"), ("5%", "regression")])
def test_the_threshold_can_be_said(two, text, verdict):
    rule = RegressionRule(sizes={"mse_o": Size.parse(text)})
    assert verdicts(compare(two(mse=109.0), rule))[("defense", "jpeg", "pgd", "mse_o")] == verdict


def test_a_difference_that_may_be_chance_is_no_regression(folder):
    """30 more on average, but half of the images carry it, and some became better."""
    shift = np.random.default_rng(1).normal(30, 200, size=24)
    shift += 30 - shift.mean()
    a, b = folder("a"), folder("b")
    a.cell("defense", "jpeg", {"mse_o": errors(100)})
    b.cell("defense", "jpeg", {"mse_o": np.array(errors(100)) + shift})
    (row,) = compare((a.write(), b.write())).rows
    assert row.low < 0 < row.high
    assert row.verdict == "uncertain"


def test_lost_detections_are_a_regression_and_found_ones_an_improvement(two):
    worse = compare(two(found=8))
    assert verdicts(worse)[("detector", "magdr", "pgd", "f1")] == "regression"
    row = row_of(worse, "detector", "magdr")
    # No false alarms, so F1 = 2 found / (found + n).
    assert (row.a, row.b) == pytest.approx((44 / 46, 16 / 32))
    assert row.variant == "best-f1"
    better = compare(two(a={"found": 8}))
    assert verdicts(better)[("detector", "magdr", "pgd", "f1")] == "improvement"
    assert not better.found_worse


def test_a_weaker_attack_is_a_regression_of_the_attack(two):
    found = verdicts(compare(two(disruption=0.05)))
    assert found[("attack", "pgd", "pgd", "mse_o")] == "regression"


def test_references_are_shown_and_never_counted(two):
    found = compare(two(mse=150.0))
    assert row_of(found, "defense", "identity").difference == pytest.approx(600)
    assert row_of(found, "defense", "identity").verdict == "reference"
    assert row_of(found, "defense", "identity").p is None
    assert [r.place.component for r in found.regressions] == ["jpeg"]


def many(run, count, shifted):
    """So many defenses, of which the first is worse by 40 on eleven of twelve images."""
    for k in range(count):
        shift = np.zeros(12)
        if shifted:
            shift = np.array([40.0] * 11 + [-5]) if k == 0 else np.random.default_rng(k).normal(size=12)
        run.cell("defense", f"d{k}", {"mse_o": np.array(errors(100, 12)) + shift})
    return run.write()


def test_p_is_adjusted_for_all_comparisons(folder):
    alone = compare((many(folder("a"), 1, False), many(folder("b"), 1, True)))
    assert [r.verdict for r in alone.rows] == ["regression"]
    # Of 4096 exchanges as extreme are the observed one, that without the better image, and their opposites.
    assert alone.rows[0].p == pytest.approx(4 / 4096)
    crowd = compare((many(folder("c"), 60, False), many(folder("d"), 60, True)))
    first = crowd.rows[0]
    assert first.p == alone.rows[0].p
    assert first.p_adjusted == pytest.approx(60 * 4 / 4096)
    assert (first.verdict, first.corrected, crowd.too_few) == ("uncertain", True, None)
    plain = compare((folder("c").path, folder("d").path), RegressionRule(correction="none"))
    assert (plain.rows[0].verdict, plain.rows[0].corrected) == ("regression", False)


def test_too_few_images_for_any_p_leave_it_to_threshold_and_interval(folder):
    a, b = folder("a", n=5), folder("b", n=5)
    for name, shift in (("worse", 100), ("either", 0)):
        a.cell("defense", name, {"mse_o": errors(100, 5)})
        noise = np.array([-60, 90, -50, 100, 40.0]) if not shift else 0
        b.cell("defense", name, {"mse_o": np.array(errors(100 + shift, 5)) + noise})
    found = compare((a.write(), b.write()))
    assert found.too_few == 7
    assert any("5 can never pass" in line and "(7 can)" in line for line in rule_lines(found))
    worse, either = found.rows
    assert (worse.verdict, worse.corrected) == ("regression", False)
    assert (either.verdict, either.difference) == ("uncertain", pytest.approx(24))
    assert worse.p_adjusted == pytest.approx(2 * 2 / 32), "told all the same"


def test_the_same_folders_give_the_same_bytes(two):
    folders = two(mse=112.0, found=15)
    assert to_json(compare(folders)) == to_json(compare(folders))


def test_a_cell_that_fails_now_stops_a_program_and_others_do_not(two, folder):
    a, _ = two()
    b = folder("b")
    for c in filled(folder("x")).cells:
        broken = c["facts"]["component"] == "jpeg" and c["facts"]["attack"] == "pgd"
        b.cells.append({"key": "", "facts": c["facts"], "error": "acme/jpeg: NaN"} if broken else c)
    b.cell("defense", "new", error="acme/new: no")
    folders = a, b.write()
    found = compare(folders)
    assert [c.facts.component for c in found.new_failures] == ["jpeg"]
    assert [c.facts.component for c in found.other_failures] == ["new"]
    assert found.found_worse
    assert counted(found) == "0 regressions, 0 improvements, 0 uncertain, 1 cell failing now"
    back = compare(folders[::-1])
    assert [c.facts.component for c in back.fixed] == ["jpeg"]
    assert not back.found_worse


def test_runs_without_such_a_figure_say_so(two):
    with pytest.raises(MagdrError, match="share 7 cells, none of which has ssim_o"):
        compare(two(), RegressionRule((parse_metric("ssim_o"),)))


def test_a_variant_that_no_cell_has_is_named(two):
    with pytest.raises(MagdrError, match="none of which has mse_o@ensemblee"):
        compare(two(), RegressionRule((parse_metric("mse_o@ensemblee"),)))


def test_json_and_csv_hold_every_row(two):
    found = compare(two(mse=130.0))
    document = json.loads(to_json(found))
    assert document["found_worse"] is True
    assert len(document["comparisons"]) == len(found.rows)
    planted = next(c for c in document["comparisons"] if c["verdict"] == "regression")
    assert planted["difference"] == pytest.approx(30)
    assert planted["ci_low"] <= planted["difference"] <= planted["ci_high"]
    assert planted["n"] == 24
    lines = to_csv(found).splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == 1 + len(found.rows)
    assert sum(line.endswith(",regression,") for line in lines) == 1


def test_what_changed_is_named_where_it_may_have_moved_a_figure(folder):
    a = filled(folder("a")).write()
    text = edited(REGISTRY, ('layers = [["jpeg"]]', 'layers = [["median"]]'), ("clean = 40", "clean = 80"))
    b = filled(folder("b", text=text), mse=130.0, found=8).write()
    found = compare((a, b))
    assert row_of(found, "defense", "jpeg").causes == ("[defense.jpeg]", "[calibration]")
    assert row_of(found, "detector", "magdr").causes == ("[calibration]",)


def test_a_change_outside_the_registry_is_told_from_the_environment(folder):
    a = filled(folder("a")).write()
    b = filled(folder("b", manifest={"commit": "b" * 40}), mse=130.0).write()
    assert row_of(compare((a, b)), "defense", "jpeg").causes == ("commit: aaaaaaaaaaaa -> bbbbbbbbbbbb",)
    c = filled(folder("c"), mse=130.0).write()
    assert "code, weights or data files" in row_of(compare((a, c)), "defense", "jpeg").causes[0]


def test_a_reader_is_told_squared_errors_of_attacks_in_levels_and_a_program_as_results_csv_has_them(two):
    found = compare(two(disruption=0.05))
    attack = next(row for row in found.rows if row.place.role == "attack" and row.metric == "mse_o")
    assert figure(attack, 0.1) == "1625.6"
    assert signed(attack, attack.difference) == f"{16256.25 * attack.difference:.1f}"
    assert "mse_o of attacks 10% of A, at least 81.3" in rule_lines(found)[1]
    document = json.loads(to_json(found))
    told = next(c for c in document["comparisons"] if c["role"] == "attack" and c["metric"] == "mse_o")
    assert told["a"] == pytest.approx(attack.a)
    assert attack.a < 1, "on [-1,1]"
