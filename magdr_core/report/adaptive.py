"""What attacks that know the whole pipeline did: trade-off curves of detectors, and every mode's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup

from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.chart import Axis, Chart, MarkStyle, Point, Series, draw
from magdr_core.report.detection_tables import point_name
from magdr_core.report.figures import (
    FINE_POINT,
    IDENTITY,
    OBLIVIOUS,
    AttackCondition,
    Figures,
    FigureValue,
    Variant,
)
from magdr_core.report.formatting import (
    Block,
    Column,
    Table,
    TableLine,
    column,
    percent,
    shown,
    values_of,
    whole_percent,
)
from magdr_core.results.cell import ADAPTIVE

_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_DISRUPTION = DEFINITIONS["detector", "mse_o"]
_disruption = values_of(_DISRUPTION)


@dataclass(frozen=True)
class Adapted:
    """A task's adaptive attacks.

    Attributes:
        drawings: (title, drawing) of each attack with a curve.
        tables: by what the template calls them; those without rows are left out.
        suite: the name of what attacked; runs with the same one faced the same attacks.
    """

    drawings: list[tuple[str, Markup]]
    tables: dict[str, Table]
    suite: str = ""


def adapted(figures: Figures, task: str, name: str) -> Adapted | None:
    """None where no attack knew anything; `name` is for ids."""
    attacks = [c for c in figures.attacks(task) if c.knowledge == ADAPTIVE]
    if not attacks:
        return None
    drawings = []
    for number_of, attack in enumerate(attacks, 1):
        curves = [c for d in figures.components(task, "detector") if (c := _curve(figures, task, attack, d))]
        if curves:
            title = f"Detection against disruption, {task}: {attack.label}, {attack.strength}"
            drawings.append((title, _draw(title, curves, f"{name}-{number_of}")))
    tables = {
        "detectors": _detectors(figures, task, attacks),
        "detector_modes": _modes(figures, task, attacks, "detector"),
        "defenses": _defenses(figures, task, attacks),
        "defense_modes": _modes(figures, task, attacks, "defense"),
    }
    found = {key: table for key, table in tables.items() if table is not None}
    suite = str(figures.run.manifest.get("adaptive_suite") or "")
    return Adapted(drawings, found, suite) if found or drawings else None


# -- the curve ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """A detector's trade-off: (words, disruption, share detected) per point.

    Attributes:
        points: of growing penalties.
        oblivious, pooled: the attack that knows nothing, and what evades best of everything that was tried.
    """

    component: str
    points: tuple[tuple[str, FigureValue, FigureValue], ...]
    oblivious: tuple[FigureValue, FigureValue] | None
    pooled: tuple[FigureValue, FigureValue] | None


def _curve(figures: Figures, task: str, attack: AttackCondition, component: str) -> Curve | None:
    point = figures.strict_point(task)

    def at(mode: Variant, metric: str = "mse_o") -> tuple[FigureValue, FigureValue] | None:
        disruption = figures.get(task, attack, "detector", component, metric, mode)
        caught = figures.get(task, attack, "detector", component, "recall", _at(point, mode))
        return (disruption, caught) if disruption and caught else None

    weighed = []
    for mode in figures.variants(task, "mse_o"):
        if mode.penalty is not None and (found := at(mode)):
            weighed.append((mode.penalty, found))
    points = tuple((f"penalty {w:g}", *pair) for w, pair in sorted(weighed, key=lambda one: one[0]))
    pooled = at(Variant(), "mse_o_undetected")
    return Curve(component, points, at(Variant(name=OBLIVIOUS)), pooled) if points or pooled else None


def _at(point: Variant, mode: Variant) -> Variant:
    """A mode's figures at an operating point."""
    return replace(mode, point=point.point)


def _draw(title: str, curves: Sequence[Curve], name: str) -> Markup:
    series, said = [], []
    for index, curve in enumerate(curves):
        along = [(OBLIVIOUS, *curve.oblivious)] if curve.oblivious else []
        along += curve.points
        best = [("best of all modes, undetected,", *curve.pooled)] if curve.pooled else []
        drawn, apart = (
            tuple(
                Point(_DISRUPTION.factor * d.value, r.value, f"{curve.component}, {words} {_said(d, r)}")
                for words, d, r in some
            )
            for some in (along, best)
        )
        series.append(Series(MarkStyle.number(index), drawn, curve.component, joined=True, apart=apart))
        told = [f"{words} {_said(d, r)}" for words, d, r in (*along, *best)]
        said.append(f"{curve.component}: {'; '.join(told)}")
    chart = Chart(
        title=title,
        described=". ".join(said) + ".",
        x=Axis("output MSE without a defense, squared levels", low=0.0),
        y=Axis("attacked images that are detected", low=0.0, high=1.0, ticks=_SHARES, show=whole_percent),
        series=tuple(series),
    )
    return draw(chart, name)


def _said(disruption: FigureValue, caught: FigureValue) -> str:
    return f"output MSE {_disruption(disruption.value)}, {percent(caught.value)} detected"


# -- the tables -----------------------------------------------------------------------------------------


def _before(figures: Figures, task: str, attack: AttackCondition) -> AttackCondition | None:
    """The oblivious attack of the same name."""
    same = (c for c in figures.attacks(task) if c.attack == attack.attack and not c.knowledge)
    return next(same, None)


