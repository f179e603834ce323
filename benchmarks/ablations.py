"""What MagDR is without its parts, registries side by side.

python benchmarks/ablations.py RUN/results.csv ...

The runs are of the same profile on the same images; `magdr compare RUN RUN` says which differences are more
than chance.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tables import table

from magdr_core.results.frame import NONE, FigureTable
from magdr_core.results.variant import BEST_F1


def of_attack(
    rows: FigureTable, role: str, component: str, attack: str, figures: list[tuple[str, str, str]]
) -> list[str]:
    own = rows.where(role=role, component=component)
    return [own.text(form, variant, attack=attack, metric=m) for m, variant, form in figures]


def detection(runs: dict[str, FigureTable], component: str, attacks: list[str]) -> str:
    """F1 at the best-F1 threshold and AUROC, under every attack; AUROC against noise under the first."""
    lines = []
    for name, rows in runs.items():
        line = [name]
        for attack in attacks:
            figures = [("f1", BEST_F1, ".3f"), ("auroc", "", ".3f")]
            f1, auroc = of_attack(rows, "detector", component, attack, figures)
            line.append(f"{f1} / {auroc.split(' ')[0]}")
        line += of_attack(rows, "detector", component, attacks[0], [("auroc_noise", "", ".3f")])
        line += of_attack(rows, "detector", component, NONE, [("forwards", "", ".0f")])
        lines.append(line)
    return table([component, *attacks, f"AUROC against noise, {attacks[0]}", "passes"], lines)


def reconstruction(runs: dict[str, FigureTable], component: str, attacks: list[str]) -> str:
    """Output MSE, 0 to 255 squared."""
    lines = []
    for name, rows in runs.items():
        each = (of_attack(rows, "defense", component, a, [("mse_o", "", ".1f")])[0] for a in (NONE, *attacks))
        passes = of_attack(rows, "defense", component, attacks[0], [("forwards", "", ".0f")])
        lines.append([name, *each, *passes])
    return table([component, "clean", *attacks, "passes"], lines)


def main(paths: list[Path]) -> None:
    rows = FigureTable.read(*paths)
    runs = {name: rows.where(registry=name) for name in rows.names("registry")}
    first = next(iter(runs.values()))
    attacks = [name for name in first.names("attack") if name not in (NONE, "noise")]
    print(f"n = {max(first.names('n'))}; 95% intervals in brackets\n")
    for component in first.where(role="detector").names("component"):
        print(f"## Detection, F1 / AUROC\n\n{detection(runs, component, attacks)}\n")
    print(f"## Reconstruction, output MSE\n\n{reconstruction(runs, 'magdr', [*attacks, 'noise'])}")


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]])
