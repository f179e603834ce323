"""What a plugin's package says that its components achieve: `figures.csv` beside its root module."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from magdr_core.errors import PluginError

FILE = "figures.csv"

ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class ComponentFigure:
    """One measured figure of a component.

    Attributes:
        kind, component: which one; its name without the plugin's.
        task: the generator's.
        measure: a metric of results.csv.
        knowledge: of the attack: `none`, `oblivious`, `transfer` or `adaptive`.
        attack: `none` where images are clean; empty of an attack's own figures.
        eps: in [0,1] units.
        value, low, high: the figure and its 95% interval.
        n: images.
        page: where it is from.
        remark: what a reader must know, or "".
    """

    kind: str
    component: str
    task: str
    measure: str
    knowledge: str
    attack: str
    eps: float
    value: float
    low: float
    high: float
    n: int
    page: str
    remark: str = ""


@cache
def figures_of_package(package: str) -> Mapping[tuple[str, str], Sequence[ComponentFigure]]:
    """By kind and component, what a package's file says; nothing if it has none.

    Raises:
        PluginError: the file is not as :class:`ComponentFigure` says.
    """
    file = files(package) / FILE
    if not file.is_file():
        return {}
    found: dict[tuple[str, str], list[ComponentFigure]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))), 2):
        try:
            one = _figure(row)
        except (KeyError, TypeError, ValueError) as e:
            raise PluginError(f"{package}: {FILE}, line {number}: {type(e).__name__} {e}") from None
        found.setdefault((one.kind, one.component), []).append(one)
    return found


def _figure(row: Mapping[str, str]) -> ComponentFigure:
    texts = [f.name for f in fields(ComponentFigure) if f.type == "str"]
    told: dict[str, Any] = {name: row[name] for name in texts}
    told |= {"eps": float(row["eps"]), "value": float(row["value"]), "n": int(row["n"])}
    return ComponentFigure(**told, low=float(row["ci_low"]), high=float(row["ci_high"]))
