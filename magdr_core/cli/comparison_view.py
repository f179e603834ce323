"""The console's view of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from magdr_core.cli.fitting_table import arrow, arrows_explained
from magdr_core.cli.terminal import Terminal, stacked
from magdr_core.compare import Compared, Comparison
from magdr_core.compare.align import Place, grouped
from magdr_core.compare.format import VERDICTS, counted, figure, p_value, rule_lines, sides, signed
from magdr_core.compare.load import ComparedRun
from magdr_core.compare.result import Verdict
from magdr_core.results.cell import CellResult

_STYLES = {"regression": "bold red", "improvement": "green", "uncertain": "yellow"}
_ORDER: tuple[Verdict, ...] = ("regression", "uncertain", "improvement", "small", "same", "reference")
_USUAL: tuple[Verdict, ...] = ("regression", "uncertain", "improvement")
_MOST = 12


def print_comparison(console: Terminal, comparison: Comparison, *, everything: bool = False) -> None:
    """Print what was compared, what changed, the differences and the verdict."""
    say = console.say
    for name, run in (("A", comparison.a), ("B", comparison.b)):
        say(f"{name}  {run.folder}  {_what(run)}")
    _changes(console, comparison)
    for line in _unmatched(comparison):
        say(line)
    for head, failed, style in (
        ("fails now", comparison.new_failures, "bold red"),
        ("failed before, not now", comparison.fixed, "green"),
        ("failed and not comparable", comparison.other_failures, "yellow"),
    ):
        for line in _failures(head, failed):
            say(line, style)
    rows = [row for row in comparison.rows if everything or row.verdict in _USUAL]
    for task in dict.fromkeys(row.place.task for row in rows):
        for verdict in _ORDER:
            own = [row for row in rows if row.place.task == task and row.verdict == verdict]
            if own:
                _table(console, f"{task}, {VERDICTS[verdict]}: B minus A on the same images", own)
    if rows:
        say(arrows_explained(console))
    for line in rule_lines(comparison):
        say(line)
    say(counted(comparison), "bold red" if comparison.found_worse else None)
    hidden = Counter(row.verdict for row in comparison.rows if row not in rows)
    if hidden:
        said = ", ".join(f"{hidden[v]} {VERDICTS[v]}" for v in _ORDER if v in hidden)
        say(f"not shown: {said}; --all shows them")


def _what(run: ComparedRun) -> str:
    manifest = run.manifest
    return f"{manifest['registry']}, profile {manifest['profile']}, {manifest.get('started', '')[:16]}"


def _changes(console: Terminal, comparison: Comparison) -> None:
    if not comparison.changes:
        console.print("registries, settings and environments are the same")
        return
    table = Table(title="what changed", title_justify="left", box=box.SIMPLE, show_edge=False)
    for column in ("", "A", "B"):
        table.add_column(column, overflow="fold")
    for change in comparison.changes:
        what = f"{change.where} {change.what or change.kind}"
        table.add_row(what, *sides(change))
    console.print(table)
    console.print()


def _unmatched(comparison: Comparison) -> Iterator[str]:
    matching = comparison.matching
    for head, told in (
        ("only in A", matching.alone_a),
        ("only in B", matching.alone_b),
        ("measured on other images", grouped(matching.other_images)),
    ):
        if told:
            yield f"{head}: {'; '.join(_first(told))}"


def _failures(head: str, failed: Sequence[CellResult]) -> Iterator[str]:
    """Cells that one error struck are told together."""
    found: dict[str, list[Place]] = {}
    for cell in failed:
        found.setdefault(str(cell.error), []).append(Place.of(cell.facts))
    for error, places in found.items():
        yield f"{head}: {'; '.join(_first(grouped(places)))}: {error}"


def _first(texts: list[str]) -> list[str]:
    return texts if len(texts) <= _MOST else [*texts[:_MOST], f"and {len(texts) - _MOST} more"]


def _table(console: Terminal, title: str, rows: Sequence[Compared]) -> None:
    """Two lines a row, so that it fits on a terminal of 80 columns."""
    style = _STYLES.get(rows[0].verdict)
    table = Table(title=title, title_justify="left", title_style=style, box=box.SIMPLE, show_edge=False)
    table.add_column(stacked("component, metric", "images"), overflow="fold")
    for column in (stacked("A, B", "difference [95%]"), stacked("p", "(Holm)"), "n"):
        table.add_column(column, justify="right", no_wrap=True)
    seeds = len({row.place.seed for row in rows}) > 1
    for row in rows:
        place = row.place
        what = f"{place.component} itself" if place.role == "attack" else place.component
        better = arrow(console, "higher" if row.higher_is_better else "lower")
        metric = f"{row.metric} {better} {row.variant}".strip()
        images = place.where.partition(", ")[2] + (f", seed {place.seed}" if seeds else "")
        interval = f"[{figure(row, row.low)}, {figure(row, row.high)}]"
        table.add_row(
            stacked(f"{what}, {metric}", images),
            stacked(
                f"{figure(row, row.a)}, {figure(row, row.b)}", f"{signed(row, row.difference)} {interval}"
            ),
            p_value(row.p_adjusted),
            str(row.n) if row.n == row.n_a == row.n_b else stacked(f"{row.n} of", f"{row.n_a}, {row.n_b}"),
        )
    console.print(table)
    console.print()
