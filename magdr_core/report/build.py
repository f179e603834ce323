"""From a run folder to report.html: one file that needs nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from magdr_core.bench.plan import ORACLE
from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.report.checks import checked_how, checked_tasks, threats
from magdr_core.report.figures import AttackCondition, Figures
from magdr_core.report.forensic import forensic_card
from magdr_core.report.formatting import MISSING, count, seconds, whole_percent
from magdr_core.report.key_figures import key_figures
from magdr_core.report.load import RunData, load_run
from magdr_core.report.picture_grid import GAP
from magdr_core.report.sections import sections
from magdr_core.report.summary import demo_size, headline
from magdr_core.report.template import rendered, source
from magdr_core.report.verdict import IN_PART, WORKS, verdict
from magdr_core.results.cell import CLEAN, CellResult, Facts
from magdr_core.results.remarks import warnings
from magdr_core.results.store import write_atomically

FILE = "report.html"


class ReportObserver:
    """Writes the report when a benchmark has written its tables."""

    @hookimpl
    def magdr_run_finished(
        self, run: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        write_report(run)


def write_report(run: Path) -> Path:
    """Write report.html of a run folder, from what the folder holds and nothing else.

    Raises:
        MagdrError: a file of the run is missing or damaged.
        WriteError: the page cannot be written.
    """
    return write_page(load_run(run))


def write_page(run: RunData) -> Path:
    """Write report.html of a run that was read. Raises WriteError if it cannot be written."""
    page = render(run)
    path = run.folder / FILE
    write_atomically(path, lambda p: p.write_text(page, encoding="utf-8", newline="\n"))
    return path


@dataclass(frozen=True)
class FailedCells:
    """One error and the cells that it struck."""

    task: str
    error: str
    cells: list[str]


@dataclass(frozen=True)
class Cost:
    """What a component took, summed over its cells."""

    role: str
    component: str
    cells: int
    forwards: str
    seconds: str


def render(run: RunData) -> str:
    """The page. The same folder gives the same bytes: nothing here looks at the clock."""
    figures = Figures(run)
    found = sections(figures)
    return rendered(
        "report.html",
        manifest=run.manifest,
        date=str(run.manifest.get("started", "")).replace("T", " ").replace("+00:00", " UTC"),
        note=str(run.settings.get("note") or ""),
        oracle=any(ORACLE in figures.components(task, "defense") for task in figures.tasks),
        headline=headline(figures),
        verdict=verdict(figures),
        forensic_cards=[card for task in figures.tasks if (card := forensic_card(figures, task))],
        demo=demo_size(figures),
        warnings=warnings(run.rows, run.cells),
        key_figures=key_figures(figures),
        works=whole_percent(WORKS),
        in_part=whole_percent(IN_PART),
        sections=found,
        method=run.method,
        several_seeds=any(len(section.seeds) > 1 for section in found),
        gap=GAP,
        failures=failures(run),
        costs=costs(run),
        total=seconds(sum(cell.seconds for cell in run.cells)),
        cells=len(run.cells),
        adaptive=figures.adaptive,
        checked=checked_tasks(run),
        checked_how=checked_how(run),
        threats=threats(run),
        js=Markup(source("page.js") + source("report.js")),
    )


def failures(run: RunData) -> list[FailedCells]:
    """Failed cells; a component that fails everywhere with one message is told once."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell in run.cells:
        if cell.failed:
            facts = cell.facts
            where = f"{facts.role} {facts.component} on {_images(facts)} (seed {facts.seed})"
            found[(facts.task, str(cell.error))].append(where)
    return [FailedCells(task, error, cells) for (task, error), cells in found.items()]


def _images(facts: Facts) -> str:
    if facts.slice_role == CLEAN:
        return f"clean images, through {facts.channel}" if facts.channel else "clean images"
    return AttackCondition.of(facts).label


def costs(run: RunData) -> list[Cost]:
    """Time and generator passes by component, dearest first."""
    found: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
    for cell in run.cells:
        if not cell.failed:
            found[(cell.facts.role, cell.facts.component)].append(cell)
    spent = {key: sum(cell.seconds for cell in cells) for key, cells in found.items()}
    return [
        Cost(*key, len(found[key]), _forwards(found[key]), seconds(spent[key]))
        for key in sorted(found, key=lambda key: (-spent[key], key))
    ]


def _forwards(cells: Sequence[CellResult]) -> str:
    known = [cell.forwards for cell in cells if cell.forwards is not None]
    return count(sum(known) / len(known)) if known else MISSING
