"""The console's view of results.csv: one table of detectors and one of defenses per task.

Attacks that know what they attack come first, in tables of their own: they are what a claim rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from magdr_core.bench.run import RunResult
from magdr_core.cli.terminal import Terminal, stacked
from magdr_core.results.remarks import remarks
from magdr_core.results.rows import Row

STYLES = {"verified": "green", "unreliable": "red", "incomplete": "yellow", "oblivious-only": "dim"}


ADAPTIVE = "adaptive"

OBLIVIOUS_ONLY = (
    "oblivious-only: no attack of this run knew what it attacked, so nothing here shows robustness "
    "([profile.NAME.adaptive] adds such attacks)"
)


class _Figures:
    """Looks up values of one task and seed."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._values = {
            (r["role"], r["attack"], r["component"], r["metric"], r["variant"]): r["value"] for r in rows
        }
        self.rows = rows
        self.badges: Mapping[tuple[str, str], str] = {}

    def badged(self, role: str, component: str, name: str = "") -> Text:
        """The name of a row, with what the sanity checks made of it where they looked at it."""
        badge = self.badges.get((role, component), "")
        text = stacked(name or component)
        return text.append("\n").append(badge, style=STYLES.get(badge, "")) if badge else text

    def show(
        self, role: str, attack: str, component: str, metric: str, variant: str = "", form: str = ".3f"
    ) -> str:
        value = self._values.get((role, attack, component, metric, variant))
        return "-" if value is None else format(value, form)

    def names(self, role: str, column: str) -> list[str]:
        return list(dict.fromkeys(r[column] for r in self.rows if r["role"] == role))


def print_tables(console: Terminal, result: RunResult) -> None:
    """Print the tables of every task; of the first seed where there are several (results.csv has all)."""
    seeds = sorted({r["seed"] for r in result.rows})
    for task in dict.fromkeys(r["task"] for r in result.rows):
        rows = [r for r in result.rows if r["task"] == task and r["seed"] == seeds[0]]
        figures = _Figures([r for r in rows if r["knowledge"] != ADAPTIVE])
        figures.badges = {(c["role"], c["component"]): c["badge"] for c in result.checks if c["task"] == task}
        order = [c["facts"] for c in result.cells if c["facts"]["task"] == task]
        _adaptive_tables(console, rows, figures, task, order)
        attacks = list(dict.fromkeys(f["attack"] for f in order if f["slice_role"] == "attack"))
        n = max((r["n"] for r in figures.rows), default=0)
        _attack_table(console, figures, task, attacks, n)
        for role, table in (("detector", _detector_table), ("defense", _defense_table)):
            labels = list(dict.fromkeys(f["component"] for f in order if f["role"] == role))
            if labels:
                table(console, figures, task, attacks, labels, n)
        _sweep_table(console, rows, task)
    for task, said in remarks(result.rows, result.cells).items():
        for line in said:
            console.print(f"note: {task} / {line}", style="yellow", soft_wrap=True)
    if result.rows and not any(r["knowledge"] == ADAPTIVE for r in result.rows):
        console.print(OBLIVIOUS_ONLY, soft_wrap=True)


def _adaptive_tables(
    console: Terminal,
    rows: Sequence[Row],
    others: _Figures,
    task: str,
    order: Sequence[Mapping[str, Any]],
) -> None:
    """Detectors and defenses under attacks that know them; nothing where there are none."""
    own = [f for f in order if f["knowledge"] == ADAPTIVE]
    known = [r for r in rows if r["knowledge"] == ADAPTIVE and not _is_point(r)]
    if not known:
        return
    figures = _Figures([*known, *(r for r in rows if r["attack"] == "none")])
    figures.badges = others.badges
    attacks = list(dict.fromkeys(f["attack"] for f in own))
    n = max(r["n"] for r in known)
    for role, table in (("detector", _detector_table), ("defense", _defense_table)):
        labels = list(dict.fromkeys(f["component"] for f in own if f["role"] == role))
        if labels:
            table(console, figures, task, attacks, labels, n, "by attacks that know it")


def _attack_table(console: Terminal, figures: _Figures, task: str, attacks: list[str], n: int) -> None:
    table = Table(title=f"{task}: undefended disruption (output MSE in [-1,1] units, n = {n})")
    for column in ("attack", "eps", "mean", "median", "success"):
        table.add_column(column, justify="left" if column == "attack" else "right")
    for attack in attacks:
        eps = next((f"{r['eps'] * 255:g}/255" for r in figures.rows if r["attack"] == attack), "failed")
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
    points = [v for v in figures.names("detector", "variant") if v.startswith("fpr")]
    point = points[0] if points else "fpr1"
    head = " ".join(filter(None, ("detection", by)))
    table = Table(title=f"{task}: {head} (n = {n} clean and {n} attacked; recall at threshold {point})")
    table.add_column("detector", no_wrap=True)
    table.add_column("clean FPR", justify="right")
    for attack in attacks:
        table.add_column(stacked(attack, "F1 / recall / AUROC"), justify="right")
    table.add_column("passes", justify="right")
    for label in labels:
        cells = [
            " / ".join(
                (
                    figures.show("detector", a, label, "f1", "best-f1", ".2f"),
                    figures.show("detector", a, label, "recall", point, ".2f"),
                    figures.show("detector", a, label, "auroc", form=".2f"),
                )
            )
            for a in attacks
        ]
        fpr = figures.show("detector", "none", label, "fpr_clean", point, ".1%")
        passes = figures.show("detector", "none", label, "forwards", form=".0f")
        table.add_row(figures.badged("detector", label), fpr, *cells, passes)
    console.print(table)


def _sweep_table(console: Terminal, rows: Sequence[Row], task: str) -> None:
    """Figure 3: F1 of each detector against the attacker's steps."""
    swept = [r for r in rows if _is_point(r)]
    if not swept:
        return
    points = {(r["attack"], r["component"], r["steps"]): r["value"] for r in swept}
    n = swept[0]["n"]
    steps = sorted({number for _, _, number in points})
    table = Table(
        title=f"{task}: F1 after so many steps of one run of the attack (n = {n} clean and {n} attacked)"
    )
    table.add_column("attack")
    table.add_column("detector", no_wrap=True)
    for number in steps:
        table.add_column(str(number), justify="right")
    for attack, detector in dict.fromkeys((a, d) for a, d, _ in points):
        found = [points.get((attack, detector, number)) for number in steps]
        table.add_row(attack, detector, *("-" if v is None else f"{v:.2f}" for v in found))
    console.print(table)


def _is_point(row: Row) -> bool:
    sweep = row["variant"] == f"best-f1, sweep {row['steps']}"
    return bool(sweep and row["metric"] == "f1" and row["role"] == "detector")


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
    for attack in ("none", *attacks):
        table.add_column("clean" if attack == "none" else attack, justify="right")
    table.add_column("passes", justify="right")
    for label in labels:
        cells = [
            " / ".join(figures.show("defense", a, label, m, form=".0f") for m in ("mse_o", "median_mse_o"))
            for a in ("none", *attacks)
        ]
        most = [figures.show("defense", a, label, "forwards", form=".0f") for a in attacks]
        name = {"identity": "identity (undefended)", "oracle": "oracle (sees the truth)"}.get(label, label)
        passes = max(most, key=lambda v: float(v) if v != "-" else 0.0, default="-")
        table.add_row(figures.badged("defense", label, name), *cells, passes)
    console.print(table)
