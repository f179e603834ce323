"""The report's part about attacks that know the pipeline."""

import json

import pytest

from magdr_core.report import write_report
from tests.report.page import Page

MODES = {
    "": (0.25, 0.004, 0.003, 0.1),
    "oblivious": (1.0, 0.08, 0.0, 0.0),
    "penalty=0.1 via autograd": (0.9, 0.07, 0.007, 0.05),
    "penalty=10 via autograd": (0.1, 0.002, 0.0018, 0.0),
    "penalty=2 via autograd": (0.4, 0.02, 0.012, 0.1),
}


def adaptive_rows(run):
    for name in ("magdr", "plain"):
        metrics = {"f1@best-f1": 0.31, "kept_at_95_evasion": 0.123, "kept_targeted": 0.456}
        for mode, (caught, error, undetected, success) in MODES.items():
            point = f"fpr1, {mode}" if mode else "fpr1"
            metrics[f"recall@{point}"] = caught
            metrics[f"mse_o@{mode}"] = error
            metrics[f"mse_o_undetected@{mode}"] = undetected
            metrics[f"success_undetected@{mode}"] = success
        knowing(run, "detector", name, metrics)
    for name, error in (("identity", 700.0), ("magdr", 432.1), ("jpeg", 600.0)):
        metrics = {"mse_o": error, "median_mse_o": error - 5, "ssim_o": 0.5, "mse_o@frozen": error - 50}
        metrics |= {"kept": error / 1000, "kept_targeted": 0.789}
        knowing(run, "defense", name, metrics)
    return run


def knowing(run, role, name, metrics):
    before = len(run.rows)
    run.cell(role, name, "pgd", metrics, steps=50)
    for row in run.rows[before:]:
        row["knowledge"] = "adaptive"
    run.cells[-1]["facts"] |= {"knowledge": "adaptive", "slice_role": "adaptive"}


@pytest.fixture
def page(whole):
    return Page(write_report(adaptive_rows(whole).write()).read_text(encoding="utf-8"))


def row(table, label):
    return next(cells for name, cells, _ in table if name.startswith(label) and cells)


def test_the_detectors_table_has_oblivious_beside_adaptive(page):
    cells = row(page.tables["Adaptive attacks on detectors, editing"], "magdr")
    told = [c.split()[0] for c in cells]
    assert told == ["0.967", "0.310", "86.7%", "25.0%", "1,300.5", "48.8", "10.0%", "12.3%", "45.6%"]


def test_the_defenses_table_has_oblivious_beside_adaptive(page):
    cells = row(page.tables["Adaptive attacks on defenses, editing"], "magdr")
    assert [c.split()[0] for c in cells] == ["54.0", "432.1", "427.1", "0.500", "43.2%", "78.9%"]


def test_every_mode_is_shown_beside_the_best_per_image(page):
    table = page.tables["Adaptive attacks mode by mode, editing: defenses"]
    labels = [name for name, cells, _ in table if cells]
    assert labels.count("frozen") == labels.count("best per image") == 3


def test_the_curve_goes_from_the_oblivious_attack_along_growing_penalties(page):
    text = page.text
    told = text[text.index("Detection against disruption, editing") :]
    order = [told.index(words) for words in ("oblivious output", "penalty 0.1", "penalty 2", "penalty 10")]
    assert order == sorted(order)
    assert "best of all modes, undetected, output MSE 48.8, 25.0% detected" in told


def test_the_disruption_kept_at_95_percent_evasion_stands_with_every_detector(page):
    table = page.tables["Adaptive attacks on detectors, editing"]
    kept = [[c.split()[0] for c in cells[-2:]] for _, cells, _ in table if cells]
    assert kept == [["Kept", "Kept"], ["12.3%", "45.6%"], ["12.3%", "45.6%"]], "the head, then each one's"


def test_the_suite_that_attacked_is_named(whole):
    run = adaptive_rows(whole).write()
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"adaptive_suite": "0123abcd"}))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "Attack suite 0123abcd: runs with the same name" in " ".join(page.text.split())


def test_a_run_with_adaptive_figures_is_not_oblivious_only(page):
    assert "oblivious-only" not in page.text


def test_a_run_without_them_has_no_such_part(whole):
    page = Page(write_report(whole.write()).read_text(encoding="utf-8"))
    assert not [name for name in page.tables if "Adaptive" in name]


# -- the summary -------------------------------------------------------------------------------------------


def summary(run):
    page = Page(write_report(run.write()).read_text(encoding="utf-8"))
    return page


def test_the_summary_leads_with_the_attacks_that_know_the_defense(page):
    text = page.text
    knowing = text.index("Restoration under attacks that know it.")
    assert text.index("Detection under attacks that know it.") < knowing < text.index("Disruption.")
    first = text[knowing : text.index("Disruption.")]
    assert "The worst of all attacks is pgd, adaptive (eps 6/255, 50 steps)." in first
    assert "lowers the output error from 700.0 to 432.1" in first
    assert "The best baseline, jpeg, leaves 600.0" in first


def test_the_detection_that_is_told_first_is_of_the_adaptive_attack(page):
    text = page.text
    told = text[text.index("Detection under attacks that know it.") :]
    assert "flags 25.0% of these images" in told[: told.index("Restoration")]


def test_the_key_figures_have_the_adaptive_attack_first(page):
    found = page.tables["Key figures, under each task's worst attacks"]
    rows = [(name, [c.split()[0] for c in cells]) for name, cells, _ in found[1:]]
    assert [name for name, _ in rows] == [
        "editing under pgd, adaptive, eps 6/255, 50 steps",
        "editing under pgd, eps 6/255, 30 steps",
    ]
    assert [cells[4] for _, cells in rows] == ["432.1", "54.0"]
    assert [cells[5] for _, cells in rows] == ["600.0", "80.1"]


def test_the_worst_attack_is_that_of_what_is_left_and_not_of_what_is_disrupted(whole):
    whole.settings["attacks"] = ["pgd", "cw", "noise"]
    whole.cell("attack", "cw", "cw", {"mse_o": 0.05, "success": 0.4})
    for name, error in {"identity": 300.0, "magdr": 250.0, "jpeg": 260.0}.items():
        whole.cell("defense", name, "cw", {"mse_o": (error, error - 5, error + 5)})
    text = summary(whole).text
    assert "The worst of all attacks is cw (eps 6/255, 30 steps)." in text
    assert "The strongest disruption by an attack that knows no defense, pgd (eps 6/255, 30 steps)," in text


def test_an_adaptive_attack_that_is_not_the_worst_comes_first_and_is_not_called_so(whole):
    adaptive_rows(whole)
    for row in whole.rows:
        if (row["knowledge"], row["component"], row["metric"]) == ("adaptive", "magdr", "mse_o"):
            row["value"] = 20.0
    text = summary(whole).text
    first = text[text.index("Restoration under attacks that know it.") :]
    assert "The worst of these attacks is pgd, adaptive (eps 6/255, 50 steps)." in first
    assert "lowers the output error from 700.0 to 20.0" in first


def test_a_run_without_adaptive_rows_says_so_once(whole):
    assert summary(whole).text.count("oblivious-only. The attacks of this run do not know the defense") == 1
