"""The console's view of results.csv: one table of detectors and one of defenses per task.

Attacks that know what they attack come first, in tables of their own: they are what a claim rests on. Words
are those of the report and of docs/glossary.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.text import Text

from magdr_core.bench.run import RunResult
from magdr_core.cli.channel_view import channel_tables
from magdr_core.cli.fitting_table import FittingTable, Head, arrow, arrows_explained
from magdr_core.cli.forensic_view import forensic_tables
from magdr_core.cli.terminal import Terminal, stacked
from magdr_core.components.figure import Figure
from magdr_core.measures.definitions import DEFINITIONS, ROLES, Definitions
from magdr_core.measures.intervals import TAIL
from magdr_core.results.cell import ADAPTIVE, BENIGN, CLEAN, NOISE, NOISE_L2, SWEEP, Facts
from magdr_core.results.forensic_grid import ROLE as FORENSIC
from magdr_core.results.frame import MISSING, NONE, FigureTable
from magdr_core.results.remarks import warnings
from magdr_core.results.variant import BEST_F1, PLAIN, Variant

FEW = 30
"""Images of which a share says so little that it is said what."""

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

    def disruption(self, attack: str, metric: str) -> str:
        """A squared error that an attack causes, in the unit of all others."""
        found = self.rows.first(role="attack", attack=attack, component=attack, metric=metric)
        return MISSING if found is None else f"{DEFINITIONS['attack', metric].factor * found.value:.0f}"

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
        noises = {f.attack for f in order if f.noise}
        n = max(figures.rows.names("n"), default=0)
        made = {f.attack for f in order if f.role == "attack"}  # others are a plugin's images
        if made or not {f.role for f in order} <= {FORENSIC}:
            _attack_table(console, figures, task, [a for a in attacks if a in made], n)
        detectors, defenses = (
            list(dict.fromkeys(f.component for f in order if f.role == role))
            for role in ("detector", "defense")
        )
        if detectors:
            _detector_table(console, figures, task, attacks, detectors, n, noises=noises)
        if defenses:
            _defense_table(console, figures, task, attacks, defenses, n)
        settings = result.manifest.get("settings", {})
        channel_tables(console, whole.where(task=task, seed=seeds[0]), task, settings.get("channels", ()))
        qualities = settings.get("picture_qualities", ())
        forensic_tables(console, rows.rows, task, qualities)
        for role in dict.fromkeys(f.role for f in order if f.role not in (*ROLES, FORENSIC)):
            _other_table(console, figures, task, role, [f for f in order if f.role == role], definitions)
        _sweep_table(console, rows, task)
    for line in _explained(console, every):
        console.say(line, "dim")
    for warned in warnings(result.rows, cells):
        console.say(f"note: {warned.head}. {warned.meaning}", "yellow")
        for task, name, told in warned.where:
            console.say(f"  {task} / {name}: {told}", "yellow")
    if {*every.names("role")} - {FORENSIC} and ADAPTIVE not in every.names("knowledge"):
        console.say(OBLIVIOUS_ONLY)


def _explained(console: Terminal, rows: FigureTable) -> Iterator[str]:
    """What has to be known to read the tables, once for all of them."""
    if not rows.rows:
        return
    yield arrows_explained(console)
    detectors = rows.where(role="detector")
    if detectors.rows:
        point = detectors.strict
        at = f"at the threshold for {point.rate}% false alarms; " if point.strict else ""
        yield (
            f"found: share of attacked images that are flagged, {at}F1: at the threshold that is best on "
            "calibration faces; AUROC: attacked images against clean ones"
        )
    if rows.where(role=("attack", "defense")).rows:
        yield "output MSE: squared levels of 0 to 255; passes: images through the generator, per image"
    n = max(rows.names("n"))
    if 0 < n < FEW:
        yield f"{n} images are few: 0% of them may be up to {1 - TAIL ** (1 / n):.0%} of all"


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
    title = f"{task}: disruption where nothing defends (n = {n}; more is a stronger attack)"
    table = FittingTable(title, ["attack"])
    errors = [Head(["output", "MSE"], "higher"), Head(["its", "median"], "higher")]
    rules = ["success"]
    if figures.rows.where(role="attack", metric="success_identity").rows:
        rules.append("success_identity")  # of profiles that compare who is shown
    heads = {"success": ["success"], "success_identity": ["other", "person"]}
    table.groups = [[Head(["eps"])], errors, [Head(heads[rule], "higher") for rule in rules]]
    for attack in attacks:
        strengths = figures.rows.where(attack=attack).names("eps")
        eps = f"{strengths[0] * 255:g}/255" if strengths else "failed"
        disruption = [figures.disruption(attack, m) for m in ("mse_o", "median_mse_o")]
        shares = [figures.show("attack", attack, attack, rule, form=".0%") for rule in rules]
        table.add_row([figures.badged("attack", attack)], [eps, *disruption, *shares])
    table.print(console)


def _detector_table(
    console: Terminal,
    figures: _Figures,
    task: str,
    attacks: list[str],
    labels: list[str],
    n: int,
    by: str = "",
    noises: Collection[str] = (),
) -> None:
    rows = figures.rows.where(role="detector")
    point, free = rows.strict, rows.number(".2f", metric="f1_of_all")
    head = " ".join(filter(None, ("detection", by)))
    table = FittingTable(
        f"{task}: {head} (n = {n} clean and {n} attacked; flagging all has F1 {free})", ["detector"]
    )
    quiet = [NONE, *(a for a in attacks if a in noises)]
    table.groups = [[Head(["false", "alarms", "clean" if a == NONE else a], "lower")] for a in quiet]
    found = [a for a in attacks if a not in noises]
    kept = bool(rows.where(metric=_KEPT).rows)
    for attack in found:
        heads = ["found", "F1", "AUROC"]
        table.groups.append([Head([attack, "", name], "higher") for name in heads])
        if kept:
            table.groups.append([Head([attack, "", "kept"], "lower")])
    table.groups.append([Head(["passes"])])
    for label in labels:
        alarms = [
            figures.show("detector", a, label, "fpr_clean" if a == NONE else "recall", point, ".0%")
            for a in quiet
        ]
        cells = []
        for a in found:
            cells += [
                figures.show("detector", a, label, "recall", point, ".0%"),
                figures.show("detector", a, label, "f1", Variant(BEST_F1), ".2f"),
                figures.show("detector", a, label, "auroc", form=".2f"),
            ]
            if kept:
                cells.append(figures.show("detector", a, label, _KEPT, form=".2f"))
        passes = figures.show("detector", NONE, label, "forwards", form=".0f")
        table.add_row([figures.badged("detector", label)], [*alarms, *cells, passes])
    table.print(console)


_KEPT = "kept_at_95_evasion"
"""Of the strongest disruption, what is left in images that go undetected."""


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
    table = FittingTable(f"{task}: {role}", [role, "figure"])
    table.groups = [[Head(["clean" if attack == NONE else attack])] for attack in attacks]
    for component in dict.fromkeys(f.component for f in order):
        own = figures.rows.where(role=role, component=component)
        for figure in definitions.of(role):
            for variant in own.where(metric=figure.name).names("variant"):
                values = [own.first(variant, metric=figure.name, attack=a) for a in attacks]
                form, factor = f".{figure.told.digits}f", figure.factor
                cells = [MISSING if v is None else v.times(factor).text(form) for v in values]
                unit = f" ({figure.told.unit})" if figure.unit else ""
                name = f"{figure.name} {variant}".strip()
                better = arrow(console, figure.better)
                table.add_row(
                    [figures.badged(role, component), stacked(f"{name}{unit} {better}".rstrip())], cells
                )
    if table.rows:
        table.print(console)


def _sweep_table(console: Terminal, rows: FigureTable, task: str) -> None:
    """Figure 3: F1 of each detector against the attacker's steps."""
    curves = [curve for own in rows.sweeps(task).values() for curve in own]
    if not curves:
        return
    n = curves[0].points[0][1].n
    steps = sorted({number for curve in curves for number, _ in curve.points})
    table = FittingTable(
        f"{task}: F1 after so many steps of one run of the attack (n = {n} clean and {n} attacked)",
        ["attack", "detector"],
        [[Head([str(number)], "higher")] for number in steps],
    )
    for curve in curves:
        found = dict(curve.points)
        shown = [f"{found[number].value:.2f}" if number in found else MISSING for number in steps]
        table.add_row([curve.attack.attack, curve.component], shown)
    table.print(console)


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
    table = FittingTable(f"{task}: {head} (mean / median, n = {n})", ["defense"])
    kept = bool(figures.rows.where(role="defense", metric="kept").rows)
    for attack in (NONE, *attacks):
        table.groups.append([Head(["clean" if attack == NONE else attack], "lower")])
        if kept and attack != NONE:
            table.groups.append([Head([attack, "kept"], "lower")])
    table.groups.append([Head(["passes"])])
    for label in labels:
        cells = []
        for a in (NONE, *attacks):
            both = (figures.show("defense", a, label, m, form=".0f") for m in ("mse_o", "median_mse_o"))
            cells.append(" / ".join(both))
            if kept and a != NONE:
                cells.append(figures.show("defense", a, label, "kept", form=".2f"))
        most = [figures.show("defense", a, label, "forwards", form=".0f") for a in attacks]
        name = {"identity": "undefended", "oracle": "oracle (sees the truth)"}.get(label, label)
        passes = max(most, key=lambda v: float(v) if v != "-" else 0.0, default="-")
        table.add_row([figures.badged("defense", label, name)], [*cells, passes])
    table.print(console)
