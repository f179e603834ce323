"""Attackers who lack something: `python benchmarks/transfer.py RUN/results.csv` of profile `transfer`."""

from __future__ import annotations

import sys
from pathlib import Path

from tables import table

from magdr_core.results.frame import FigureTable
from magdr_core.results.variant import BEST_F1


def of(rows: FigureTable, role: str) -> dict[str, FigureTable]:
    """By component."""
    own = rows.where(role=role)
    return {name: own.where(component=name) for name in own.names("component")}


def main(path: Path) -> None:
    rows = FigureTable.read(path)
    caused = rows.where(role="attack")
    attacks = caused.names("attack")
    lines = [
        [a, *(caused.text(".4f", attack=a, metric=m) for m in ("mse_o", "median_mse_o", "success"))]
        for a in attacks
    ]
    print("## Undefended\n\n" + table(["attack", "output MSE, [-1,1]", "median", "success"], lines))
    aimed = [a for a in attacks if a != "noise"]
    lines = []
    for name, own in of(rows, "detector").items():
        f1 = [own.text(".2f", BEST_F1, attack=a, metric="f1") for a in aimed]
        auroc = [own.number(".3f", attack=a, metric="auroc") for a in aimed]
        lines.append([name, *map(" / ".join, zip(f1, auroc, strict=True))])
    print("\n## Detection, F1 / AUROC\n\n" + table(["detector", *aimed], lines))
    lines = [
        [name, *(own.text(".0f", attack=a, metric="mse_o") for a in ("none", *attacks))]
        for name, own in of(rows, "defense").items()
    ]
    print("\n## Output MSE after defense, 0 to 255\n\n" + table(["defense", "clean", *attacks], lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
