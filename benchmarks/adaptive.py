"""How detectors and defenses stand against attacks that know everything, beside those that do not.

python benchmarks/adaptive.py RUN/results.csv ...

Takes runs of benchmarks/registries/adaptive.toml; each page's row says its own n. Detectors are judged at the
threshold for 1% false alarms, which is the one that the attack knows.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from tables import Row, figure, table

KNOWN, BLIND, UNDEFENDED = "adaptive", "oblivious", "none"


def groups(rows: list[Row], role: str) -> Iterator[tuple[str, str, list[Row]]]:
    """(task, strength, rows) of a role's adaptive cells and of the oblivious ones beside them."""
    own = [r for r in rows if r["role"] == role]
    for task in dict.fromkeys(r["task"] for r in own):
        for attack in dict.fromkeys(
            r["attack"] for r in own if r["task"] == task and r["knowledge"] == KNOWN
        ):
            found = [r for r in own if (r["task"], r["attack"]) == (task, attack)]
            yield task, f"{float(found[0]['eps']) * 255:.0f}/255", found


def components(rows: list[Row]) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """(component, rows of the attack that knows it, rows of the one that does not)."""
    for name in dict.fromkeys(r["component"] for r in rows if r["knowledge"] == KNOWN):
        own = [r for r in rows if r["component"] == name]
        known = [r for r in own if r["knowledge"] == KNOWN]
        yield name, known, [r for r in own if r["knowledge"] in (BLIND, UNDEFENDED)]


def strongest(known: list[Row], metric: str) -> str:
    """The mode that does most on average; the pool takes the best one for each image."""
    modes = [r for r in known if r["metric"] == metric and r["variant"]]
    return max(modes, key=lambda r: float(r["value"]))["variant"] if modes else "-"


def detectors(rows: list[Row]) -> str:
    lines = []
    for task, eps, found in groups(rows, "detector"):
        for name, known, blind in components(found):
            lines.append(
                [
                    task,
                    eps,
                    name,
                    known[0]["n"],
                    figure(blind, ".2f", metric="f1", variant="fpr1"),
                    figure(known, ".2f", metric="f1", variant="fpr1"),
                    figure(known, ".3f", metric="mse_o_undetected", variant=BLIND).split(" ")[0],
                    figure(known, ".3f", metric="mse_o_undetected"),
                    figure(known, ".2f", metric="kept_at_95_evasion"),
                    strongest(known, "mse_o_undetected"),
                ]
            )
    return table(
        [
            "task",
            "eps",
            "detector",
            "n",
            "F1, oblivious",
            "F1, adaptive",
            "undetected disruption, oblivious",
            "adaptive",
            "kept at 95% evasion",
            "strongest mode",
        ],
        lines,
    )


def curves(rows: list[Row]) -> str:
    """Detection rate and disruption of each penalty; the pool takes undetected images first."""
    lines = []
    for task, eps, found in groups(rows, "detector"):
        for name, known, _ in components(found):
            penalties = [
                r["variant"] for r in known if r["metric"] == "mse_o" and r["variant"].startswith("penalty=")
            ]
            for variant in (BLIND, *sorted(penalties, key=weight_of), ""):
                point = f"fpr1, {variant}" if variant else "fpr1"
                recall = figure(known, ".2f", metric="recall", variant=point)
                disruption = figure(known, ".3f", metric="mse_o", variant=variant)
                lines.append([task, eps, name, variant or "pool", recall, disruption])
    return table(["task", "eps", "detector", "attack", "detected", "disruption"], lines)


def weight_of(variant: str) -> float:
    return float(variant.partition("=")[2].split(" ")[0])


def defenses(rows: list[Row]) -> str:
    """Output MSE, 0 to 255 squared."""
    lines = []
    for task, eps, found in groups(rows, "defense"):
        for name, known, blind in components(found):
            lines.append(
                [
                    task,
                    eps,
                    name,
                    known[0]["n"],
                    figure(blind, ".0f", metric="mse_o"),
                    figure(known, ".0f", metric="mse_o"),
                    strongest(known, "mse_o"),
                ]
            )
    return table(["task", "eps", "defense", "n", "oblivious", "adaptive", "strongest mode"], lines)


def main(paths: list[Path]) -> None:
    rows: list[Row] = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    rows = list({tuple(r[k] for k in r if k != "seconds"): r for r in rows}.values())
    print(f"## Detectors\n\n{detectors(rows)}\n\n## Detection against disruption\n\n{curves(rows)}\n")
    print(f"## Defenses, output MSE\n\n{defenses(rows)}")


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]])
