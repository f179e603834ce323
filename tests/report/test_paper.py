"""Ours beside the paper's: which row is which, whose figures stand where, and Table 2's own scale."""

from __future__ import annotations

import math

import pytest

from magdr_core.report import paper
from tests.report.conftest import TASKS, everything
from tests.report.page import page_in, page_of


def caption(task):
    return f"Detection beside the paper's Table 1, {task}: best-F1 threshold"


def test_report_magdr_f1_of_table_1_is_the_papers(finished):
    page = page_in(finished.folder)
    quoted = {"replacement": ("0.98", "0.97"), "editing": ("0.96", "1.00"), "reenactment": ("0.92", "0.95")}
    for task, (cw, pgd) in quoted.items():
        for attack, f1 in (("C&W", cw), ("PGD", pgd)):
            row = page.block(caption(task), attack)[-1]
            assert row[0] == "MagDR here: magdr"
            assert row[1][5] == f1


def test_report_puts_the_csvs_figures_beside_the_papers(finished):
    rows = [r for r in finished.rows if r["task"] == "editing" and r["component"] == "nnif"]
    rows = [r for r in rows if r["attack"] == "cw" and r["variant"] == "best-f1"]
    ours = {r["metric"]: f"{r['value']:.2f}" for r in rows}
    row = next(
        r for r in page_in(finished.folder).block(caption("editing"), "C&W") if r[0].startswith("Cohen")
    )
    shown = [cell.split()[0] for cell in row[1]]
    assert shown[:6] == [ours["precision"], "0.83", ours["recall"], "0.85", ours["f1"], "0.84"]
    assert shown[6] == ours["f1_weighted"]
    assert row[1][7] == "disrupted class"


def test_report_hides_rows_that_are_not_in_the_run_and_counts_them(finished):
    page = page_in(finished.folder)
    names = [r[0] for r in page.block(caption("editing"), "PGD")]
    assert len(names) == 6
    assert not any("SafetyNet" in name for name in names)
    assert "2 of the paper's 8 methods are not in this run." in page.text


def test_report_hides_attacks_that_are_not_in_the_run(whole):
    blocks = [name for name, cells, _ in page_of(whole).tables[caption("editing")] if not cells]
    assert [name.split()[0] for name in blocks] == ["PGD"]


def test_report_does_not_compare_a_task_that_the_paper_lacks(tmp_path):
    page = page_of(everything(tmp_path / "run", ["ageing"], n=8))
    assert caption("ageing") not in page.tables
    assert "Detection in full, ageing" in page.tables


def test_report_knows_a_method_by_what_it_uses(complete):
    complete.manifest["registry_text"] += '[detector.second]\nuse = "nnif"\n'
    for entry in [*complete.rows, *(c["facts"] for c in complete.cells)]:
        entry["component"] = entry["component"].replace("nnif", "second")
    rows = [r[0] for r in page_of(complete).block(caption("editing"), "PGD")]
    assert "Cohen et al. (NNIF) here: second" in rows


def test_report_table_2_is_on_the_papers_scale(finished):
    page = page_in(finished.folder)
    rows = page.block("Restoration beside the paper's Table 2, editing", "(O)")
    jpeg = next(r for r in rows if r[0].startswith("Dziugaite"))
    wanted = [r for r in finished.rows if (r["task"], r["attack"]) == ("editing", "pgd")]
    error = next(r for r in wanted if (r["component"], r["metric"], r["variant"]) == ("jpeg", "mse_o", ""))
    assert jpeg[1][0].split()[0] == f"{4.433 * math.sqrt(error['value']):.2f}"
    assert [jpeg[1][i] for i in (1, 3, 5, 7)] == ["35.25", "0.82", "30.12", "0.71"]
    assert rows[0][0] == "identity undefended"
    assert rows[-1][0].startswith("oracle (not a defense)")
    assert rows[-1][1][1] == "\N{EN DASH}"


def test_report_prefers_the_csvs_own_table_2_figure(complete):
    row = {**next(r for r in complete.rows if r["component"] == "jpeg" and r["metric"] == "mse_o")}
    row |= {"task": "editing", "attack": "pgd", "eps": 6 / 255, "steps": 30, "metric": "l2_table2_o"}
    complete.rows.append({**row, "value": 12.345, "ci_low": math.nan, "ci_high": math.nan})
    rows = page_of(complete).block("Restoration beside the paper's Table 2, editing", "(O)")
    assert next(r for r in rows if r[0].startswith("Dziugaite"))[1][0].split()[0] == "12.35"


def test_printed_table_2_obeys_its_law():
    """PSNR + 20 log10("MSE") is 61.06, 58.96 for the auto-encoders; one cell of Mustafa is off."""
    for method, sides in paper.TABLE2.items():
        for side, (error, _, psnr, _) in zip("io", sides, strict=True):
            law = psnr + 20 * math.log10(error)
            wanted = 58.96 if "magnet" in method.components or "me-net" in method.components else 61.06
            wanted = 62.42 if "mustafa" in method.components and side == "i" else wanted
            assert law == pytest.approx(wanted, abs=0.015)


def test_printed_table_1_f1_agrees_with_its_convention():
    """Of one class F1 is the harmonic mean of precision and recall; averaged over classes it is less."""
    for method, attacks in paper.TABLE1.items():
        for rows in attacks.values():
            assert len(rows) == len(TASKS)
            for precision, recall, f1 in rows:
                harmonic = 2 * precision * recall / (precision + recall)
                if method.convention == "disrupted class":
                    assert f1 == pytest.approx(harmonic, abs=0.011)
                else:
                    assert f1 <= harmonic + 0.011
