"""What attacks that know the whole pipeline did: trade-off curves of detectors, and every mode's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup

from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report import svg as plots
from magdr_core.report.figures import (
    FINE_POINT,
    IDENTITY,
    OBLIVIOUS,
    AttackCondition,
    Figures,
    FigureValue,
    Variant,
)
from magdr_core.report.formatting import Block, Column, Table, TableLine, column, number, percent, shown
from magdr_core.results.cell import ADAPTIVE

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 540, 20, 324
_units = number(DEFINITIONS["detector", "mse_o"].digits)


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
    every = [pair for c in curves for pair in (*(p[1:] for p in c.points), c.oblivious, c.pooled) if pair]
    high = max([pair[0].value for pair in every] + [1e-6]) * 1.05
    x = plots.Axis(0.0, high, _LEFT + 8, _RIGHT - 8)
    y = plots.Axis(0.0, 1.0, _BOTTOM, _TOP)
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(plots.line(_LEFT, y(share), _RIGHT, y(share), "grid"))
        parts.append(plots.text(_LEFT - 8, y(share) + 4, f"{100 * share:g}%", "end", "tick"))
        parts.append(plots.text(x(share * high), _BOTTOM + 18, f"{share * high:.3g}", "middle", "tick"))
    parts.append(plots.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"))
    parts.append(plots.text(_LEFT - 44, _TOP - 8, "detected"))
    middle = (_LEFT + _RIGHT) / 2
    parts.append(plots.text(middle, _BOTTOM + 42, "output MSE without a defense, [-1,1] units", "middle"))
    ends = [y(_last(curve)[1].value) for curve in curves]
    heights = plots.spread(ends, 15, _TOP, _BOTTOM)
    said = []
    for index, (curve, height) in enumerate(zip(curves, heights, strict=True)):
        colour, shape, dash = plots.style(index)
        places = [(words, (x(d.value), y(r.value)), d, r) for words, d, r in curve.points]
        if curve.oblivious is not None:
            d, r = curve.oblivious
            places.insert(0, (OBLIVIOUS, (x(d.value), y(r.value)), d, r))
        parts.append(plots.path([p for _, p, _, _ in places], f"curve {colour}", dash))
        for words, (a, b), d, r in places:
            tip = f"{curve.component}, {words}: {_said(d, r)}"
            parts.append(plots.mark(a, b, shape, f"mark {colour}", tip, 4))
        told = [f"{words} {_said(d, r)}" for words, _, d, r in places]
        if curve.pooled is not None:
            d, r = curve.pooled
            tip = f"{curve.component}, undetected part of the best of all modes: {_said(d, r)}"
            parts.append(plots.mark(x(d.value), y(r.value), shape, f"mark {colour} hollow", tip, 7))
            told.append(f"best of all modes, undetected, {_said(d, r)}")
        end = _last(curve)
        parts.append(plots.line(x(end[0].value) + 6, y(end[1].value), _RIGHT + 6, height, f"lead {colour}"))
        parts.append(plots.mark(_RIGHT + 13, height, shape, f"mark {colour}", curve.component, 4))
        parts.append(plots.text(_RIGHT + 22, height + 4, curve.component, class_="label"))
        said.append(f"{curve.component}: {'; '.join(told)}")
    return plots.drawing(_WIDTH, _HEIGHT, title, ". ".join(said) + ".", parts, name)


def _last(curve: Curve) -> tuple[FigureValue, FigureValue]:
    """Where a curve's label leads to."""
    pairs = [p[1:] for p in curve.points[-1:]] + [p for p in (curve.pooled, curve.oblivious) if p]
    return pairs[0]


def _said(disruption: FigureValue, caught: FigureValue) -> str:
    return f"output MSE {_units(disruption.value)}, {percent(caught.value)} detected"


# -- the tables -----------------------------------------------------------------------------------------


def _before(figures: Figures, task: str, attack: AttackCondition) -> AttackCondition | None:
    """The oblivious attack of the same name."""
    same = (c for c in figures.attacks(task) if c.attack == attack.attack and not c.knowledge)
    return next(same, None)


def _detectors(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    point, of = figures.strict_point(task), partial(column, "detector")
    columns = [
        of("f1", "F1", "oblivious"),
        of("f1", "F1", "adaptive"),
        of("recall", "Detected", "oblivious", show=percent),
        of("recall", "Detected", "adaptive", show=percent),
        of("mse_o", "Output MSE", "oblivious, all images"),
        of("mse_o_undetected", "Output MSE", "adaptive, what is flagged as 0"),
        of("success_undetected", "Undetected success", "MSE > .05", show=percent),
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
        of("mse_o", "MSE (O)", "oblivious"),
        of("mse_o", "MSE (O)", "adaptive, best of all modes"),
        of("median_mse_o", "MSE (O)", "adaptive, median"),
        of("ssim_o", "SSIM (O)", "adaptive"),
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
            of("success_undetected", "Undetected success", "MSE > .05", show=percent),
        ]
        if detecting
        else [of("mse_o", "MSE (O)"), of("median_mse_o", "MSE (O)", "median")]
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
