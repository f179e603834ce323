"""The paper's tables and Figure 3 beside a run's: `python benchmarks/paper_tables.py RUN/results.csv`.

The best of a column is bold, the identity and the oracle aside; the paper's figures stand in the last column.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tables import images, table

from magdr_core.report.paper import CW, PGD, TABLE1, TABLE2, TASKS
from magdr_core.results.frame import MISSING, NONE, FigureTable, variant_of
from magdr_core.results.variant import BEST_F1, ENSEMBLE

ASIDE = ("identity", "oracle")

INSIDE, TO_AIM = "inside the target", "to the attack's target"
SUCCESSFUL, F1_SUCCESSFUL = "where the attack succeeded", "F1 where the attack succeeded"
EQUAL_ENERGY = "against noise of equal energy"
LATER = (INSIDE, TO_AIM, SUCCESSFUL, F1_SUCCESSFUL, EQUAL_ENERGY)
"""Columns that runs of earlier versions have no figures for."""

RANKED = ("auroc", "auroc_noise", "auroc_noise_l2", "tpr_at_1fpr")

ATTACKED = ("mse_o", "median_mse_o", "mse_o_target", "mse_aim", "success")


def bold_best(lines: list[list[str]], best: dict[int, str]) -> None:
    """Mark the best of each column in `best` (`max` or `min`), ties included."""
    for column, wanted in best.items():
        values = [
            float(line[column].split(" ")[0]) if line[column] != "-" and line[0] not in ASIDE else None
            for line in lines
        ]
        known = [v for v in values if v is not None]
        if not known:
            continue
        target = max(known) if wanted == "max" else min(known)
        for line, value in zip(lines, values, strict=True):
            if value == target:
                line[column] = f"**{line[column]}**"


def attacked(rows: FigureTable) -> str:
    lines = []
    for task in TASKS:
        own = rows.where(task=task, role="attack").without_sweeps()
        for attack in own.names("attack"):
            found = (own.text(".4f", attack=attack, metric=m) for m in ATTACKED)
            lines.append([task, attack, *found])
    head = ["output MSE, [-1,1]", "median", INSIDE, TO_AIM, "success"]
    return known(["task", "attack", *head], lines)


def known(head: list[str], lines: list[list[str]]) -> str:
    """A table without those of the later columns that the run has no figures for."""
    kept = [
        i for i, name in enumerate(head) if name not in LATER or any(line[i] != MISSING for line in lines)
    ]
    return table([head[i] for i in kept], [[line[i] for i in kept] for line in lines])


def with_count(rows: FigureTable, form: str, variant: str = "") -> str:
    """A figure that is of fewer images than the other columns, with how many they are."""
    found = rows.first(variant)
    return rows.text(form, variant) if found is None else f"{found.text(form)} (n = {found.n})"


def detection(rows: FigureTable, task: str, attack: str) -> str:
    """A block of Table 1."""
    own = rows.where(task=task, role="detector")
    printed = {name: row for method, row in TABLE1.items() for name in method.components}
    lines = []
    for name in own.names("component"):
        mine = own.where(component=name)

        def at(metric: str, mine: FigureTable = mine) -> str:
            return mine.number(".2f", BEST_F1, attack=attack, metric=metric)

        weighted = " ".join(at(m) for m in ("precision_weighted", "recall_weighted", "f1_weighted"))
        paper = "-"
        if name in printed and attack in (CW, PGD):
            paper = " ".join(format(v, ".2f") for v in printed[name][attack][TASKS.index(task)])
        lines.append(
            [
                name,
                mine.text(".2f", BEST_F1, attack=attack, metric="f1"),
                with_count(mine.where(attack=attack, metric="f1_successful"), ".2f", BEST_F1),
                at("precision"),
                at("recall"),
                weighted,
                *(mine.text(".3f", attack=attack, metric=m) for m in RANKED),
                mine.text(".3f", mine.strict, attack=NONE, metric="fpr_clean"),
                mine.text(".0f", attack=attack, metric="forwards"),
                paper,
            ]
        )
    bold_best(lines, {1: "max", 2: "max", 6: "max", 7: "max", 8: "max", 9: "max"})
    head = ["detector", "F1", F1_SUCCESSFUL, "P", "R", "weighted P R F1", "AUROC"]
    head += ["AUROC against noise", EQUAL_ENERGY, "TPR at 1% FPR"]
    return known([*head, "clean FPR, 1% threshold", "passes", "paper P R F1"], lines)


def reconstruction(rows: FigureTable, task: str, attack: str) -> str:
    """A block of Table 2: the paper's four measures of inputs and outputs, then ours."""
    own = rows.where(task=task, role="defense")
    printed = {name: row for method, row in TABLE2.items() for name in method.components}
    lines = []
    for name in own.names("component"):
        mine = own.where(component=name)

        def side(i: str, mine: FigureTable = mine) -> str:
            forms = (("l2_table2", ".2f"), ("ssim", ".3f"), ("psnr_pooled", ".1f"), ("fsim", ".3f"))
            return " / ".join(mine.number(form, attack=attack, metric=f"{m}_{i}") for m, form in forms)

        difference = mine.where(attack=attack, metric="mse_o_difference")
        p = mine.where(attack=attack, metric="mse_o_difference_p")
        against = "-"
        if difference.rows and name not in ASIDE:
            rival = difference.rows[0]["variant"]
            against = f"{difference.text('.1f', rival)} {rival}, p {p.number('.2g', rival)}"
        paper = "-"
        if name in printed:
            values = printed[name]
            paper = "; ".join(
                f"{m:.2f} / {s:.2f} / {d:.2f} / {f:.2f}" for m, s, d, f in (values[0], values[1])
            )
        lines.append(
            [
                name,
                mine.text(".1f", attack=attack, metric="mse_o"),
                mine.number(".1f", attack=attack, metric="median_mse_o"),
                mine.text(".1f", attack=attack, metric="mse_o_target"),
                with_count(mine.where(attack=attack, metric="mse_o_successful"), ".1f"),
                mine.number(".1f", ENSEMBLE, attack=attack, metric="mse_o"),
                mine.number(".1f", attack=NONE, metric="mse_o"),
                against,
                side("i"),
                side("o"),
                mine.text(".0f", attack=attack, metric="forwards"),
                paper,
            ]
        )
    bold_best(lines, {1: "min", 2: "min", 3: "min", 4: "min", 5: "min"})
    head = ["defense", "MSE (O)", "median", INSIDE, SUCCESSFUL, "ensemble"]
    head += ["on clean", "difference to the best baseline"]
    law = '"MSE" / SSIM / PSNR / FSIM'
    return known([*head, f"(I) {law}", f"(O) {law}", "passes", "paper (I); (O)"], lines)


