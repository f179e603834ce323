"""How detectors and defenses stand against attacks that know everything, beside those that do not.

python benchmarks/adaptive.py RUN/results.csv ...

Takes runs of benchmarks/registries/adaptive.toml; each page's row says its own n. Detectors are judged at the
threshold for 1% false alarms, which is the one that the attack knows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tables import table

from magdr_core.results.frame import MISSING, FigureTable, variant_of
from magdr_core.results.variant import OBLIVIOUS, PLAIN, Variant

KNOWN, BLIND, UNDEFENDED = "adaptive", "oblivious", "none"
POINT = Variant.at(0.01)
WITHOUT = Variant(name=OBLIVIOUS)
"""The mode that knows nothing, among those of an attack that knows."""


def groups(rows: FigureTable, role: str) -> Iterator[tuple[str, str, FigureTable]]:
    """(task, strength, rows) of a role's adaptive cells and of the oblivious ones beside them."""
    own = rows.where(role=role)
    for task in own.names("task"):
        for attack in own.where(task=task, knowledge=KNOWN).names("attack"):
            found = own.where(task=task, attack=attack)
            yield task, f"{found.names('eps')[0] * 255:.0f}/255", found


def components(rows: FigureTable) -> Iterator[tuple[str, FigureTable, FigureTable]]:
    """(component, rows of the attack that knows it, rows of the one that does not)."""
    for name in rows.where(knowledge=KNOWN).names("component"):
        own = rows.where(component=name)
        yield name, own.where(knowledge=KNOWN), own.where(knowledge=(BLIND, UNDEFENDED))


def strongest(known: FigureTable, metric: str) -> str:
    """The mode that does most on average; the pool takes the best one for each image."""
    modes = [r for r in known.where(metric=metric).rows if variant_of(r) != PLAIN]
    return str(max(modes, key=lambda r: r["value"])["variant"]) if modes else "-"


def penalties(known: FigureTable) -> list[Variant]:
    """The modes with a penalty, by its weight."""
    modes = map(variant_of, known.where(metric="mse_o").rows)
    weighed = {mode: mode.penalty for mode in modes if mode.penalty is not None}
    return sorted(weighed, key=lambda mode: weighed[mode])


def at_point(mode: Variant) -> Variant:
    """A mode's figures at the threshold for 1% false alarms."""
    return replace(mode, point=POINT.point)


def detectors(rows: FigureTable) -> str:
    lines = []
    for task, eps, found in groups(rows, "detector"):
        for name, known, blind in components(found):
            lines.append(
                [
                    task,
                    eps,
                    name,
                    str(known.names("n")[0]),
                    blind.text(".2f", POINT, metric="f1"),
                    known.text(".2f", POINT, metric="f1"),
                    known.number(".3f", WITHOUT, metric="mse_o_undetected"),
                    known.text(".3f", metric="mse_o_undetected"),
                    known.text(".2f", metric="kept_at_95_evasion"),
                    known.text(".2f", metric="kept_targeted"),
                    strongest(known, "mse_o_undetected"),
                ]
            )
    head = [
        "task",
        "eps",
        "detector",
        "n",
        "F1, oblivious",
        "F1, adaptive",
        "undetected disruption, oblivious",
    ]
    more = ["adaptive", "kept at 95% evasion", "kept, towards the target", "strongest mode"]
    return known_columns([*head, *more], lines)


def known_columns(head: list[str], lines: list[list[str]]) -> str:
    """A table without the columns of figures that no row has: earlier versions had fewer."""
    there = [i for i in range(len(head)) if any(line[i] != MISSING for line in lines)]
    return table([head[i] for i in there], [[line[i] for i in there] for line in lines])


def curves(rows: FigureTable) -> str:
    """Detection rate and disruption of each penalty; the pool takes undetected images first."""
    lines = []
    for task, eps, found in groups(rows, "detector"):
        for name, known, _ in components(found):
            for mode in (WITHOUT, *penalties(known), PLAIN):
                recall = known.text(".2f", at_point(mode), metric="recall")
                disruption = known.text(".3f", mode, metric="mse_o")
                lines.append([task, eps, name, str(mode) or "pool", recall, disruption])
    return table(["task", "eps", "detector", "attack", "detected", "disruption"], lines)


def defenses(rows: FigureTable) -> str:
    """Output MSE, 0 to 255 squared."""
    lines = []
    for task, eps, found in groups(rows, "defense"):
        for name, known, blind in components(found):
            lines.append(
                [
                    task,
                    eps,
                    name,
                    str(known.names("n")[0]),
                    blind.text(".0f", metric="mse_o"),
                    known.text(".0f", metric="mse_o"),
                    known.text(".2f", metric="kept"),
                    known.text(".2f", metric="kept_targeted"),
                    strongest(known, "mse_o"),
                ]
            )
    head = ["task", "eps", "defense", "n", "oblivious", "adaptive", "kept", "kept, towards the target"]
    return known_columns([*head, "strongest mode"], lines)


def main(paths: list[Path]) -> None:
    every = FigureTable.read(*paths).rows
    rows = FigureTable({tuple(str(r[k]) for k in r if k != "seconds"): r for r in every}.values())
    print(f"## Detectors\n\n{detectors(rows)}\n\n## Detection against disruption\n\n{curves(rows)}\n")
    print(f"## Defenses, output MSE\n\n{defenses(rows)}")


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]])
