"""Forensic models in a terminal: their AUC by forgery and by quality, what they locate, and false alarms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from magdr_core.cli.terminal import Terminal
from magdr_core.results.columns import Row
from magdr_core.results.forensic_grid import SEEN, ForensicGrid, family
from magdr_core.results.frame import MISSING, NONE

UNSEEN = "*"
UNDER = "under "


def forensic_tables(console: Terminal, rows: Iterable[Row], task: str, qualities: Sequence[str]) -> None:
    """A row for each kind of pictures, a column for each model; results.csv has intervals and all else."""
    grid = ForensicGrid(rows, qualities)
    for metric, said in (
        ("auc", "AUC of fakes against their reals"),
        ("iou", "IoU with the forged pixels"),
        ("false_alarms", "share of reals flagged"),
        ("auc_edited", "AUC of edited reals against untouched ones"),
    ):
        attacks = grid.attacks(metric)
        models = [
            m for m in grid.models if any(grid.get(a, m, metric, q) for a in attacks for q in grid.qualities)
        ]
        if not models:
            continue
        table = Table(title=f"{task}: {said} ({UNSEEN} a family that the model has not seen)")
        table.add_column("pictures", no_wrap=True)
        for model in models:
            table.add_column(model, justify="right", overflow="fold")
        for attack in attacks:
            table.add_row(family(attack), *(_field(grid, attack, model, metric) for model in models))
        for quality in grid.qualities:
            of = [NONE] if NONE in attacks else attacks
            means = [grid.mean(model, metric, quality, attacks=of) for model in models]
            if (quality or len(of) > 1) and any(mean is not None for mean in means):
                fields = (MISSING if mean is None else f"{mean:.2f}" for mean in means)
                table.add_row(_named("real" if NONE in attacks else "mean", quality), *fields)
        console.print(table)


def _field(grid: ForensicGrid, attack: str, model: str, metric: str) -> str:
    figure = grid.get(attack, model, metric)
    if figure is None:
        return MISSING
    return f"{figure.value:.2f}{UNSEEN if grid.mark(attack, model) != SEEN else ''}"


def _named(what: str, quality: str) -> str:
    """`mean at jpeg40`, or `mean under pgd`: what an attack did says so itself."""
    told = quality if not quality or quality.startswith(UNDER) else f"at {quality}"
    return f"{what} {told}".strip()