def figure3(rows: FigureTable, task: str, attack: str) -> str:
    """F1 after so many steps of one run."""
    curves = [c for own in rows.where(attack=attack).sweeps(task).values() for c in own]
    steps = sorted({number for curve in curves for number, _ in curve.points})
    lines = []
    for curve in curves:
        found = dict(curve.points)
        lines.append([curve.component, *(f"{found[n].value:.2f}" if n in found else "-" for n in steps)])
    return table(["detector, F1 after", *(f"{n} steps" for n in steps)], lines)


def main(path: Path) -> None:
    rows = FigureTable.read(path)
    free = rows.where(metric="f1_of_all").number(".3f")
    print(f"n = {images(rows)} a task and seed; 95% intervals in brackets; F1 of flagging all: {free}\n")
    print(f"## What the attacks do undefended\n\n{attacked(rows)}\n")
    sweeps = {r["attack"] for r in rows.rows if variant_of(r).steps is not None}
    for task in [t for t in TASKS if rows.where(task=t).rows]:
        own = rows.where(task=task)
        attacks = [a for a in own.where(role="attack").names("attack") if a not in sweeps]
        for attack in attacks:
            if attack != "noise" and own.where(attack=attack, role="detector").rows:
                print(f"## Table 1, {task}, {attack}\n\n{detection(rows, task, attack)}\n")
        for attack in attacks:
            if own.where(attack=attack, role="defense").rows:
                print(f"## Table 2, {task}, {attack}\n\n{reconstruction(rows, task, attack)}\n")
        for attack in sorted(sweeps):
            if own.where(attack=attack, role="detector").rows:
                print(f"## Figure 3, {task}, {attack}\n\n{figure3(rows, task, attack)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
