"""Draws detection against disruption of attacks that know everything, a panel for each task and strength.

python benchmarks/adaptive_curves.py benchmarks/results/faces64-adaptive.csv docs/pictures/adaptive-curves.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from adaptive import POINT, WITHOUT, at_point, components, groups, penalties
from markupsafe import Markup

from magdr_core.report import svg as plots
from magdr_core.results.frame import FigureTable
from magdr_core.results.variant import PLAIN, Variant

WIDTH, HEIGHT, GAP, FOOT = 300, 230, 26, 70
LEFT, TOP = 44, 34
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

STYLE = """
.paper { fill: #fff; }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1b1f24; }
.tick { fill: #59626b; font-size: 11px; }
.head { font-weight: 700; }
.grid { stroke: #e3e6e9; }
.axis { stroke: #59626b; }
.curve { fill: none; stroke: var(--c); stroke-width: 1.6; }
.mark { fill: var(--c); stroke: #fff; }
.mark.hollow { fill: none; stroke: var(--c); stroke-width: 2; }
.c0 { --c: #0072b2; } .c1 { --c: #c44d00; } .c2 { --c: #007d5b; } .c3 { --c: #a94986; }
.c4 { --c: #8a6100; } .c5 { --c: #2585bd; } .c6 { --c: #4d4d4d; }
"""


def value(rows: FigureTable, metric: str, variant: Variant = PLAIN) -> float | None:
    found = rows.first(variant, metric=metric)
    return None if found is None else found.value


def points(known: FigureTable) -> tuple[list[tuple[float, float]], tuple[float, float] | None]:
    """(disruption, share detected) of the attack that knows nothing and of growing penalties; and of the
    pool, of which only the undetected part counts. Disruption is a share of the undefended attack's."""
    whole = value(known, "mse_o", WITHOUT)
    if not whole:
        return [], None
    line = []
    for mode in (WITHOUT, *penalties(known)):
        disruption, caught = value(known, "mse_o", mode), value(known, "recall", at_point(mode))
        if disruption is not None and caught is not None:
            line.append((disruption / whole, caught))
    undetected, caught = value(known, "mse_o_undetected"), value(known, "recall", POINT)
    pool = None if undetected is None or caught is None else (undetected / whole, caught)
    return line, pool


def panel(
    rows: FigureTable, names: list[str], title: str, left: float, top: float, most: float
) -> list[Markup]:
    x = plots.Scale(0.0, most, left, left + WIDTH - LEFT - 10)
    y = plots.Scale(0.0, 1.0, top + HEIGHT - 40, top)
    parts = [plots.text(left, top - 12, title, class_="head")]
    for share in SHARES:
        parts.append(plots.line(x.start, y(share), x.end, y(share), "grid"))
        parts.append(plots.text(left - 7, y(share) + 4, f"{share:.0%}", "end", "tick"))
    for tick in range(int(most / 0.5) + 1):
        parts.append(plots.line(x(tick / 2), y.start, x(tick / 2), y.start + 4, "axis"))
        parts.append(plots.text(x(tick / 2), y.start + 17, f"{tick / 2:.0%}", "middle", "tick"))
    parts.append(plots.line(x.start, y.start, x.end, y.start, "axis"))
    for name, known, _ in components(rows):
        colour, shape, dash = plots.style(names.index(name))
        line, pool = points(known)
        parts.append(plots.path([(x(a), y(b)) for a, b in line], f"curve {colour}", dash))
        for a, b in line:
            tip = f"{name}: {a:.0%} of the disruption, {b:.0%} detected"
            parts.append(plots.mark(x(a), y(b), shape, f"mark {colour}", tip, 4))
        if pool is not None:
            tip = f"{name}, best of all modes: {pool[0]:.0%} of the disruption undetected"
            parts.append(plots.mark(x(pool[0]), y(pool[1]), shape, f"mark {colour} hollow", tip, 7))
    return parts


def draw(rows: FigureTable) -> str:
    found = [(task, eps, own) for task, eps, own in groups(rows, "detector")]
    tasks = list(dict.fromkeys(task for task, _, _ in found))
    strengths = sorted({eps for _, eps, _ in found}, key=lambda eps: int(eps.partition("/")[0]))
    names = list(dict.fromkeys(name for _, _, own in found for name, _, _ in components(own)))
    every = [p for _, _, own in found for _, known, _ in components(own) for p in [*points(known)[0]]]
    pools = [p for _, _, own in found for _, known, _ in components(own) if (p := points(known)[1])]
    most = max([a for a, _ in (*every, *pools)] + [1.0]) * 1.03
    width = 20 + len(tasks) * (WIDTH + GAP)
    height = TOP + len(strengths) * (HEIGHT + GAP) + FOOT - GAP
    parts = [
        plots.element("style", Markup(STYLE)),
        plots.element("rect", class_="paper", width=width, height=height),
    ]
    for task, eps, own in found:
        column, line = tasks.index(task), strengths.index(eps)
        left, top = 10 + column * (WIDTH + GAP) + LEFT, TOP + line * (HEIGHT + GAP)
        sizes = sorted({known.names("n")[0] for _, known, _ in components(own)})
        n = " to ".join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))
        parts += panel(own, names, f"{task}, {eps} (n = {n})", left, top, most)
    bottom = height - 40
    words = "Share detected (up) against disruption (right; 100%: the attack that knows the generator alone)"
    parts.append(plots.text(LEFT + 10, bottom, f"{words}. Hollow: the best of all modes, undetected."))
    at = LEFT + 16.0
    for index, name in enumerate(names):
        colour, shape, dash = plots.style(index)
        parts.append(plots.path([(at, bottom + 20), (at + 26, bottom + 20)], f"curve {colour}", dash))
        parts.append(plots.mark(at + 13, bottom + 20, shape, f"mark {colour}", name, 4))
        parts.append(plots.text(at + 33, bottom + 24, name))
        at += 60 + 7 * len(name)
    title = "Detection against disruption by attacks that know everything"
    drawing = plots.drawing(width, height, title, words, parts, "adaptive-curves")
    return str(drawing).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


if __name__ == "__main__":
    source, out = map(Path, sys.argv[1:])
    out.write_text(draw(FigureTable.read(source)), encoding="utf-8")
