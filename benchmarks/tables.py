"""Prints the Markdown tables of a run: `python benchmarks/tables.py RUN/results.csv`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str]


def figure(rows: Iterable[Row], form: str, **wanted: str) -> str:
    """`value [low, high]` of the one row that matches, or a dash."""
    wanted = {"variant": "", **wanted}
    for row in rows:
        if all(row[k] == v for k, v in wanted.items()):
            value = format(float(row["value"]), form)
            if not row["ci_low"]:
                return value
            return f"{value} [{float(row['ci_low']):{form}}, {float(row['ci_high']):{form}}]"
    return "-"


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def defenses(rows: list[Row], attacks: list[str]) -> str:
    """Output MSE (0 to 255 squared); under each attack also the median and the ensemble."""
    rows = [r for r in rows if r["role"] == "defense"]
    names = list(dict.fromkeys(r["component"] for r in rows))
    names.sort(key=lambda n: (n not in ("identity", "magdr"), n))
    lines = []
    for name in names:
        own = [r for r in rows if r["component"] == name]
        line = [name, figure(own, ".0f", attack="none", metric="mse_o")]
        for attack in attacks:
            mean = figure(own, ".0f", attack=attack, metric="mse_o")
            median = figure(own, ".0f", attack=attack, metric="median_mse_o").split(" ")[0]
            together = figure(own, ".0f", attack=attack, metric="mse_o", variant="ensemble").split(" ")[0]
            line.append(f"{mean} / {median} / {together}")
        costly = next((a for a in attacks if a != "noise"), attacks[0])
        line.append(figure(own, ".0f", attack=costly, metric="forwards"))
        lines.append(line)
    return table(["defense", "clean", *attacks, "passes"], lines)


def fidelity(rows: list[Row], attacks: list[str]) -> str:
    """SSIM and PSNR of outputs, without and with the ensemble."""
    rows = [r for r in rows if r["role"] == "defense"]
    lines = []
    for name in dict.fromkeys(r["component"] for r in rows):
        own = [r for r in rows if r["component"] == name]
        line = [name]
        for attack in attacks:
            parts = [
                figure(own, form, attack=attack, metric=metric, variant=variant).split(" ")[0]
                for variant in ("", "ensemble")
                for metric, form in (("ssim_o", ".3f"), ("psnr_o", ".1f"))
            ]
            line.append(" / ".join(parts))
        lines.append(line)
    return table(["SSIM / PSNR, the same with the ensemble", *attacks], lines)


def closed(rows: list[Row], attacks: list[str]) -> str:
    """The share of the gap in output MSE between undefended and oracle that a defense closes."""
    rows = [r for r in rows if r["role"] == "defense" and r["metric"] == "mse_o" and not r["variant"]]
    error = {(r["component"], r["attack"]): float(r["value"]) for r in rows}
    lines = []
    for name in dict.fromkeys(r["component"] for r in rows):
        shares = []
        for attack in attacks:
            worst, best = error["identity", attack], error["oracle", attack]
            shares.append(format((worst - error[name, attack]) / (worst - best), ".3f"))
        lines.append([name, *shares])
    return table(["share of the gap closed", *attacks], lines)


def differences(rows: list[Row], attacks: list[str]) -> str:
    rows = [r for r in rows if r["metric"] == "mse_o_difference" and r["component"].startswith("magdr")]
    lines = []
    for row in rows:
        if row["attack"] in attacks:
            lines.append(
                [
                    row["component"],
                    row["attack"],
                    row["variant"],
                    figure([row], ".0f", variant=row["variant"]),
                ]
            )
    return table(["defense", "attack", "best baseline there", "difference of MSE (O)"], lines)


def detectors(rows: list[Row], attacks: list[str]) -> str:
    rows = [r for r in rows if r["role"] == "detector"]
    lines = []
    for name in dict.fromkeys(r["component"] for r in rows):
        own = [r for r in rows if r["component"] == name]
        strict = next(
            (r["variant"] for r in own if r["metric"] == "fpr_clean" and r["variant"] != "best-f1"), ""
        )
        for attack in attacks:
            lines.append(
                [
                    name,
                    attack,
                    figure(own, ".2f", attack=attack, metric="f1", variant="best-f1"),
                    *(
                        figure(own, ".3f", attack=attack, metric=m)
                        for m in ("auroc", "auroc_noise", "tpr_at_1fpr", "tpr_at_5fpr")
                    ),
                    figure(own, ".3f", attack="none", metric="fpr_clean", variant=strict),
                ]
            )
    head = ["detector", "attack", "F1", "AUROC", "AUROC against noise", "TPR at 1% FPR", "TPR at 5% FPR"]
    return table([*head, "clean FPR at the 1% threshold"], lines)


def attacked(rows: list[Row]) -> str:
    rows = [r for r in rows if r["role"] == "attack"]
    lines = [
        [name, *(figure(rows, ".3f", attack=name, metric=m) for m in ("mse_o", "median_mse_o", "success"))]
        for name in dict.fromkeys(r["attack"] for r in rows)
    ]
    return table(["attack", "output MSE, [-1,1]", "median", "success"], lines)


def benign(rows: list[Row]) -> str:
    rows = [r for r in rows if r["metric"] == "fpr_benign"]
    edits = list(dict.fromkeys(r["variant"] for r in rows))
    lines = [
        [name, *(figure([r for r in rows if r["component"] == name], ".2f", variant=e) for e in edits)]
        for name in dict.fromkeys(r["component"] for r in rows)
    ]
    return table(["false alarms on", *edits], lines)


def main(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    attacks = list(dict.fromkeys(r["attack"] for r in rows if r["role"] == "attack"))
    print(f"n = {min(int(r['n']) for r in rows)}\n")
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
