"""What MagDR is without its parts, registries side by side.

python benchmarks/ablations.py RUN/results.csv ...

The runs are of the same profile on the same images; `magdr compare RUN RUN` says which differences are more
than chance.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from tables import Row, figure, table

CLEAN = "none"


def of_attack(
    rows: Iterable[Row], role: str, component: str, attack: str, figures: list[tuple[str, str, str]]
) -> list[str]:
    own = [r for r in rows if (r["role"], r["component"]) == (role, component)]
    return [figure(own, form, attack=attack, metric=m, variant=variant) for m, variant, form in figures]


def detection(runs: dict[str, list[Row]], component: str, attacks: list[str]) -> str:
    """F1 at the best-F1 threshold and AUROC, under every attack; AUROC against noise under the first."""
    lines = []
    for name, rows in runs.items():
        line = [name]
        for attack in attacks:
            figures = [("f1", "best-f1", ".3f"), ("auroc", "", ".3f")]
            f1, auroc = of_attack(rows, "detector", component, attack, figures)
            line.append(f"{f1} / {auroc.split(' ')[0]}")
        line += of_attack(rows, "detector", component, attacks[0], [("auroc_noise", "", ".3f")])
        line += of_attack(rows, "detector", component, CLEAN, [("forwards", "", ".0f")])
        lines.append(line)
    return table([component, *attacks, f"AUROC against noise, {attacks[0]}", "passes"], lines)


def reconstruction(runs: dict[str, list[Row]], component: str, attacks: list[str]) -> str:
    """Output MSE, 0 to 255 squared."""
    lines = []
    for name, rows in runs.items():
        each = (
            of_attack(rows, "defense", component, a, [("mse_o", "", ".1f")])[0] for a in (CLEAN, *attacks)
        )
        passes = of_attack(rows, "defense", component, attacks[0], [("forwards", "", ".0f")])
        lines.append([name, *each, *passes])
    return table([component, "clean", *attacks, "passes"], lines)


def main(paths: list[Path]) -> None:
    runs: dict[str, list[Row]] = {}
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                runs.setdefault(row["registry"], []).append(row)
    first = next(iter(runs.values()))
    attacks = list(dict.fromkeys(r["attack"] for r in first if r["attack"] not in (CLEAN, "noise")))
    print(f"n = {max(int(r['n']) for r in first)}; 95% intervals in brackets\n")
    for component in dict.fromkeys(r["component"] for r in first if r["role"] == "detector"):
        print(f"## Detection, F1 / AUROC\n\n{detection(runs, component, attacks)}\n")
    print(f"## Reconstruction, output MSE\n\n{reconstruction(runs, 'magdr', [*attacks, 'noise'])}")


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]])
