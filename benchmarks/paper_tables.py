"""The paper's tables and Figure 3 beside a run's: `python benchmarks/paper_tables.py RUN/results.csv`.

The best of a column is bold, the identity and the oracle aside; the paper's figures stand in the last column.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from tables import Row, figure, table

from magdr_core.report.paper import CW, PGD, TABLE1, TABLE2, TASKS

BEST_F1 = "best-f1"
ASIDE = ("identity", "oracle")


def select(rows: list[Row], **wanted: str) -> list[Row]:
    return [r for r in rows if all(r[k] == v for k, v in wanted.items())]


def names(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(r["component"] for r in rows))


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


def attacked(rows: list[Row]) -> str:
    lines = []
    for task in TASKS:
        own = select(rows, task=task, role="attack")
        own = [r for r in own if "sweep" not in r["variant"]]
        for attack in dict.fromkeys(r["attack"] for r in own):
            found = (
                figure(own, ".4f", attack=attack, metric=m) for m in ("mse_o", "median_mse_o", "success")
            )
            lines.append([task, attack, *found])
    return table(["task", "attack", "output MSE, [-1,1]", "median", "success"], lines)


def detection(rows: list[Row], task: str, attack: str) -> str:
    """A block of Table 1."""
    own = select(rows, task=task, role="detector")
    printed = {name: row for method, row in TABLE1.items() for name in method.components}
    lines = []
    for name in names(own):
        mine = select(own, component=name)
        strict = next(
            (r["variant"] for r in mine if r["metric"] == "fpr_clean" and r["variant"] != BEST_F1), ""
        )

        def at(metric: str, form: str = ".2f", mine: list[Row] = mine) -> str:
            return figure(mine, form, attack=attack, metric=metric, variant=BEST_F1)

        weighted = " ".join(
            at(m).split(" ")[0] for m in ("precision_weighted", "recall_weighted", "f1_weighted")
        )
        paper = "-"
        if name in printed and attack in (CW, PGD):
            paper = " ".join(format(v, ".2f") for v in printed[name][attack][TASKS.index(task)])
        lines.append(
            [
                name,
                at("f1"),
                at("precision").split(" ")[0],
                at("recall").split(" ")[0],
                weighted,
                *(
                    figure(mine, ".3f", attack=attack, metric=m)
                    for m in ("auroc", "auroc_noise", "tpr_at_1fpr")
                ),
                figure(mine, ".3f", attack="none", metric="fpr_clean", variant=strict),
                figure(mine, ".0f", attack=attack, metric="forwards"),
                paper,
            ]
        )
    bold_best(lines, {1: "max", 5: "max", 6: "max", 7: "max"})
    head = ["detector", "F1", "P", "R", "weighted P R F1", "AUROC", "AUROC against noise", "TPR at 1% FPR"]
    return table([*head, "clean FPR, 1% threshold", "passes", "paper P R F1"], lines)


def reconstruction(rows: list[Row], task: str, attack: str) -> str:
    """A block of Table 2: the paper's four measures of inputs and outputs, then ours."""
    own = select(rows, task=task, role="defense")
    printed = {name: row for method, row in TABLE2.items() for name in method.components}
    lines = []
    for name in names(own):
        mine = select(own, component=name)

        def side(i: str, mine: list[Row] = mine) -> str:
            forms = (("l2_table2", ".2f"), ("ssim", ".3f"), ("psnr_pooled", ".1f"), ("fsim", ".3f"))
            parts = (figure(mine, form, attack=attack, metric=f"{m}_{i}") for m, form in forms)
            return " / ".join(p.split(" ")[0] for p in parts)

        difference = [r for r in select(mine, attack=attack) if r["metric"] == "mse_o_difference"]
        p = [r for r in select(mine, attack=attack) if r["metric"] == "mse_o_difference_p"]
        against = "-"
        if difference and name not in ASIDE:
            found, rival = difference[0], difference[0]["variant"]
            against = f"{figure(difference, '.1f', variant=rival)} {rival}, p {float(p[0]['value']):.2g}"
            assert found["variant"] == p[0]["variant"]
        paper = "-"
        if name in printed:
            values = printed[name]
            paper = "; ".join(
                f"{m:.2f} / {s:.2f} / {d:.2f} / {f:.2f}" for m, s, d, f in (values[0], values[1])
            )
        lines.append(
            [
                name,
                figure(mine, ".1f", attack=attack, metric="mse_o"),
                figure(mine, ".1f", attack=attack, metric="median_mse_o").split(" ")[0],
                figure(mine, ".1f", attack=attack, metric="mse_o", variant="ensemble").split(" ")[0],
                figure(mine, ".1f", attack="none", metric="mse_o").split(" ")[0],
                against,
                side("i"),
                side("o"),
                figure(mine, ".0f", attack=attack, metric="forwards"),
                paper,
            ]
        )
    bold_best(lines, {1: "min", 2: "min", 3: "min"})
    head = ["defense", "MSE (O)", "median", "ensemble", "on clean", "difference to the best baseline"]
    law = '"MSE" / SSIM / PSNR / FSIM'
    return table([*head, f"(I) {law}", f"(O) {law}", "passes", "paper (I); (O)"], lines)


def figure3(rows: list[Row], task: str, attack: str) -> str:
    """F1 after so many steps of one run."""
    own = select(rows, task=task, attack=attack, role="detector", metric="f1")
    own = [r for r in own if r["variant"].startswith(f"{BEST_F1}, sweep")]
    steps = sorted({int(r["steps"]) for r in own})
    lines = []
    for name in names(own):
        mine = select(own, component=name)
        lines.append(
            [
                name,
                *(
                    next((f"{float(r['value']):.2f}" for r in mine if int(r["steps"]) == n), "-")
                    for n in steps
                ),
            ]
        )
    return table(["detector, F1 after", *(f"{n} steps" for n in steps)], lines)


def main(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    print(f"n = {min(int(r['n']) for r in rows)} a task and seed; 95% intervals in brackets\n")
    print(f"## What the attacks do undefended\n\n{attacked(rows)}\n")
    sweeps = {r["attack"] for r in rows if "sweep" in r["variant"]}
    for task in [t for t in TASKS if select(rows, task=t)]:
        attacks = list(dict.fromkeys(r["attack"] for r in select(rows, task=task, role="attack")))
        attacks = [a for a in attacks if a not in sweeps]
        for attack in attacks:
            if attack != "noise" and select(rows, task=task, attack=attack, role="detector"):
                print(f"## Table 1, {task}, {attack}\n\n{detection(rows, task, attack)}\n")
        for attack in attacks:
            if select(rows, task=task, attack=attack, role="defense"):
                print(f"## Table 2, {task}, {attack}\n\n{reconstruction(rows, task, attack)}\n")
        for attack in sorted(sweeps):
            if select(rows, task=task, attack=attack, role="detector"):
                print(f"## Figure 3, {task}, {attack}\n\n{figure3(rows, task, attack)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
