"""The first screen: a verdict in words that follows the figures, a picture by rule, each warning once."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from magdr_core.report import write_report
from magdr_core.report.formatting import in_words
from magdr_core.results.frame import FigureValue
from tests.report.conftest import full, output_error
from tests.report.page import Page, page_of, text_in
from tests.report.test_adaptive_report import adaptive_rows, knowing


def verdict(run):
    text = write_report(run.write()).read_text(encoding="utf-8")
    return re.search(r'<h2 id="summary" class="verdict">([^<]*)</h2>', text)[1]


def card(run, task="editing"):
    """What is measured, under attacks that know the method and under others."""
    return {name: cells for name, cells, _ in page_of(run).tables[f"Headline figures, {task}"]}


@pytest.mark.parametrize(
    ("left", "found", "said"),
    [
        pytest.param(54.0, 0.9, "works", id="most is found and undone"),
        pytest.param(300.0, 0.9, "works in part", id="half of the error is left"),
        pytest.param(600.0, 0.9, "hardly works", id="most of the error is left"),
        pytest.param(54.0, 0.3, "hardly works", id="most attacks are missed"),
    ],
)
def test_verdict_follows_the_worst_of_what_is_found_and_undone(whole, left, found, said):
    for row in whole.rows:
        if (row["attack"], row["component"]) == ("pgd", "magdr"):
            values = {("mse_o", ""): left, ("recall", "fpr1"): found}
            row["value"] = values.get((row["metric"], row["variant"]), row["value"])
    assert verdict(whole) == (
        f"MagDR {said} against attacks that do not know it; no attack that does was run."
    )


def test_verdict_of_the_worst_task_is_the_verdict(whole):
    whole.settings["generators"] = ["editing", "reenactment"]
    whole.task = "reenactment"
    full(whole)
    for row in whole.rows:
        if (row["task"], row["attack"], row["component"], row["metric"]) == (
            "reenactment",
            "pgd",
            "magdr",
            "mse_o",
        ):
            row["value"] = 600.0
    assert verdict(whole).startswith("MagDR hardly works")
    text = " ".join(page_of(whole).text.split())
    assert "it finds 87% of the attacked images (and 1% of clean ones)" in text
    assert "undoes 7% to 92% of the output error, least in reenactment." in text


def test_verdict_speaks_of_attacks_that_know_it_where_they_were_run(whole):
    assert verdict(adaptive_rows(whole)) == (
        "MagDR works against attacks that do not know it, but hardly works against attacks that do."
    )
    lines = card(whole)
    assert lines["Attacked images found"] == ["25.0%", "86.7%"]
    assert [cell.split()[0] for cell in lines["Output error undone"]] == ["38%", "92%"]


def test_verdict_of_few_images_is_no_more_than_how_it_seems(whole):
    for row in whole.rows:
        row["n"] = 8
    assert verdict(whole).startswith("MagDR seems to work against")


def test_verdict_needs_figures_of_the_method(fake):
    run = fake(settings={"attacks": ["pgd"], "defenses": ["jpeg"]})
    run.cell("defense", "identity", "pgd", output_error(500.0)).cell(
        "defense", "jpeg", "pgd", output_error(90.0)
    )
    assert verdict(run) == "Summary"
    assert "This run sets no detectors and 1 defense against 1 attack" in page_of(run).text


def test_a_card_says_what_was_not_tested(whole):
    lines = card(whole)
    assert lines["Attacked images found"][0] == lines["Output error undone"][0] == "not tested"
    assert lines["Output error undone"][1] == "92% MSE 644 to 54 [44 to 64]"
    assert lines["Clean images flagged"] == ["1.2%"]


@pytest.mark.parametrize(
    ("value", "low", "high", "n", "said"),
    [
        pytest.param(0.0, 0.0, 0.369, 8, "0 of 8, up to 37%", id="none"),
        pytest.param(1.0, 0.631, 1.0, 8, "8 of 8, at least 63%", id="all"),
        pytest.param(0.25, 0.03, 0.65, 8, "2 of 8, 3% to 65%", id="some"),
        pytest.param(0.0, 0.0, 0.014, 256, "", id="many images"),
        pytest.param(0.3, 0.1, 0.5, 8, "", id="no whole number of images"),
    ],
)
def test_shares_of_few_images_say_what_they_are_of(value, low, high, n, said):
    assert in_words(FigureValue(value, low, high, n)) == said


def test_shares_of_few_images_are_told_in_tables_too(whole):
    for row in whole.rows:
        row["n"] = 8
        if row["metric"] == "fpr_clean":
            row |= {"value": 0.0, "ci_low": 0.0, "ci_high": 0.369}
    _, magdr, _ = page_of(whole).tables["Detection under pgd, editing"]
    assert magdr[1][1] == "0% 0 of 8, up to 37%"


def test_the_picture_is_of_the_middle_error_and_not_of_the_best(complete):
    text = write_report(complete.write()).read_text(encoding="utf-8")
    attack = "pgd"  # the worse one for the defense
    errors = next(
        c["mse_o"]
        for c in complete.cells
        if [c["facts"][k] for k in ("task", "attack", "component")] == ["editing", attack, "magdr"]
        and "mse_o" in c
    )
    kept = list(errors)[:2]
    index = 0 if errors[kept[0]] <= errors[kept[1]] else 1
    src = re.search(r'src="([^"]+)" alt="editing, restored: the generator\'s output"', text)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(src.partition(",")[2]))))
    stored = complete.pictures[("editing", attack, "magdr", "output")][index]
    assert (pixels[..., :3] == (stored * 255).round().byte().permute(1, 2, 0).numpy()).all()
    assert f"output MSE {errors[kept[index]]:,.0f}" in Page(text).text


def test_each_warning_is_explained_once(whole):
    for row in whole.rows:
        row["n"] = 8
        if row["metric"] == "f1":
            row["ci_low"] = 0.5
    whole.settings["note"] = "a note"
    text = " ".join(page_of(whole).text.split())
    for said in (
        "oblivious-only. The attacks of this run",
        "Demonstration size.",
        "F1 that may be no merit.",
    ):
        assert text.count(said) == 1, said
    assert "editing, magdr: pgd 0.967 [0.500 to 0.980]" in text
    assert "editing, plain: pgd 0.812 [0.500 to 0.980]" in text


def test_no_column_has_figures_of_two_thresholds(whole):
    write_report(whole.write())
    head = text_in(whole.folder).split("Detection under pgd, editing")[1].split("</thead>")[0]
    groups = re.findall(r'colspan="(\d+)"><span>([^<]+)</span>', head)
    assert groups == [
        ("2", "threshold for 1% false alarms"),
        ("1", "best-F1 threshold"),
        ("2", "any threshold"),
    ]


def test_all_squared_errors_of_the_page_have_one_unit(whole):
    adaptive_rows(whole)
    page = page_of(whole)
    row = next(r for r in page.tables["Attacks, editing, no defense"] if r[0] == "pgd")
    assert row[1][2].startswith("2,007.")
    assert "[-1,1] units" not in page.text


def test_defenses_behind_attacks_that_know_them_count_the_worst(whole):
    knowing(adaptive_rows(whole), "defense", "magdr", {"mse_o@frozen": 900.0})
    assert card(whole)["Output error undone"][0].startswith("38%"), (
        "a mode alone is not the best of all modes"
    )
