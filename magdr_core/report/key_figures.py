"""The first table of the report: what was defended, how well and at what cost, a row per task."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from magdr_core.bench.plan import ORACLE
from magdr_core.report.detection_tables import point_name
from magdr_core.report.figures import CLEAN_IMAGES, FINE_POINT, IDENTITY, AttackCondition, Figures, Variant
from magdr_core.report.formatting import (
    MISSING,
    Block,
    Column,
    Shown,
    Table,
    TableLine,
    column,
    count,
    number,
    percent,
    shown,
)
from magdr_core.report.hardest_attack import hardest


def key_figures(figures: Figures) -> Table | None:
    """A row per task under the worst attack that knows the defense, and one under the worst that does not;
    None if no task was attacked."""
    method = figures.run.method
    oracle = any(ORACLE in figures.components(task, "defense") for task in figures.tasks)
    left = partial(column, "defense", "mse_o", judged=False)
    columns = [
        Column("n", "images", show=number(0)),
        column("detector", "f1", "F1", f"{method}'s detector, {point_name(FINE_POINT)}", judged=False),
        column(
            "detector",
            "fpr_clean",
            "False alarms",
            "of clean images, strict threshold",
            show=percent,
            judged=False,
        ),
        left("Undefended", "output MSE"),
        left(method, "leaves"),
        left("Best baseline", "leaves"),
        *([left("Oracle", "would leave")] if oracle else []),
        left("Damage", f"{method}, clean images"),
        Column("Passes", "to detect + reconstruct"),
    ]
    lines = []
    for task, attack in _shown(figures):
        detector = figures.ours(task, "detector") or ""
        defense = figures.ours(task, "defense") or ""
        others = {
            name: f
            for name in figures.baselines(task, "defense")
            if (f := figures.get(task, attack, "defense", name, "mse_o"))
        }
        best = min(others, key=lambda name: others[name].value, default="")
        point = figures.strict_point(task)
        names = [IDENTITY, defense, best, *([ORACLE] if oracle else [])]
        wanted = [
            ("detector", detector, attack, "f1", FINE_POINT),
            ("detector", detector, CLEAN_IMAGES, "fpr_clean", point),
            *[("defense", name, attack, "mse_o", Variant()) for name in names],
            ("defense", defense, CLEAN_IMAGES, "mse_o", Variant()),
        ]
        line = TableLine(task, f"under {attack.label}, {attack.strength}")
        seeds, n = len(figures.seeds(task)), figures.samples(task)
        line.fields = [Shown(text=str(n) if n is not None else MISSING)]
        for head, (role, name, where, metric, variant) in zip(columns[1:-1], wanted, strict=True):
            figure = figures.get(task, where, role, name, metric, variant)
            failed = bool(name) and figures.failed(task, where, role, name)
            line.fields.append(shown(figure, head, failed=failed, seeds=seeds))
        if best:
            line.fields[5].note = "; ".join(part for part in (best, line.fields[5].note) if part)
        passes = [
            figures.get(task, attack, role, name, "forwards")
            for role, name in (("detector", detector), ("defense", defense))
        ]
        line.fields.append(Shown(text=" + ".join(count(f.value) if f else MISSING for f in passes)))
        lines.append(line)
    if not lines:
        return None
    return Table("Key figures, under each task's worst attacks", "Task", columns, [Block("", "", lines)])


def _shown(figures: Figures) -> Iterator[tuple[str, AttackCondition]]:
    """Each task with the worst attack that knows the defense, and the worst that does not."""
    for task in figures.tasks:
        for knowing in (True, False):
            worst = hardest(figures, task, "defense", knowing=knowing)
            if worst is not None:
                yield task, worst
