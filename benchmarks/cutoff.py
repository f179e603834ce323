"""Detection and residue against the highest frequency of a smooth perturbation.

    python benchmarks/cutoff.py RUN/results.csv [CURVES.svg]

Takes a run of benchmarks/registries/cutoff.toml; prints its tables, and draws its curves where a file is
named. Recall is at the threshold for 1% false alarms; output MSE is 0 to 255 squared.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from adaptive_curves import GAP, HEIGHT, LEFT, STYLE, TOP, WIDTH
from markupsafe import Markup
from tables import table

from magdr_core.report import svg as plots
from magdr_core.results.frame import FigureTable
from magdr_core.results.variant import PLAIN, Variant

PREFIX = "cutoff-"
POINT = Variant.at(0.01)
FOOT, ROW = 70, 20
Line = tuple[str, list[tuple[float, float]]]
"""A name, and its (cut-off, figure) in ascending order."""


def cutoffs(rows: FigureTable) -> list[str]:
    """The attacks of the curves, by their cut-off."""
    return sorted((name for name in rows.names("attack") if name.startswith(PREFIX)), key=share)


def share(attack: str) -> float:
    """Of Nyquist, up to 1."""
    return int(attack.removeprefix(PREFIX)) / 100


def others(rows: FigureTable) -> list[str]:
    """The attacks beside the curves: their names, in the rows' order."""
    return [name for name in rows.where(role="attack").names("attack") if not name.startswith(PREFIX)]


def shown(attack: str) -> str:
    return f"{share(attack):g}" if attack.startswith(PREFIX) else attack


def detection(rows: FigureTable) -> str:
    lines = []
    for name in rows.where(role="detector").names("component"):
        for attack in [*cutoffs(rows), *others(rows)]:
            own = rows.where(role="detector", component=name, attack=attack)
            figures = [own.text(".3f", metric="auroc"), own.text(".2f", POINT, metric="recall")]
            lines.append([name, shown(attack), *figures, own.text(".3f", metric="auroc_noise")])
    return table(["detector", "cut-off", "AUROC", "recall at 1%", "AUROC against noise"], lines)


def residue(rows: FigureTable) -> str:
    own = rows.where(role="defense")
    lines = []
    for attack in [*cutoffs(rows), *others(rows), "none"]:
        left = [own.text(".0f", component=d, attack=attack, metric="mse_o") for d in own.names("component")]
        lines.append([shown(attack), *left])
    return table(["cut-off", *own.names("component")], lines)


def curve(rows: FigureTable, name: str, metric: str, variant: Variant = PLAIN) -> Line:
    """A figure of the rows over the cut-off."""
    found = ((share(a), rows.first(variant, attack=a, metric=metric)) for a in cutoffs(rows))
    return name, [(x, figure.value) for x, figure in found if figure is not None]


def panel(
    lines: Iterable[Line], title: str, left: float, y: plots.Scale, ticks: Iterable[float], first: int
) -> list[Markup]:
    """A panel of curves; `first` is the place of its first one in the legend."""
    lines = list(lines)
    places = sorted({x for _, points in lines for x, _ in points})
    x = plots.Scale(places[0], places[-1], left + 10, left + WIDTH - LEFT - 10, math.log2)
    parts = [plots.text(left, y.end - 12, title, class_="head")]
    for tick in ticks:
        parts.append(plots.line(left, y(tick), left + WIDTH - LEFT, y(tick), "grid"))
        parts.append(plots.text(left - 7, y(tick) + 4, f"{tick:g}", "end", "tick"))
    for place in places:
        parts.append(plots.line(x(place), y.start, x(place), y.start + 4, "axis"))
        parts.append(plots.text(x(place), y.start + 17, f"{place:g}", "middle", "tick"))
    parts.append(plots.line(left, y.start, left + WIDTH - LEFT, y.start, "axis"))
    for index, (name, points) in enumerate(lines, first):
        colour, shape, dash = plots.style(index)
        parts.append(plots.path([(x(a), y(b)) for a, b in points], f"curve {colour}", dash))
        for a, b in points:
            parts.append(plots.mark(x(a), y(b), shape, f"mark {colour}", f"{name}: {b:.3g} at {a:g}", 4))
    return parts


def legend(names: Iterable[str], left: float, top: float, first: int) -> list[Markup]:
    """Of the curves of a panel, in rows as wide as it is."""
    parts: list[Markup] = []
    start = left
    for index, name in enumerate(names, first):
        if left > start and left + 33 + 7 * len(name) > start + WIDTH:
            left, top = start, top + ROW
        colour, shape, dash = plots.style(index)
        parts.append(plots.path([(left, top), (left + 26, top)], f"curve {colour}", dash))
        parts.append(plots.mark(left + 13, top, shape, f"mark {colour}", name, 4))
        parts.append(plots.text(left + 33, top + 4, name))
        left += 46 + 7 * len(name)
    return parts


def draw(rows: FigureTable) -> str:
    found: list[Line] = []
    for name in rows.where(role="detector").names("component"):
        own = rows.where(role="detector", component=name)
        found += [curve(own, f"AUROC, {name}", "auroc"), curve(own, f"recall, {name}", "recall", POINT)]
    own = rows.where(role="defense")
    left_over = [curve(own.where(component=d), d, "mse_o") for d in own.names("component")]
    most = max(value for _, points in left_over for _, value in points)
    bottom = TOP + HEIGHT - 40
    log: Callable[[float], float] = plots.log1p10
    decades = [tick for tick in plots.decades(most) if tick <= most]
    second = WIDTH + GAP + 80
    width, height = second + WIDTH + 40, bottom + FOOT + 4 * ROW
    n = rows.names("n")[0]
    parts = [
        plots.element("style", Markup(STYLE)),
        plots.element("rect", class_="paper", width=width, height=height),
        *panel(
            found,
            f"detected (n = {n})",
            LEFT + 10,
            plots.Scale(0.0, 1.0, bottom, TOP),
            (0.0, 0.25, 0.5, 0.75, 1.0),
            0,
        ),
        *panel(
            left_over,
            "output MSE left, 0 to 255 squared",
            second,
            plots.Scale(0.0, most, bottom, TOP, log),
            decades,
            len(found),
        ),
    ]
    words = "Highest frequency of the perturbation, as a share of Nyquist"
    parts.append(plots.text(LEFT + 10, bottom + 42, words))
    parts += legend([name for name, _ in found], LEFT + 16, bottom + 68, 0)
    parts += legend([name for name, _ in left_over], second, bottom + 68, len(found))
    title = "Detection and residue against a perturbation's highest frequency"
    drawing = plots.drawing(width, height, title, words, parts, "cutoff-curves")
    return str(drawing).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def main(source: Path, picture: Path | None) -> None:
    rows = FigureTable.read(source)
    print(f"n = {min(rows.names('n'))}\n\n## Detection\n\n{detection(rows)}\n")
    print(f"## Output MSE, 0 to 255 squared\n\n{residue(rows)}")
    if picture is not None:
        picture.write_text(draw(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
