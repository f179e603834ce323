"""What trackers are told of a run, whichever it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILES = ("results.csv", "manifest.json", "checks.json", "report.html")
"""Of a run folder; the report is there where the command line writes it, before it asks observers."""

_UNUSUAL = re.compile(r"[^\w\-. /]+")
"""Characters that some tracker does not take in a name."""


class Told(NamedTuple):
    """A figure: its name, the steps of the attack, and its value."""

    name: str
    step: int
    value: float


def params_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a run was of: registry, profile, settings, versions and commit, as short texts by name."""
    settings = {f"settings.{k}": v for k, v in manifest.get("settings", {}).items() if _plain(v)}
    versions = {f"versions.{k}": v for k, v in manifest.get("versions", {}).items()}
    told = {k: manifest[k] for k in ("registry", "profile", "device", "engine", "commit") if manifest.get(k)}
    return {k: _short(v) for k, v in {**told, **settings, **versions}.items()}


def figures_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[Told]:
    """The figures of a run that are numbers, with the ends of their intervals.

    A name is `TASK/ROLE/COMPONENT/ATTACK EPS KNOWLEDGE/METRIC`, with the variant and the channel where
    there is one. Points of a sweep over steps share one name, so that a tracker draws a curve.
    """
    for row in rows:
        variant = str(row["variant"])
        step = int(row["steps"] or 0)
        if variant.partition(" ")[0] == "sweep":
            variant = "sweep"
        attack = f"{row['attack']} {255 * float(row['eps']):.3g} of 255" if float(row["eps"]) else "clean"
        behind = f" behind {row['channel']}" if row.get("channel") else ""
        place = f"{row['task']}/{row['role']}/{row['component']}/{attack} {row['knowledge']}{behind}"
        name = f"{place}/{row['metric']}{f' {variant}' * bool(variant)}"
        for end, suffix in (("value", ""), ("ci_low", " low"), ("ci_high", " high")):
            if _number(row[end]):
                yield Told(_UNUSUAL.sub("_", name + suffix), step, float(row[end]))


def files_of(run: Path) -> list[Path]:
    """The files of a run that are worth keeping elsewhere."""
    return [run / name for name in FILES if (run / name).is_file()]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) or (
        isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value)
    )


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 250 else f"{text[:247]}..."
