"""The paper's Table 1 rows of MagDR beside ours: `python benchmarks/detection.py RUN/results.csv`.

Precision, recall and F1 of the disrupted class at the threshold with the best F1 on calibration faces, for
both halves of the detector and for the whole, with what the attack did to an undefended generator.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from tables import Row, figure, table

TASKS = ("replacement", "editing", "reenactment")
DETECTORS = {"distortion": "DD", "consistency": "CD", "magdr": "MagDR"}

# Chen et al., CVPR 2021, Table 1: (precision, recall, F1) by task in the order above.
PAPER = {
    ("distortion", "cw"): ("0.84 1.00 0.91", "0.96 0.96 0.96", "0.92 0.92 0.92"),
    ("distortion", "pgd"): ("0.76 1.00 0.87", "0.99 0.99 0.99", "0.94 0.94 0.94"),
    ("consistency", "cw"): ("0.87 0.99 0.92", "0.96 0.96 0.96", "0.76 0.86 0.81"),
    ("consistency", "pgd"): ("0.95 0.94 0.94", "0.98 0.99 0.99", "0.97 0.78 0.87"),
    ("magdr", "cw"): ("0.96 1.00 0.98", "0.96 0.96 0.96", "0.92 0.92 0.92"),
    ("magdr", "pgd"): ("0.95 1.00 0.97", "1.00 1.00 1.00", "0.97 0.94 0.95"),
}


def detection(rows: list[Row]) -> str:
    lines = []
    for place, task in enumerate(TASKS):
        for (detector, attack), printed in PAPER.items():
            own = [r for r in rows if r["task"] == task and r["component"] == detector]
            if not any(r["attack"] == attack for r in own):
                continue
            precision, recall, f1 = (
                figure(own, ".2f", attack=attack, metric=m, variant="best-f1")
                for m in ("precision", "recall", "f1")
            )
            ranks = [figure(own, ".3f", attack=attack, metric=m) for m in ("auroc", "auroc_noise")]
            name = DETECTORS[detector]
            lines.append([task, attack, name, precision, recall, f1, printed[place], *ranks])
    head = ["task", "attack", "detector", "precision", "recall", "F1", "paper: P R F1"]
    return table([*head, "AUROC", "AUROC against noise"], lines)


def attacked(rows: list[Row]) -> str:
    lines = []
    for task in TASKS:
        own = [r for r in rows if r["task"] == task and r["role"] == "attack"]
        for attack in dict.fromkeys(r["attack"] for r in own):
            figures = [
                figure(own, ".4f", attack=attack, metric=m) for m in ("mse_o", "median_mse_o", "success")
            ]
            lines.append([task, attack, *figures])
    return table(["task", "attack", "output MSE, [-1,1]", "median", "success"], lines)


def main(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    print(f"n = {min(int(r['n']) for r in rows)}\n")
    for part in (attacked(rows), detection(rows)):
        print(part + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
