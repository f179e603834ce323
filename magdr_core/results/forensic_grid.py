"""The figures of a run's forensic models, looked up by forgery and quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from magdr_core.results.cell import FORGED
from magdr_core.results.columns import Row
from magdr_core.results.frame import NONE, FigureValue

ROLE = "forensic"

SEEN = "seen"
"""How the variant of a row begins of which a model has seen everything before."""


class ForensicGrid:
    """The rows of one task.

    Args:
        rows: as results.csv has them; those of other roles are passed over.

    Attributes:
        models: labels, in the rows' order.
        qualities: labels of what pictures went through; an empty text of untouched ones, which come first.
    """

    def __init__(self, rows: Iterable[Row], qualities: Sequence[str] = ()) -> None:
        self._found: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
        self._marks: dict[tuple[str, str, str], str] = {}
        models, there = dict[str, None](), dict[str, None]()
        for row in rows:
            if row["role"] != ROLE:
                continue
            mark, _, quality = row["variant"].partition(", ")
            self._found[(row["attack"], row["component"], quality, row["metric"])].append(row)
            self._marks[(row["attack"], row["component"], quality)] = mark
            models[row["component"]] = None
            there[quality] = None
        self.models = list(models)
        order = ["", *qualities]
        self.qualities = sorted(there, key=lambda q: (order.index(q) if q in order else len(order), q))

    def attacks(self, metric: str) -> list[str]:
        """The images that a metric is of, forged ones by `forged:LABEL`, reals by `none`."""
        return list(dict.fromkeys(attack for attack, _, _, name in self._found if name == metric))

    def get(self, attack: str, model: str, metric: str, quality: str = "") -> FigureValue | None:
        """A figure; of several seeds one figure for all."""
        return FigureValue.of(self._found.get((attack, model, quality, metric), ()))

    def mark(self, attack: str, model: str, quality: str = "") -> str:
        """What of these pictures a model has not seen before, as the variant has it; `seen` if nothing."""
        return self._marks.get((attack, model, quality), SEEN)

    def mean(
        self, model: str, metric: str, quality: str = "", *, attacks: Iterable[str] | None = None
    ) -> float | None:
        """The mean of a metric over forgeries, all that it is of unless some are named; None of none."""
        wanted = self.attacks(metric) if attacks is None else attacks
        found = [value for a in wanted if (value := self.get(a, model, metric, quality)) is not None]
        return sum(value.value for value in found) / len(found) if found else None

    def unseen(self, model: str, metric: str, quality: str = "") -> list[str]:
        """The forgeries that are new to a model, whatever the quality is."""
        marks = {a: self.mark(a, model, quality) for a in self.attacks(metric) if a != NONE}
        return [a for a, mark in marks.items() if "family" in mark or "member" in mark]


def family(attack: str) -> str:
    """What a column is called: the forgery's label, or what else the pictures are."""
    return "real" if attack == NONE else attack.removeprefix(FORGED)
