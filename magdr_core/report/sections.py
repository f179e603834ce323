"""Everything that the report has about one task."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from magdr_core.report import detection_tables as detection
from magdr_core.report import paper_comparison as beside
from magdr_core.report import restoration_tables as restoration
from magdr_core.report.adaptive import Adapted, adapted
from magdr_core.report.channels import channel_table
from magdr_core.report.figures import Figures
from magdr_core.report.forensic import Forensics, forensics
from magdr_core.report.formatting import FEW, Table
from magdr_core.report.hardest_attack import strongest
from magdr_core.report.other_roles import other_roles
from magdr_core.report.picture_grid import BUDGET, LARGE_BUDGET, Gallery, gallery
from magdr_core.report.step_curves import Figure3, figure3
from magdr_core.report.summary import task_summary
from magdr_core.report.table_model import attacks
from magdr_core.report.tradeoff import tradeoff
from magdr_core.report.worst_images import Worst, worst

_WORST = 4
"""One part in so many of a task's pictures may be of the worst images."""


@dataclass(frozen=True)
class Section:
    """A task's part of the report.

    Attributes:
        summary: what its figures say, as headed paragraphs.
        several: whether there is more than one attack, so that tables of all of them are worth opening.
        setting: generator and dataset.
        attack: name of the strongest attack, which the open tables are of; empty without attacks.
        tables: by what the template calls them; those without rows are left out.
        other_roles: headings and tables of channels, and of the roles that plugins bring.
        forensics: tables and pictures of forensic models; None without such.
    """

    task: str
    summary: list[tuple[str, str]]
    several: bool
    setting: str
    seeds: list[int]
    attack: str
    tables: dict[str, Table]
    other_roles: list[tuple[str, Table]]
    forensics: Forensics | None
    figure3: list[Figure3]
    tradeoff: Markup | None
    adaptive: Adapted | None
    worst: Worst | None
    gallery: Gallery | None


def sections(figures: Figures) -> list[Section]:
    """A section per task; their pictures share one budget."""
    few = all((figures.samples(task) or 0) < FEW for task in figures.tasks)
    budget = BUDGET if few else LARGE_BUDGET
    return [
        _section(figures, task, index, budget // len(figures.tasks))
        for index, task in enumerate(figures.tasks, 1)
    ]


def _section(figures: Figures, task: str, index: int, budget: int) -> Section:
    main = strongest(figures, task)
    conditions = figures.attacks(task)
    tables = {
        "attacks": attacks(figures, task),
        "detection": detection.detection(figures, task, main) if main else None,
        "detection_glance": detection.glance(figures, task) if len(conditions) > 1 else None,
        "detection_full": detection.full(figures, task, conditions),
        "detection_paper": beside.table1(figures, task),
        "alarms": detection.false_alarms(figures, task),
        "restoration": restoration.restoration(figures, task, main) if main else None,
        "restoration_glance": restoration.glance(figures, task),
        "restoration_full": restoration.full(figures, task, conditions),
        "restoration_inputs": restoration.inputs(figures, task, conditions),
        "restoration_paper": beside.table2(figures, task),
    }
    failing = worst(figures, task, main, budget // _WORST) if main else None
    spent = failing.pictures.characters if failing and failing.pictures else 0
    found = forensics(figures, task, (budget - spent) // 2)
    spent += found.gallery.characters if found and found.gallery else 0
    return Section(
        task=task,
        summary=task_summary(figures, task),
        several=len([c for c in conditions if not figures.is_noise(task, c)]) > 1,
        setting=" on ".join(filter(None, (figures.setting(task, k) for k in ("generator", "dataset")))),
        seeds=figures.seeds(task),
        attack=main.label if main else "",
        tables={name: table for name, table in tables.items() if table is not None},
        other_roles=_further(figures, task),
        forensics=found,
        figure3=figure3(figures, task, f"figure3-{index}"),
        tradeoff=tradeoff(figures, task, main, f"tradeoff-{index}") if main else None,
        adaptive=adapted(figures, task, f"adaptive-{index}"),
        worst=failing,
        gallery=gallery(figures, task, budget - spent),
    )


def _further(figures: Figures, task: str) -> list[tuple[str, Table]]:
    """Headings and tables that most runs do not have."""
    behind = channel_table(figures, task)
    return [*([("Behind channels", behind)] if behind else []), *other_roles(figures, task)]
