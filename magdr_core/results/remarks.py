"""What a reader of detection figures must be told beside them: a score turned round, an F1 that is free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from magdr_core.measures.statistics import f1_of_all
from magdr_core.results.cell import CellResult, as_cells
from magdr_core.results.columns import Row
from magdr_core.results.variant import BEST_F1, Variant

CHANCE = 0.5
"""AUROC of a score that knows nothing."""

FLAG_ALL = f1_of_all(np.zeros(1), np.zeros(1))
"""F1 of flagging every image, of as many attacked as clean ones."""


def remarks(rows: Sequence[Row], cells: Iterable[CellResult | Mapping[str, Any]]) -> dict[str, list[str]]:
    """Sentences by task, one per detector and fault, over all attacks and seeds; 95% intervals decide.

    An AUROC is called inverted if its whole interval is below one half. An F1 is called free if it is no
    higher than that of flagging everything, and unsure if it is higher and its interval is not. Random noise
    is no attack that has to be detected.
    """
    said: dict[str, list[str]] = {}
    for (task, component, fault), figures in _found(rows, cells).items():
        said.setdefault(task, []).append(_FAULTS[fault].format(component, figures))
    return said


class Warned(NamedTuple):
    """A fault, what it means, and the figures that have it.

    Attributes:
        where: (task, detector, figures).
    """

    head: str
    meaning: str
    where: tuple[tuple[str, str, str], ...]


def warnings(rows: Sequence[Row], cells: Iterable[CellResult | Mapping[str, Any]]) -> list[Warned]:
    """The same by fault, each explained once."""
    found = _found(rows, cells)
    return [
        Warned(head, meaning, where)
        for fault, (head, meaning) in _MEANINGS.items()
        if (where := tuple((task, name, told) for (task, name, of), told in found.items() if of == fault))
    ]


def _found(
    rows: Sequence[Row], cells: Iterable[CellResult | Mapping[str, Any]]
) -> dict[tuple[str, str, str], str]:
    """Figures in words by task, detector and fault."""
    noises = {cell.facts.attack for cell in as_cells(cells) if cell.facts.noise}
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["role"] == "detector" and row["attack"] not in noises and (fault := _fault(row)):
            found.setdefault((row["task"], row["component"], fault), []).append(row)
    return {about: "; ".join(_figures(own)) for about, own in found.items()}


_FAULTS = {
    "inverted": "{}: AUROC below one half with all of its interval ({}): the score is probably turned round "
    "(higher must be more suspicious), or the attack makes images look cleaner than clean ones",
    "free": f"{{}}: F1 not above {FLAG_ALL:.3f} with all of its interval ({{}}); flagging every image gets "
    f"{FLAG_ALL:.3f}",
    "unsure": f"{{}}: too few images to tell its F1 ({{}}) from the {FLAG_ALL:.3f} of flagging every image",
}


_MEANINGS = {
    "inverted": (
        "AUROC below one half",
        "All of its interval is: the score is probably turned round (higher must be more suspicious), or the "
        "attack makes images look cleaner than clean ones.",
    ),
    "free": (
        "F1 that is no merit",
        f"Flagging every image, attacked or clean, has an F1 of {FLAG_ALL:.3f}: the interval is below.",
    ),
    "unsure": (
        "F1 that may be no merit",
        f"Flagging every image, attacked or clean, has an F1 of {FLAG_ALL:.3f}, and the interval reaches "
        "down to it: too few images to tell.",
    ),
}


def _fault(row: Row) -> str:
    variant = Variant.parse(row["variant"])
    low = row["value"] if math.isnan(row["ci_low"]) else row["ci_low"]
    high = row["value"] if math.isnan(row["ci_high"]) else row["ci_high"]
    if row["metric"] == "auroc" and variant == Variant() and high < CHANCE:
        return "inverted"
    # A NaN is no F1 at all and said elsewhere.
    if row["metric"] == "f1" and variant == Variant(BEST_F1) and low <= FLAG_ALL:
        return "unsure" if row["value"] > FLAG_ALL else "free"
    return ""


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    """Each attack's figure, once with the first seed that has the fault."""
    told: set[str] = set()
    for row in rows:
        knowing = f", {row['knowledge']}" if row["knowledge"] not in ("oblivious", "none", "") else ""
        behind = f", through {row['channel']}" if row.get("channel") else ""
        name = f"{row['attack']}{knowing}{behind}"
        if name in told:
            continue
        told.add(name)
        interval = "" if math.isnan(row["ci_low"]) else f" [{row['ci_low']:.3f} to {row['ci_high']:.3f}]"
        yield f"{name} {row['value']:.3f}{interval}"
