"""The console's view of results.csv: one table of detectors and one of defenses per task.

Attacks that know what they attack come first, in tables of their own: they are what a claim rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from magdr_core.bench.run import RunResult
from magdr_core.cli.channel_view import channel_tables
from magdr_core.cli.forensic_view import forensic_tables
from magdr_core.cli.terminal import Terminal, stacked
from magdr_core.components.figure import Figure
from magdr_core.measures.definitions import ROLES, Definitions
from magdr_core.results.cell import ADAPTIVE, BENIGN, CLEAN, NOISE, NOISE_L2, SWEEP, Facts
from magdr_core.results.forensic_grid import ROLE as FORENSIC
from magdr_core.results.frame import MISSING, NONE, FigureTable
from magdr_core.results.remarks import remarks
from magdr_core.results.variant import BEST_F1, PLAIN, Variant

STYLES = {"verified": "green", "unreliable": "red", "incomplete": "yellow", "oblivious-only": "dim"}

_NO_ATTACKS = (CLEAN, NOISE, NOISE_L2, BENIGN, SWEEP, ADAPTIVE)
"""Images that have no column of their own in the tables of attacks."""

OBLIVIOUS_ONLY = (
    "oblivious-only: no attack of this run knew what it attacked, so nothing here shows robustness "
    "([profile.NAME.adaptive] adds such attacks)"
)


class _Figures:
    """The figures of one task and seed as the tables show them."""

    def __init__(self, rows: FigureTable) -> None:
        self.rows = rows
        self.badges: Mapping[tuple[str, str], str] = {}

    def badged(self, role: str, component: str, name: str = "") -> Text:
        """The name of a row, with what the sanity checks made of it where they looked at it."""
        badge = self.badges.get((role, component), "")
        text = stacked(name or component)
        return text.append("\n").append(badge, style=STYLES.get(badge, "")) if badge else text

    def show(
        self,
        role: str,
        attack: str,
        component: str,
        metric: str,
        variant: Variant = PLAIN,
        form: str = ".3f",
    ) -> str:
        about = {"role": role, "attack": attack, "component": component, "metric": metric}
        return self.rows.number(form, variant, **about)


def print_tables(console: Terminal, result: RunResult) -> None:
    """Print the tables of every task; of the first seed where there are several (results.csv has all)."""
    whole = FigureTable(result.rows)
    every = whole.where(channel="")
    cells = [cell for cell in result.cells if not cell.facts.channel]
    seeds = sorted(every.names("seed"))
    definitions = Definitions(map(Figure.from_json, result.manifest.get("figures", ())))
    for task in every.names("task"):
        rows = every.where(task=task, seed=seeds[0])
        figures = _Figures(FigureTable([r for r in rows.rows if r["knowledge"] != ADAPTIVE]))
        figures.badges = {(c["role"], c["component"]): c["badge"] for c in result.checks if c["task"] == task}
        order = [cell.facts for cell in cells if cell.facts.task == task]
        _adaptive_tables(console, rows, figures, task, order)
        attacks = list(dict.fromkeys(f.attack for f in order if f.slice_role not in _NO_ATTACKS))
        n = max(figures.rows.names("n"), default=0)
        made = {f.attack for f in order if f.role == "attack"}  # others are a plugin's images
        if made or not {f.role for f in order} <= {FORENSIC}:
            _attack_table(console, figures, task, [a for a in attacks if a in made], n)
        for role, table in (("detector", _detector_table), ("defense", _defense_table)):
            labels = list(dict.fromkeys(f.component for f in order if f.role == role))
            if labels:
                table(console, figures, task, attacks, labels, n)
        settings = result.manifest.get("settings", {})
        channel_tables(console, whole.where(task=task, seed=seeds[0]), task, settings.get("channels", ()))
        qualities = settings.get("picture_qualities", ())
        forensic_tables(console, rows.rows, task, qualities)
        for role in dict.fromkeys(f.role for f in order if f.role not in (*ROLES, FORENSIC)):
            _other_table(console, figures, task, role, [f for f in order if f.role == role], definitions)
        _sweep_table(console, rows, task)
    for task, said in remarks(result.rows, result.cells).items():
        for line in said:
            console.print(f"note: {task} / {line}", style="yellow", soft_wrap=True)
    if {*every.names("role")} - {FORENSIC} and ADAPTIVE not in every.names("knowledge"):
        console.print(OBLIVIOUS_ONLY, soft_wrap=True)


def _adaptive_tables(
    console: Terminal,
    rows: FigureTable,
    others: _Figures,
    task: str,
    order: Sequence[Facts],
) -> None:
    """Detectors and defenses under attacks that know them; nothing where there are none."""
    own = [f for f in order if f.knowledge == ADAPTIVE]
    known = rows.where(knowledge=ADAPTIVE).without_sweeps()
    if not known.rows:
        return
    figures = _Figures(FigureTable([*known.rows, *rows.where(attack=NONE).rows]))
    figures.badges = others.badges
    attacks = list(dict.fromkeys(f.attack for f in own))
    n = max(known.names("n"))
    for role, table in (("detector", _detector_table), ("defense", _defense_table)):
        labels = list(dict.fromkeys(f.component for f in own if f.role == role))
        if labels:
            table(console, figures, task, attacks, labels, n, "by attacks that know it")


def _attack_table(console: Terminal, figures: _Figures, task: str, attacks: list[str], n: int) -> None:
    table = Table(title=f"{task}: undefended disruption (output MSE in [-1,1] units, n = {n})")
    for column in ("attack", "eps", "mean", "median", "success"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for attack in attacks:
        strengths = figures.rows.where(attack=attack).names("eps")
        eps = f"{strengths[0] * 255:g}/255" if strengths else "failed"
        show = [figures.show("attack", attack, attack, m) for m in ("mse_o", "median_mse_o")]
        success = figures.show("attack", attack, attack, "success", form=".0%")
        table.add_row(figures.badged("attack", attack), eps, *show, success)
    console.print(table)


def _detector_table(
    console: Terminal,
    figures: _Figures,
    task: str,
    attacks: list[str],
    labels: list[str],
    n: int,
    by: str = "",
) -> None:
    point = figures.rows.where(role="detector").strict
    head = " ".join(filter(None, ("detection", by)))
    free = figures.rows.where(role="detector").number(".2f", metric="f1_of_all")
    table = Table(
        title=f"{task}: {head} (n = {n} clean and {n} attacked; recall at threshold {str(point) or MISSING}; "
        f"flagging all has F1 {free})"
    )
    table.add_column("detector", no_wrap=True)
    table.add_column("clean FPR", justify="right")
    for attack in attacks:
        table.add_column(stacked(attack, "F1 / recall / AUROC"), justify="right")
    table.add_column("passes", justify="right")
    for label in labels:
        cells = [
            " / ".join(
                (
                    figures.show("detector", a, label, "f1", Variant(BEST_F1), ".2f"),
                    figures.show("detector", a, label, "recall", point, ".2f"),
                    figures.show("detector", a, label, "auroc", form=".2f"),
                )
            )
            for a in attacks
        ]
        fpr = figures.show("detector", NONE, label, "fpr_clean", point, ".1%")
        passes = figures.show("detector", NONE, label, "forwards", form=".0f")
        table.add_row(figures.badged("detector", label), fpr, *cells, passes)
    console.print(table)


def _other_table(
    console: Terminal,
    figures: _Figures,
    task: str,
    role: str,
    order: Sequence[Facts],
    definitions: Definitions,
) -> None:
    """A plugin's role: its figures with intervals, a column for each kind of images and a row for each
    component and figure."""
    attacks = list(dict.fromkeys((f.columns or {}).get("attack", f.attack) for f in order))
    table = Table(title=f"{task}: {role}")
    table.add_column(role, no_wrap=True)
    table.add_column("figure")
    for attack in attacks:
        table.add_column("clean" if attack == NONE else attack, justify="right")
    for component in dict.fromkeys(f.component for f in order):
        own = figures.rows.where(role=role, component=component)
        for figure in definitions.of(role):
            for variant in own.where(metric=figure.name).names("variant"):
                form = f".{figure.digits}f"
                cells = [own.text(form, variant, metric=figure.name, attack=a) for a in attacks]
                unit = f" ({figure.unit})" if figure.unit else ""
                name = f"{figure.name} {variant}".strip()
                table.add_row(figures.badged(role, component), f"{name}{unit}", *cells)
    if table.rows:
        console.print(table)


def _sweep_table(console: Terminal, rows: FigureTable, task: str) -> None:
    """Figure 3: F1 of each detector against the attacker's steps."""
    curves = [curve for own in rows.sweeps(task).values() for curve in own]
    if not curves:
        return
    n = curves[0].points[0][1].n
    steps = sorted({number for curve in curves for number, _ in curve.points})
    table = Table(
        title=f"{task}: F1 after so many steps of one run of the attack (n = {n} clean and {n} attacked)"
    )
    table.add_column("attack")
    table.add_column("detector", no_wrap=True)
    for number in steps:
        table.add_column(str(number), justify="right")
    for curve in curves:
        found = dict(curve.points)
        shown = (f"{found[number].value:.2f}" if number in found else MISSING for number in steps)
        table.add_row(curve.attack.attack, curve.component, *shown)
    console.print(table)


def _defense_table(
    console: Terminal,
    figures: _Figures,
    task: str,
    attacks: list[str],
    labels: list[str],
    n: int,
    by: str = "",
) -> None:
    head = " ".join(filter(None, ("output MSE after defense", by)))
    table = Table(title=f"{task}: {head} (0-255, mean / median, n = {n})")
    table.add_column("defense", no_wrap=True)
    for attack in (NONE, *attacks):
        table.add_column("clean" if attack == NONE else attack, justify="right")
    table.add_column("passes", justify="right")
    for label in labels:
        cells = [
            " / ".join(figures.show("defense", a, label, m, form=".0f") for m in ("mse_o", "median_mse_o"))
            for a in (NONE, *attacks)
        ]
        most = [figures.show("defense", a, label, "forwards", form=".0f") for a in attacks]
        name = {"identity": "identity (undefended)", "oracle": "oracle (sees the truth)"}.get(label, label)
        passes = max(most, key=lambda v: float(v) if v != "-" else 0.0, default="-")
        table.add_row(figures.badged("defense", label, name), *cells, passes)
    console.print(table)
