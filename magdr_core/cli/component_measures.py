"""What is measured of components, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from magdr_core.hosting.component_figures import ADAPTIVE, ComponentFigure, figures_of_package
from magdr_core.hosting.manager import Entry
from magdr_core.measures.definitions import DEFINITIONS

LEGEND = (
    "Figures: what packages ship of measurements, with 95% intervals and the page they are from (of magdr's "
    "own in benchmarks/results), under an attack that does not know the defense (oblivious) and one that "
    "does (adaptive). Output MSE is in squared levels of 0 to 255. A component without lines has none under "
    "its own name and parameters."
)

WORDS = {
    "recall": "attacked faces detected at the threshold for 1% false alarms (higher is better)",
    "fpr_clean": "clean faces called attacked (lower is better)",
    "mse_o": "output MSE",
    "success": "faces disrupted",
}
"""Of metrics; others are shown by their names."""

CLEAN = "none"


def figures_of(entry: Entry) -> Sequence[ComponentFigure]:
    """What the component's package says of it.

    Raises:
        PluginError: the package's file of figures is damaged.
    """
    package = entry.origin.package
    if package is None:
        return ()
    name = entry.name.rpartition("/")[2]
    return figures_of_package(package).get((entry.kind, name), ())


def measure_lines(figures: Sequence[ComponentFigure]) -> Iterator[str]:
    """A line for each task and measure: clean, oblivious and adaptive figures side by side."""
    groups: dict[tuple[str, str], list[ComponentFigure]] = {}
    for one in figures:
        groups.setdefault((one.task, one.measure), []).append(one)
    for (task, measure), found in groups.items():
        yield f"{task}: {_words(measure, found)}: {'; '.join(_told(found))}"


def _words(measure: str, found: Sequence[ComponentFigure]) -> str:
    words = WORDS.get(measure, measure)
    if measure == "mse_o":
        better = "higher disrupts more" if found[0].kind == "attack" else "lower is better"
        return f"{words} ({better})"
    return words


def _told(found: Sequence[ComponentFigure]) -> Iterator[str]:
    for one in sorted(found, key=lambda one: (one.knowledge == ADAPTIVE, one.attack != CLEAN)):
        yield f"{_against(one)} {_number(one)} (n = {one.n}, {one.page}{_remark(one)})"
    attacked = [one for one in found if one.attack not in ("", CLEAN)]
    if attacked and not any(one.knowledge == ADAPTIVE for one in found):
        yield "adaptive: not measured"


def _against(one: ComponentFigure) -> str:
    if one.attack == CLEAN:
        return "clean"
    strength = f"{255 * one.eps:.3g}/255"
    if not one.attack:
        return strength
    knowledge = "undefended" if one.knowledge == "none" else one.knowledge
    return f"{knowledge}, {one.attack} {strength},"


def _number(one: ComponentFigure) -> str:
    def shown(value: float) -> str:
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"

    figure = DEFINITIONS.get(one.kind, one.measure)
    factor = 1.0 if figure is None else figure.factor
    value, low, high = (shown(factor * number) for number in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]"


def _remark(one: ComponentFigure) -> str:
    return f"; {one.remark}" if one.remark else ""
