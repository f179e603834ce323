"""The page of a comparison: one file that opens from disk and needs nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from magdr_core.compare import Compared, Comparison
from magdr_core.compare.align import Place, grouped
from magdr_core.compare.format import MEANINGS, VERDICTS, counted, figure, p_value, rule_lines, sides, signed
from magdr_core.compare.load import ComparedRun
from magdr_core.errors import WriteError
from magdr_core.report.compare_plot import forest
from magdr_core.report.template import rendered, source
from magdr_core.results.store import write_atomically

_STANDS_OUT = ("regression", "uncertain", "improvement")
_ROLES = {"detector": "Detection", "defense": "Defense", "attack": "Disruption"}


@dataclass(frozen=True)
class Run:
    """A run in the page's head."""

    name: str
    folder: str
    registry: str
    profile: str
    date: str
    device: str
    commit: str
    cells: int


@dataclass(frozen=True)
class ComparedLine:
    """A compared figure as the page shows it."""

    row: Compared
    what: str
    images: str
    metric: str
    a: str
    b: str
    difference: str
    interval: str
    p: str
    n: int
    of: str
    verdict: str
    causes: str
    worst: tuple[str, ...]


@dataclass(frozen=True)
class MetricSection:
    """The figures of one metric of one task: drawing and table, which is divided by images."""

    title: str
    better: str
    drawing: Markup | None
    blocks: Mapping[str, Sequence[ComparedLine]]
    figures: int
    identical: int


def page_name(other: Path) -> str:
    """The page's name in the folder of the run that is compared with `other`."""
    return f"compare-to-{other.resolve().name}.html"


def write_page(comparison: Comparison, path: Path) -> Path:
    """Write the page.

    Raises:
        WriteError: the place cannot be written to.
    """
    page = render(comparison)
    try:
        write_atomically(path, lambda p: p.write_text(page, encoding="utf-8", newline="\n"))
    except WriteError as e:
        raise WriteError(f"{e}; name a file for the page with --out") from None
    return path


def render(comparison: Comparison) -> str:
    """The page. The same folders give the same bytes: nothing here looks at the clock."""
    runs = [_run("A", comparison.a), _run("B", comparison.b)]
    rows = comparison.rows
    standing = [row for verdict in _STANDS_OUT for row in rows if row.verdict == verdict]
    return rendered(
        "compare.html",
        runs=runs,
        title=f"{runs[1].name} against {runs[0].name}",
        comparison=comparison,
        headline=counted(comparison),
        rule=rule_lines(comparison),
        standing=[_line(row, several_tasks=True) for row in standing],
        several_seeds=len({row.place.seed for row in rows}) > 1,
        tasks=[(task, list(_parts(comparison, task))) for task in dict.fromkeys(r.place.task for r in rows)],
        failures=list(_failures(comparison)),
        alone=_alone(comparison),
        sides=sides,
        verdicts=VERDICTS,
        meanings=MEANINGS,
        diff=_diff(comparison.a, comparison.b),
        js=Markup(source("page.js") + source("compare.js")),
    )


def _run(name: str, run: ComparedRun) -> Run:
    manifest = run.manifest
    date = str(manifest.get("started", "")).replace("T", " ").replace("+00:00", " UTC")
    commit = str(manifest.get("commit") or "")[:12] or "not known"
    return Run(
        name=run.folder.resolve().name,
        folder=str(run.folder),
        registry=str(manifest["registry"]),
        profile=str(manifest["profile"]),
        date=date,
        device=str(manifest.get("device", "")),
        commit=commit,
        cells=len(run.cells) + len(run.failures),
    )


def _line(row: Compared, *, several_tasks: bool = False) -> ComparedLine:
    place = row.place
    images = place.where if several_tasks else place.where.partition(", ")[2]
    return ComparedLine(
        row=row,
        what=f"{place.component} itself" if place.role == "attack" else place.component,
        images=images[:1].upper() + images[1:] if images == "clean images" else images,
        metric=f"{row.metric} {row.variant}".strip(),
        a=figure(row, row.a),
        b=figure(row, row.b),
        difference=signed(row, row.difference),
        interval="" if row.identical else f"{figure(row, row.low)} to {figure(row, row.high)}",
        p=p_value(row.p_adjusted),
        n=row.n,
        of="" if row.n == row.n_a == row.n_b else f"of {row.n_a}, {row.n_b}",
        verdict=VERDICTS[row.verdict],
        causes=", ".join(row.causes),
        worst=tuple(f"{name}, {figure(row, a)} to {figure(row, b)}" for name, a, b in row.worst),
    )


def _parts(comparison: Comparison, task: str) -> Iterator[MetricSection]:
    """One for each role and metric, in the order of the rule."""
    found: dict[tuple[str, str, str], list[Compared]] = {}
    for row in comparison.rows:
        if row.place.task == task:
            found.setdefault((row.place.role, row.metric, row.variant), []).append(row)
    for (role, metric, variant), rows in found.items():
        name = f"{metric} {variant}".strip()
        blocks: dict[str, list[ComparedLine]] = {}
        for row in rows:
            line = _line(row)
            blocks.setdefault(line.images, []).append(line)
        title = f"{_ROLES.get(role, role)}, {name}"
        drawn = forest(rows, f"{title}, {task}", f"forest-{task}-{role}-{metric}-{variant}")
        better = "higher" if rows[0].higher_is_better else "lower"
        yield MetricSection(title, better, drawn, blocks, len(rows), sum(row.identical for row in rows))


def _failures(comparison: Comparison) -> Iterator[tuple[str, str, list[str]]]:
    """What became of failed cells, the error, and the cells."""
    for head, failed in (
        ("fails now", comparison.new_failures),
        ("failed in A, not in B", comparison.fixed),
        ("failed, not comparable", comparison.other_failures),
    ):
        found: dict[str, list[Place]] = {}
        for cell in failed:
            found.setdefault(str(cell.error), []).append(Place.of(cell.facts))
        for error, places in found.items():
            yield head, error, grouped(places)


def _alone(comparison: Comparison) -> dict[str, list[str]]:
    matching = comparison.matching
    told: dict[str, list[str]] = {
        "Only in A": matching.alone_a,
        "Only in B": matching.alone_b,
        "In both, on other images": grouped(matching.other_images),
    }
    return {head: lines for head, lines in told.items() if lines}


def _diff(a: ComparedRun, b: ComparedRun) -> list[tuple[str, str]]:
    """The registries' texts line by line with their class: added, removed, place or nothing."""
    classes: dict[str, str] = {"+": "come", "-": "gone", "@": "place"}
    before, after = (str(run.manifest["registry_text"]).splitlines() for run in (a, b))
    lines = list(difflib.unified_diff(before, after, lineterm=""))[2:]
    return [(line, classes.get(line[:1], "")) for line in lines]
