"""Prints the Markdown tables of a run: `python benchmarks/tables.py RUN/results.csv`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from magdr_core.results.frame import FigureTable
from magdr_core.results.variant import BEST_F1, ENSEMBLE


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def images(rows: FigureTable) -> int:
    """How many images a task's figures are of: of all those, not only those on which an attack succeeds."""
    return min(row["n"] for row in rows.rows if not row["metric"].endswith("_successful"))


def defenses(rows: FigureTable, attacks: list[str]) -> str:
    """Output MSE (0 to 255 squared); under each attack also the median and the ensemble."""
    rows = rows.where(role="defense")
    names = rows.names("component")
    names.sort(key=lambda n: (n not in ("identity", "magdr"), n))
    lines = []
    for name in names:
        own = rows.where(component=name)
        line = [name, own.text(".0f", attack="none", metric="mse_o")]
        for attack in attacks:
            mean = own.text(".0f", attack=attack, metric="mse_o")
            median = own.number(".0f", attack=attack, metric="median_mse_o")
            together = own.number(".0f", ENSEMBLE, attack=attack, metric="mse_o")
            line.append(f"{mean} / {median} / {together}")
        costly = next((a for a in attacks if a != "noise"), attacks[0])
        line.append(own.text(".0f", attack=costly, metric="forwards"))
        lines.append(line)
    return table(["defense", "clean", *attacks, "passes"], lines)


def fidelity(rows: FigureTable, attacks: list[str]) -> str:
    """SSIM and PSNR of outputs, without and with the ensemble."""
    rows = rows.where(role="defense")
    lines = []
    for name in rows.names("component"):
        own = rows.where(component=name)
        line = [name]
        for attack in attacks:
            parts = [
                own.number(form, variant, attack=attack, metric=metric)
                for variant in ("", ENSEMBLE)
                for metric, form in (("ssim_o", ".3f"), ("psnr_o", ".1f"))
            ]
            line.append(" / ".join(parts))
        lines.append(line)
    return table(["SSIM / PSNR, the same with the ensemble", *attacks], lines)


def closed(rows: FigureTable, attacks: list[str]) -> str:
    """The share of the gap in output MSE between undefended and oracle that a defense closes."""
    rows = rows.where(role="defense", metric="mse_o", variant="")
    error = {(r["component"], r["attack"]): r["value"] for r in rows.rows}
    lines = []
    for name in rows.names("component"):
        shares = []
        for attack in attacks:
            worst, best = error["identity", attack], error["oracle", attack]
            shares.append(format((worst - error[name, attack]) / (worst - best), ".3f"))
        lines.append([name, *shares])
    return table(["share of the gap closed", *attacks], lines)


def differences(rows: FigureTable, attacks: list[str]) -> str:
    lines = []
    for row in rows.where(metric="mse_o_difference", attack=tuple(attacks)).rows:
        if row["component"].startswith("magdr"):
            shown = FigureTable([row]).text(".0f", row["variant"])
            lines.append([row["component"], row["attack"], row["variant"], shown])
    return table(["defense", "attack", "best baseline there", "difference of MSE (O)"], lines)


def detectors(rows: FigureTable, attacks: list[str]) -> str:
    rows = rows.where(role="detector")
    lines = []
    for name in rows.names("component"):
        own = rows.where(component=name)
        for attack in attacks:
            lines.append(
                [
                    name,
                    attack,
                    own.text(".2f", BEST_F1, attack=attack, metric="f1"),
                    *(
                        own.text(".3f", attack=attack, metric=m)
                        for m in ("auroc", "auroc_noise", "tpr_at_1fpr", "tpr_at_5fpr")
                    ),
                    own.text(".3f", own.strict, attack="none", metric="fpr_clean"),
                ]
            )
    head = ["detector", "attack", "F1", "AUROC", "AUROC against noise", "TPR at 1% FPR", "TPR at 5% FPR"]
    return table([*head, "clean FPR at the 1% threshold"], lines)


def attacked(rows: FigureTable) -> str:
    rows = rows.where(role="attack")
    lines = [
        [name, *(rows.text(".3f", attack=name, metric=m) for m in ("mse_o", "median_mse_o", "success"))]
        for name in rows.names("attack")
    ]
    return table(["attack", "output MSE, [-1,1]", "median", "success"], lines)


def benign(rows: FigureTable) -> str:
    rows = rows.where(metric="fpr_benign")
    edits = rows.names("variant")
    lines = [
        [name, *(rows.text(".2f", edit, component=name) for edit in edits)]
        for name in rows.names("component")
    ]
    return table(["false alarms on", *edits], lines)


def main(path: Path) -> None:
    rows = FigureTable.read(path)
    attacks = rows.where(role="attack").names("attack")
    print(f"n = {images(rows)}\n")
    for part in (
        attacked(rows),
        defenses(rows, attacks),
        closed(rows, attacks),
        fidelity(rows, attacks),
        differences(rows, attacks),
        detectors(rows, attacks),
    ):
        print(part + "\n")
    print(benign(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
