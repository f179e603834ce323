"""Crafted on x, tested on y: `python benchmarks/transfer_matrix.py RUN/results.csv`.

Takes a run of benchmarks/registries/transfer-matrix.toml, or of any registry whose profile has transfers
between its tasks. Output MSE is 0 to 255 squared, without a defense; the second matrix is its share of what
the attack does to a task when it is made on that task itself. An attack without transfers has one row.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tables import table

from magdr_core.results.frame import MISSING, FigureTable

CLEAN = "none"
SEPARATOR = "@"


def attacks_of(rows: FigureTable) -> list[str]:
    """The attacks that are not transferred, in the rows' order."""
    return [name for name in rows.names("attack") if name != CLEAN and SEPARATOR not in name]


def surrogates_of(rows: FigureTable, attack: str) -> list[str]:
    """The tasks that an attack was also made on for others."""
    names = rows.names("attack")
    return [task for task in rows.names("task") if f"{attack}{SEPARATOR}{task}" in names]


def value(rows: FigureTable, task: str, attack: str) -> float | None:
    figure = rows.first(task=task, attack=attack, metric="mse_o")
    return None if figure is None else figure.value


def matrix(rows: FigureTable, attack: str, surrogates: list[str], *, share: bool) -> str:
    """Rows: what it was crafted on. Columns: what it was tested on."""
    tasks = rows.names("task")
    lines = []
    for origin in tasks if surrogates else [""]:
        line = [origin or "each, or all"]
        for task in tasks:
            name = attack if origin in ("", task) else f"{attack}{SEPARATOR}{origin}"
            if not share:
                line.append(rows.text(".0f", task=task, attack=name, metric="mse_o"))
                continue
            own, there = value(rows, task, attack), value(rows, task, name)
            line.append(MISSING if own is None or there is None or own == 0 else f"{there / own:.2f}")
        lines.append(line)
    return table([f"{attack}, crafted on", *tasks], lines)


def main(path: Path) -> None:
    rows = FigureTable.read(path).where(role="defense", component="identity")
    for attack in attacks_of(rows):
        surrogates = surrogates_of(rows, attack)
        print(f"## {attack}\n\n{matrix(rows, attack, surrogates, share=False)}\n")
        if surrogates:
            print(f"{matrix(rows, attack, surrogates, share=True)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
