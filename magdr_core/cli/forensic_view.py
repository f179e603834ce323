"""Forensic models in a terminal: their AUC by forgery and by quality, what they locate, and false alarms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from magdr_core.cli.fitting_table import FittingTable, Head
from magdr_core.cli.terminal import Terminal
from magdr_core.forensics.figures import FIGURES
from magdr_core.results.cell import RESTORED_BY
from magdr_core.results.columns import Row
from magdr_core.results.forensic_grid import SEEN, ForensicGrid, family
from magdr_core.results.frame import MISSING, NONE

UNSEEN = "*"
UNDER = "under "
FALSE_ALARMS = "false_alarms"
OF_REALS = (FALSE_ALARMS, "auc_edited", "auc_noise")
_BETTER = {figure.name: figure.better for figure in FIGURES}


def forensic_tables(console: Terminal, rows: Iterable[Row], task: str, qualities: Sequence[str]) -> None:
    """A row for each kind of pictures, a column for each model; results.csv has intervals and all else."""
    grid = ForensicGrid(rows, qualities)
    for metric, said in (
        ("auc", "AUC of fakes against their reals"),
        ("iou", "IoU with the forged pixels"),
        (FALSE_ALARMS, "share of reals flagged"),
        ("auc_edited", "AUC of edited reals against untouched ones"),
        ("auc_noise", "AUC of attacked reals against noise as strong"),
    ):
        attacks = grid.attacks(metric)
        models = [
            m for m in grid.models if any(grid.get(a, m, metric, q) for a in attacks for q in grid.qualities)
        ]
        if not models:
            continue
        table = FittingTable(
            f"{task}: {said} ({UNSEEN} a family that the model has not seen)",
            ["pictures"],
            [[Head([model], _BETTER[metric])] for model in models],
        )
        # Restored reals are told one by one: a mean of whole, attacked and noisy ones would say nothing.
        for quality in ("", *filter(_is_restored, grid.qualities if metric in OF_REALS else ())):
            for attack in attacks:
                fields = [_field(grid, attack, model, metric, quality) for model in models]
                if any(field != MISSING for field in fields):
                    table.add_row([_named(family(attack), quality)], fields)
        for quality in grid.qualities:
            if metric in OF_REALS and _is_restored(quality):
                continue
            reals = metric == FALSE_ALARMS
            of = [NONE] if reals else attacks
            means = [grid.mean(model, metric, quality, attacks=of) for model in models]
            if (quality or len(of) > 1) and any(mean is not None for mean in means):
                fields = [MISSING if mean is None else f"{mean:.2f}" for mean in means]
                table.add_row([_named("real" if reals else "mean", quality)], fields)
        table.print(console)


def _field(grid: ForensicGrid, attack: str, model: str, metric: str, quality: str) -> str:
    figure = grid.get(attack, model, metric, quality)
    if figure is None:
        return MISSING
    return f"{figure.value:.2f}{UNSEEN if grid.mark(attack, model, quality) != SEEN else ''}"


def _is_restored(quality: str) -> bool:
    return quality.startswith(RESTORED_BY)


def _named(what: str, quality: str) -> str:
    """`mean at jpeg40`, or `mean under pgd`: what was done to pictures otherwise says so itself."""
    told = quality if not quality or quality.startswith((UNDER, RESTORED_BY)) else f"at {quality}"
    return f"{what} {told}".strip()
