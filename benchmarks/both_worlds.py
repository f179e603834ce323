"""Where disruption and forgery meet: three tables of a run of profile both-worlds.

    python benchmarks/both_worlds.py RUN/results.csv

Takes a run of benchmarks/registries/forensics.toml, or of any registry whose profile has attacks,
`restored_by` and `evasions` beside forensic models. Every figure has its 95% interval;
changes are of the same faces.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tables import table

from magdr_core.results.cell import FORGED, RESTORED_BY
from magdr_core.results.forensic_grid import ForensicGrid, family
from magdr_core.results.frame import MISSING, NONE, FigureTable

UNDER = "under "
FAKES = ("auc", "auc_change", "tpr", "tpr_change")


def figure(grid: ForensicGrid, attack: str, model: str, metric: str, done: str = "") -> str:
    found = grid.get(attack, model, metric, done)
    if found is None:
        return MISSING
    return found.text("+.2f" if metric.endswith(("change", "over_noise")) else ".2f")


def reals(grid: ForensicGrid) -> list[str]:
    """What was done to real pictures, nothing first."""
    return sorted(grid.attacks("false_alarms"), key=lambda attack: attack != NONE)


def disrupted(grid: ForensicGrid) -> str:
    """Reals as they are, attacked, and with noise as strong."""
    metrics = ("false_alarms", "alarms_over_noise", "auc_edited", "auc_noise")
    lines = []
    for model in grid.models:
        for attack in reals(grid):
            if not attack.startswith(FORGED):
                figures = [figure(grid, attack, model, metric) for metric in metrics]
                lines.append([model, family(attack), *figures])
    return table(
        ["model", "reals", "flagged", "more than at noise", "AUC to untouched", "AUC to noise"], lines
    )


def restored(grid: ForensicGrid) -> str:
    """Reals and fakes as defenses restore them."""
    heads = ["model", "pictures", "restored by", "flagged", "change", "AUC", "change", "AUC to untouched"]
    lines = []
    for model in grid.models:
        for done in grid.qualities:
            if not done.startswith(RESTORED_BY):
                continue
            about = [model, "", done.removeprefix(RESTORED_BY)]
            for attack in reals(grid):
                about[1] = family(attack)
                metrics = ("false_alarms", "false_alarms_change")
                shares = [figure(grid, attack, model, metric, done) for metric in metrics]
                apart = figure(grid, attack, model, "auc_edited", done)
                lines.append([*about, *shares, MISSING, MISSING, apart])
            for attack in grid.attacks("auc"):
                about[1] = f"{family(attack)} (fake)"
                metrics = ("tpr", "tpr_change", "auc", "auc_change", "auc_untouched")
                lines.append([*about, *(figure(grid, attack, model, metric, done) for metric in metrics)])
    return table(heads, lines)


def evaded(grid: ForensicGrid) -> str:
    """Fakes that an attack hides from a model that it knows."""
    lines = []
    for model in grid.models:
        for done in ("", *(quality for quality in grid.qualities if quality.startswith(UNDER))):
            for attack in grid.attacks("auc"):
                figures = [figure(grid, attack, model, metric, done) for metric in FAKES]
                if set(figures) != {MISSING}:
                    lines.append([model, family(attack), done.removeprefix(UNDER) or "none", *figures])
    return table(["model", "fakes", "attack", "AUC", "change", "found", "change"], lines)


def main(source: Path) -> None:
    rows = FigureTable.read(source)
    for task in rows.where(role="forensic").names("task"):
        own = rows.where(role="forensic", task=task)
        grid = ForensicGrid(own.rows)
        print(f"# {task}, n = {min(own.names('n'))}\n")
        print(f"## Do disrupted reals look forged?\n\n{disrupted(grid)}\n")
        print(f"## What does restoring change?\n\n{restored(grid)}\n")
        print(f"## Do the models stand up to attacks?\n\n{evaded(grid)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
