"""Every figure of the roles attack, detector and defense: the one place that says what a metric is.

Figures of other roles come from the plugins that bring the roles; a run's manifest lists them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from magdr_core.components.figure import Figure
from magdr_core.measures.attack_figures import attack_figures
from magdr_core.measures.defense_figures import defense_figures
from magdr_core.measures.detector_figures import decision_figures, detector_figures

FIGURES: tuple[Figure, ...] = (
    *attack_figures(),
    *decision_figures(),
    *detector_figures(),
    *defense_figures(),
)

DECISIONS = frozenset(figure.name for figure in decision_figures())
"""A detector's figures that depend on its operating point."""


class Definitions:
    """Figures by role and name: those of the table above, and of the plugins' roles that a run has.

    Args:
        more: of other roles, or of a role of the table under other names.
    """

    def __init__(self, more: Iterable[Figure] = ()) -> None:
        self._found: dict[tuple[str, str], Figure] = {}
        for figure in (*FIGURES, *more):
            # What the table says of a figure holds, whatever a run folder says of it.
            self._found.setdefault((figure.role, figure.name), figure)

    def get(self, role: str, name: str) -> Figure | None:
        return self._found.get((role, name))

    def __getitem__(self, about: tuple[str, str]) -> Figure:
        """The figure of (role, name). Raises KeyError if there is none."""
        return self._found[about]

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._found.values())

    def of(self, role: str) -> list[Figure]:
        """The figures of a role, in order of definition."""
        return [figure for figure in self if figure.role == role]

    def named(self, name: str) -> list[Figure]:
        """The figures of all roles with this name."""
        return [figure for figure in self if figure.name == name]

    @property
    def by_name(self) -> Mapping[str, list[Figure]]:
        """Figures by their names, of all roles."""
        return {figure.name: self.named(figure.name) for figure in self}


DEFINITIONS = Definitions()
"""The figures of attacks, detectors and defenses."""

ROLES = tuple(dict.fromkeys(figure.role for figure in FIGURES))
"""The roles that core measures and draws itself; others are shown in plain tables."""
