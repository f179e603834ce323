"""Attackers who lack something: `python benchmarks/transfer.py RUN/results.csv` of profile `transfer`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from tables import Row, figure, table


def of(rows: list[Row], role: str) -> dict[str, list[Row]]:
    """By component."""
    own = [r for r in rows if r["role"] == role]
    return {
        name: [r for r in own if r["component"] == name]
        for name in dict.fromkeys(r["component"] for r in own)
    }


def main(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    caused = [r for r in rows if r["role"] == "attack"]
    attacks = list(dict.fromkeys(r["attack"] for r in caused))
    lines = [
        [a, *(figure(caused, ".4f", attack=a, metric=m) for m in ("mse_o", "median_mse_o", "success"))]
        for a in attacks
    ]
    print("## Undefended\n\n" + table(["attack", "output MSE, [-1,1]", "median", "success"], lines))
    aimed = [a for a in attacks if a != "noise"]
    lines = []
    for name, own in of(rows, "detector").items():
        f1 = [figure(own, ".2f", attack=a, metric="f1", variant="best-f1") for a in aimed]
        auroc = [figure(own, ".3f", attack=a, metric="auroc").split(" ")[0] for a in aimed]
        lines.append([name, *map(" / ".join, zip(f1, auroc, strict=True))])
    print("\n## Detection, F1 / AUROC\n\n" + table(["detector", *aimed], lines))
    lines = [
        [name, *(figure(own, ".0f", attack=a, metric="mse_o") for a in ("none", *attacks))]
        for name, own in of(rows, "defense").items()
    ]
    print("\n## Output MSE after defense, 0 to 255\n\n" + table(["defense", "clean", *attacks], lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