def _detectors(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    point, of = figures.strict_point(task), partial(column, "detector")
    fine, strict = f"F1, {point_name(FINE_POINT)}", f"detected, {point_name(point)}"
    columns = [
        of("f1", "F1", "oblivious", group=fine),
        of("f1", "F1", "adaptive", group=fine),
        of("recall", "Detected", "oblivious", show=percent, group=strict),
        of("recall", "Detected", "adaptive", show=percent, group=strict),
        of("mse_o", "Output MSE", "oblivious, all images"),
        of("mse_o_undetected", "Output MSE", "adaptive, flagged as 0"),
        of("success_undetected", "Undetected success", "output MSE > 813", show=percent),
        of("kept_at_95_evasion", "Kept at 95% evasion", "of the strongest undefended MSE", show=percent),
        of("kept_targeted", "Kept at 95% evasion", "of the way to the target", show=percent),
    ]
    seeds, blocks = len(figures.seeds(task)), []
    for attack in attacks:
        before, found = _before(figures, task, attack), []
        for component in figures.components(task, "detector"):

            def get(
                metric: str, variant: Variant | str = "", where: AttackCondition | None = attack
            ) -> FigureValue | None:
                if where is None:
                    return None
                return figures.get(task, where, "detector", component, metric, variant)  # noqa: B023

            own = [
                get("f1", FINE_POINT, before),
                get("f1", FINE_POINT),
                get("recall", point, before),
                get("recall", point),
                get("mse_o", OBLIVIOUS),
                get("mse_o_undetected"),
                get("success_undetected"),
                get("kept_at_95_evasion"),
                get("kept_targeted"),
            ]
            failed = figures.failed(task, attack, "detector", component)
            if not failed and not any(own[i] for i in (1, 3, 5)):
                continue
            line = TableLine(component)
            line.fields = [
                shown(f, c, failed=failed and f is None, seeds=seeds)
                for f, c in zip(own, columns, strict=True)
            ]
            found.append(line)
        blocks.append(Block(attack.label, attack.strength, found))
    return _table(f"Adaptive attacks on detectors, {task}", "Detector", columns, blocks)


def _defenses(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    of = partial(column, "defense", reference_competes=False)
    columns = [
        of("mse_o", "Output MSE", "oblivious"),
        of("mse_o", "Output MSE", "adaptive, best of all modes"),
        of("median_mse_o", "Output MSE", "adaptive, median"),
        of("ssim_o", "Output SSIM", "adaptive"),
        of("kept", "Kept", "of the strongest undefended MSE", show=percent),
        of("kept_targeted", "Kept", "of the way to the target", show=percent),
    ]
    seeds, blocks = len(figures.seeds(task)), []
    for attack in attacks:
        before, found = _before(figures, task, attack), []
        for component in figures.components(task, "defense"):
            about = (task, attack, "defense", component)
            own = [
                figures.get(task, before, "defense", component, "mse_o") if before else None,
                figures.get(*about, "mse_o"),
                figures.get(*about, "median_mse_o"),
                figures.get(*about, "ssim_o"),
                figures.get(*about, "kept"),
                figures.get(*about, "kept_targeted"),
            ]
            failed = figures.failed(*about)
            if not failed and own[1] is None:
                continue
            line = TableLine(component, "no defense" if component == IDENTITY else "")
            line.kind = "reference" if component == IDENTITY else ""
            line.fields = [
                shown(f, c, failed=failed and f is None, seeds=seeds)
                for f, c in zip(own, columns, strict=True)
            ]
            found.append(line)
        blocks.append(Block(attack.label, attack.strength, found))
    return _table(f"Adaptive attacks on defenses, {task}", "Defense", columns, blocks)


def _modes(figures: Figures, task: str, attacks: Sequence[AttackCondition], role: str) -> Table | None:
    """Every mode on its own, a block per attack and component."""
    point = figures.strict_point(task)
    detecting, of = role == "detector", partial(column, role, judged=False)
    columns = (
        [
            of("recall", "Detected", show=percent),
            of("mse_o", "Output MSE", "all images"),
            of("mse_o_undetected", "Output MSE", "what is flagged as 0"),
            of("success_undetected", "Undetected success", "output MSE > 813", show=percent),
        ]
        if detecting
        else [of("mse_o", "Output MSE"), of("median_mse_o", "Output MSE", "median")]
    )
    seeds, blocks = len(figures.seeds(task)), []
    for attack in attacks:
        for component in figures.components(task, role):
            about = (task, attack, role, component)
            found = []
            for mode in sorted(figures.variants(task, "mse_o"), key=str):
                if figures.get(*about, "mse_o", mode) is None:
                    continue
                own = (
                    [
                        figures.get(*about, "recall", _at(point, mode)),
                        *(
                            figures.get(*about, metric, mode)
                            for metric in ("mse_o", "mse_o_undetected", "success_undetected")
                        ),
                    ]
                    if detecting
                    else [figures.get(*about, metric, mode) for metric in ("mse_o", "median_mse_o")]
                )
                line = TableLine(str(mode) or "best per image")
                line.fields = [
                    shown(f, c, failed=False, seeds=seeds) for f, c in zip(own, columns, strict=True)
                ]
                found.append(line)
            blocks.append(Block(component, f"{attack.label}, {attack.strength}", found, compared=False))
    return _table(f"Adaptive attacks mode by mode, {task}: {role}s", "Mode", columns, blocks)


def _table(caption: str, head: str, columns: list[Column], blocks: list[Block]) -> Table | None:
    blocks = [block for block in blocks if block.lines]
    return Table(caption, head, columns, blocks).finished() if blocks else None
