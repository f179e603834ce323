"""magdr compare"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

from magdr_core.cli.common import cache_option
from magdr_core.cli.comparison_view import print_comparison
from magdr_core.cli.terminal import Terminal, say, say_lines
from magdr_core.compare import Comparison, RegressionRule, compare_runs
from magdr_core.compare.align import By
from magdr_core.compare.figures import DEFAULT, AskedMetric, Size, default_metrics, parse_metric
from magdr_core.compare.load import load_compared
from magdr_core.compare.output import to_csv, to_json
from magdr_core.compare.result import Correction
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DEFINITIONS, Definitions
from magdr_core.report.compare import page_name, write_page

FORMATS = {"json": to_json, "csv": to_csv}


@click.command("compare", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[@VARIANT]",
    help=f"A metric of results.csv; may be repeated. Default: {', '.join(DEFAULT)}.",
)
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="[METRIC=]SIZE",
    help="Smaller differences do not count: 0.02, or 10% of A's figure; may be repeated.",
)
@click.option(
    "--correction",
    type=click.Choice(get_args(Correction)),
    default="holm",
    show_default=True,
    help="holm: p must stay below 0.05 after correction for all comparisons; none: it is not asked for.",
)
@click.option(
    "--by",
    type=click.Choice(get_args(By)),
    default="settings",
    show_default=True,
    help="label: pair cells by their labels alone, though an attack's strength and steps differ.",
)
@click.option("--all", "everything", is_flag=True, help="Show small and identical differences, too.")
@click.option("--json", "form", flag_value="json", help="Print everything as JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print one line per compared figure.")
@click.option("--out", type=click.Path(path_type=Path), help="The page (default: RUN_B/compare-to-A.html).")
@cache_option
def command(
    run_a: Path,
    run_b: Path,
    metrics: tuple[str, ...],
    thresholds: tuple[str, ...],
    correction: Correction,
    by: By,
    everything: bool,
    form: str | None,
    out: Path | None,
    cache: Path,
) -> None:
    """Compare two runs on the pictures that both measured: RUN_B with RUN_A, the older one.

    A regression is worse by more than the threshold, its 95% interval excludes zero, and its p stays below
    0.05 after Holm's correction for all comparisons, unless there are too few images for that. Exit code 1:
    there is a regression, or a cell fails that did not fail in RUN_A; 2: wrong usage, or the folders cannot
    be compared.

    Cells are paired by task, attack with its strength and steps, role, component and seed. Two runs that
    differ in such a parameter are paired with --by label, which says what differs.

    Run folders are enough. --cache is looked into only for runs of earlier versions, which kept per-sample
    values nowhere else.
    """
    if run_a.resolve() == run_b.resolve():
        raise click.UsageError("RUN_A and RUN_B are the same folder")
    if out is not None and out.is_dir():
        raise click.UsageError(f"--out {out}: the page cannot be written (Is a directory)")
    a, b = load_compared(run_a, cache), load_compared(run_b, cache)
    # Plugins' roles have figures of their own; each run says which.
    definitions = Definitions([*a.definitions, *b.definitions])
    rule = replace(make_rule(metrics, thresholds, correction, definitions), by=by)
    comparison = compare_runs(a, b, rule)
    for note in (*comparison.a.notes, *comparison.b.notes):
        say(note, err=True)
    page = write_page(comparison, out or run_b / page_name(run_a))
    if form is None:
        show(comparison, page, Terminal(), everything=everything)
    else:
        say_lines(FORMATS[form](comparison))
    if comparison.found_worse:
        raise SystemExit(1)


def make_rule(
    metrics: tuple[str, ...],
    thresholds: tuple[str, ...],
    correction: Correction,
    definitions: Definitions = DEFINITIONS,
) -> RegressionRule:
    """Raises MagdrError for a metric or a threshold that is none."""
    wanted: list[AskedMetric] = list(dict.fromkeys(parse_metric(text, definitions) for text in metrics))
    wanted = wanted or list(default_metrics(definitions))
    names = list(dict.fromkeys(metric.name for metric in wanted))
    sizes: dict[str, Size] = {}
    for text in thresholds:
        name, said, number = text.rpartition("=")
        size = Size.parse(number)
        if said and name not in names:
            raise MagdrError(f"--threshold {text}: {name!r} is not among the metrics: {', '.join(names)}")
        if not said and not size.share and len(names) > 1:
            raise MagdrError(f"--threshold {text}: of which of {', '.join(names)}? Say METRIC={number}")
        sizes |= dict.fromkeys([name] if said else names, size)
    return RegressionRule(tuple(wanted), sizes, correction)


def show(comparison: Comparison, page: Path, console: Terminal, *, everything: bool = False) -> None:
    """The tables and where the page is."""
    print_comparison(console, comparison, everything=everything)
    console.print(str(page), soft_wrap=True)
