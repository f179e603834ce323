"""The column `variant` of results.csv as one value: everything that is read out of it is read here.

As text it is `POINT, NAME, sweep STEPS`, whatever parts there are: `fpr1`, `best-f1, sweep 20`,
`fpr1, penalty=1 via autograd`, `ensemble`, `to jpeg`, a benign edit's label. Text of another form is kept
as it is.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from magdr_core.adaptive.attack import OBLIVIOUS

__all__ = ["BEST_F1", "ENSEMBLE", "OBLIVIOUS", "PLAIN", "STRICT", "Variant", "read_variant"]

BEST_F1 = "best-f1"
STRICT = "fpr"
"""Operating points: the threshold of the best F1, and the one set for a rate of false alarms (`fpr1`)."""

ENSEMBLE = "ensemble"
"""A defense whose output is averaged over processed inputs."""

SEPARATOR = ", "
_POINT = re.compile(rf"{BEST_F1}|{STRICT}[0-9][0-9.e+-]*")
_SWEEP = re.compile(r"sweep ([1-9][0-9]{0,8})")
_EARLIER = re.compile(rf"(?:({BEST_F1}) )?steps=([1-9][0-9]{{0,8}})")
"""As a version before 0.2 wrote a sweep."""

_LIKE_SWEEP = re.compile(r"(?:.+?,? )?(?:sweep |steps=)\d+", re.DOTALL)
_WEIGHT = "penalty="
_PENALTY = re.compile(rf"{_WEIGHT}(\S+)(?: .*)?", re.DOTALL)
_BASELINE = "to "


@dataclass(frozen=True)
class Variant:
    """What tells a row from others of the same metric.

    Attributes:
        point: of a detector, `best-f1` or `fpr1` and the like; empty where none is used.
        name: an adaptive attack's mode, `ensemble`, `to BASELINE`, a benign edit, or any other text.
        steps: after so many steps of one run of the attack; None if the row is of no sweep.

    Raises:
        ValueError: the parts would be read as others; `parse` takes any text.
    """

    point: str = ""
    name: str = ""
    steps: int | None = None

    def __post_init__(self) -> None:
        if _parts(self.format()) != (self.point, self.name, self.steps):
            raise ValueError(f"{self.format()!r} would not be read as these parts again")

    @classmethod
    def parse(cls, text: str) -> Variant:
        """The value of a text, of any text; `format` gives the text again."""
        return _parsed(text)

    @classmethod
    def at(cls, fpr: float) -> Variant:
        """The operating point for a rate of false alarms in (0,1): `fpr1` of .01."""
        return cls(f"{STRICT}{100 * fpr:g}")

    @classmethod
    def to(cls, baseline: str) -> Variant:
        """Of a paired difference to a baseline."""
        return cls.parse(f"{_BASELINE}{baseline}")

    def format(self) -> str:
        """As results.csv has it."""
        sweep = "" if self.steps is None else f"sweep {self.steps}"
        return SEPARATOR.join(filter(None, [self.point, self.name, sweep]))

    def with_(self, more: str) -> Variant:
        """With what a scenario says besides, after the parts of this one."""
        return Variant.parse(SEPARATOR.join(filter(None, [self.format(), more])))

    def __str__(self) -> str:
        return self.format()

    @property
    def strict(self) -> bool:
        """Whether the operating point is one set for a rate of false alarms."""
        return self.point.startswith(STRICT)

    @property
    def rate(self) -> str:
        """That rate in percent, as written; empty of another operating point."""
        return self.point.removeprefix(STRICT) if self.strict else ""

    @property
    def baseline(self) -> str:
        """What a paired difference is to; empty of other rows."""
        return self.name.removeprefix(_BASELINE) if self.name.startswith(_BASELINE) else ""

    @property
    def penalty(self) -> float | None:
        """The weight of an adaptive mode's penalty; None of other rows."""
        found = _PENALTY.fullmatch(self.name)
        try:
            weight = math.nan if found is None else float(found[1])
        except ValueError:
            return None
        return weight if math.isfinite(weight) else None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Variant:
    point, name, steps = _parts(text)
    return Variant(point, name, steps)


def _parts(text: str) -> tuple[str, str, int | None]:
    """Point, name and steps of a text, such that joining them gives it again."""
    point, name, steps = "", text, None
    first, comma, rest = name.partition(SEPARATOR)
    if _POINT.fullmatch(first) and (rest or not comma):
        point, name = first, rest
    before, comma, last = name.rpartition(SEPARATOR)
    if (found := _SWEEP.fullmatch(last)) and (before or not comma):
        name, steps = before, int(found[1])
    return point, name, steps


def read_variant(text: str) -> str:
    """A variant of a run folder, with what a version before 0.2 wrote in today's words.

    Raises:
        ValueError: what looks like a number of steps or a penalty is none.
    """
    earlier = _EARLIER.fullmatch(text)
    if earlier is not None:
        text = Variant(earlier[1] or "", "", int(earlier[2])).format()
    variant = _parsed(text)
    if variant.steps is None and _LIKE_SWEEP.fullmatch(text):
        raise ValueError(f"variant: {text[:80]!r} is no number of steps")
    if variant.name.startswith(_WEIGHT) and variant.penalty is None:
        raise ValueError(f"variant: {text[:80]!r} is no figure")
    return text


PLAIN = Variant()
"""Of rows that nothing tells from others of their metric."""
