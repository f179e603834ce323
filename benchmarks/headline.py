"""The tables of README.md, PACKAGE.md and benchmarks/results/overview.md, from the committed figures.

python benchmarks/headline.py            writes them where the pages have `<!-- table: NAME -->`
python benchmarks/headline.py --print    prints them

After a new measurement: put its results.csv in the place of one of those below, run this, and read what the
pages say about the tables. A figure that a csv does not have is a dash.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tables import table

from magdr_core.report.paper import CW, MAGDR, PGD, TABLE1
from magdr_core.report.paper import TASKS as PAPER_TASKS
from magdr_core.results.frame import NONE, FigureTable
from magdr_core.results.variant import BEST_F1

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", ROOT / "PACKAGE.md", RESULTS / "overview.md")

KNOWN = RESULTS / "faces64-standard.csv"
"""Attacks that know what they attack."""

BLIND = RESULTS / "faces64-detection.csv"
"""The same detector under attacks that do not know it, on many images."""

COMPARED = RESULTS / "faces64-tables.csv"
"""Every compared method, under attacks that know none of them."""

TASKS = ("editing", "replacement", "reenactment")

DETECTORS = {
    "safetynet": "SafetyNet",
    "metzen": "Metzen et al.",
    "magnet": "MagNet",
    "otd": "OTD",
    "nnif": "NNIF",
    "feature-squeezing-3x3": "feature squeezing, 3 x 3",
    "distortion": "MagDR's distortion (DD)",
    "consistency": "MagDR's consistency (CD)",
    "magdr": "**MagDR**",
}

DEFENSES = {
    "identity": "undefended",
    "jpeg": "JPEG",
    "nlm": "non-local means",
    "feature-squeezing": "feature squeezing",
    "random-resize-pad": "random resize and pad",
    "pixel-deflection": "pixel deflection",
    "super-resolution": "super-resolution",
    "me-net-nuclear": "ME-Net, nuclear norm",
    "magnet-reformer-wide": "MagNet's reformer, wide",
    "adversarial-training": "adversarial training",
    "purifier": "purifier, generator-agnostic",
    "purifier-editing": "purifier trained on Eq. 8",
    "magdr": "**MagDR**",
    "oracle": "*oracle (sees the truth)*",
}

SHORT_DETECTORS = ("magdr", "metzen", "safetynet", "feature-squeezing-3x3", "magnet")
SHORT_DEFENSES = (
    "identity",
    "magdr",
    "purifier-editing",
    "purifier",
    "adversarial-training",
    "feature-squeezing",
    "jpeg",
    "oracle",
)


def headline() -> str:
    """MagDR's detector at its threshold for 1% false alarms, against an attack that knows it, and PGD."""
    known, blind = FigureTable.read(KNOWN), FigureTable.read(BLIND)
    lines = []
    for task in TASKS:
        own = known.where(task=task, component="magdr", role="detector", knowledge="adaptive")
        other = blind.where(task=task, component="magdr", role="detector")
        lines.append(
            [
                task,
                own.text(".2f", own.strict, metric="recall"),
                own.text(".2f", metric="kept_at_95_evasion"),
                other.text(".2f", other.strict, attack=PGD, metric="recall"),
                other.text(".3f", other.strict, attack=NONE, metric="fpr_clean"),
            ]
        )
    head = ["", "**attack knows MagDR**: found ↑", "kept by what is not found ↓"]
    return table([*head, "attack does not know it: found ↑", "false alarms ↓"], lines)


def short_detection() -> str:
    return _detection(SHORT_DETECTORS, [(task, PGD) for task in TASKS] + [("replacement", CW)], noise=False)


def short_reconstruction() -> str:
    rows = FigureTable.read(COMPARED).where(role="defense", metric="mse_o", variant="")
    lines = []
    for name in SHORT_DEFENSES:
        cells = []
        for task in TASKS:
            own = rows.where(task=task, component=name)
            cells.append(f"{own.number('.0f', attack=NONE)} / {own.text('.0f', attack=PGD)}")
        lines.append([DEFENSES[name], *cells])
    return table(["clean / attacked ↓", *TASKS], lines)


def detection() -> str:
    return _detection(DETECTORS, [(task, attack) for task in PAPER_TASKS for attack in (CW, PGD)], noise=True)


def _detection(names: Iterable[str], columns: list[tuple[str, str]], *, noise: bool) -> str:
    rows = FigureTable.read(COMPARED).where(role="detector")
    lines = [
        [
            DETECTORS[name],
            *(rows.text(".2f", BEST_F1, task=t, attack=a, component=name, metric="f1") for t, a in columns),
        ]
        for name in names
    ]
    paper = (TABLE1[MAGDR][attack][PAPER_TASKS.index(task)][2] for task, attack in columns)
    lines.append(["*MagDR in the paper*", *(f"*{value:.2f}*" for value in paper)])
    if noise:
        against = (
            rows.number(".3f", task=t, attack=a, component="magdr", metric="auroc_noise") for t, a in columns
        )
        lines.append(["MagDR, AUROC against noise of 6/255", *against])
    return table(["F1 ↑", *(f"{task}, {SHOWN[attack]}" for task, attack in columns)], lines)


SHOWN = {CW: "C&W", PGD: "PGD"}


def reconstruction() -> str:
    rows = FigureTable.read(COMPARED).where(role="defense", metric="mse_o", variant="")
    lines = []
    for name, said in DEFENSES.items():
        own = rows.where(component=name)
        cells = []
        for task in PAPER_TASKS:
            cells += [own.number(".0f", task=task, attack=a) for a in (NONE, CW)]
            cells.append(own.text(".0f", task=task, attack=PGD))
        lines.append([said, *cells])
    head = [f"{task}, {what}" for task in PAPER_TASKS for what in ("clean", "C&W", "PGD")]
    return table(["output MSE ↓", *head], lines)


TABLES: dict[str, Callable[[], str]] = {
    "headline": headline,
    "detection-short": short_detection,
    "reconstruction-short": short_reconstruction,
    "detection": detection,
    "reconstruction": reconstruction,
}

PLACE = re.compile(r"(?<=<!-- table: )(?P<name>[\w-]+)(?P<mark> -->\n\n)(?:(?:\|.*\n)+\n)?")
"""A marker, an empty line, and the table that is replaced."""


def filled(text: str) -> str:
    """The text with every marked table as it is now."""
    return PLACE.sub(lambda found: f"{found['name']}{found['mark']}{TABLES[found['name']]()}\n\n", text)


def marked(text: str) -> Iterator[str]:
    """The names of the tables that a text has a place for."""
    return (found["name"] for found in PLACE.finditer(text))


def main(arguments: list[str]) -> None:
    if arguments == ["--print"]:
        for name, made in TABLES.items():
            print(f"{name}\n\n{made()}\n")
        return
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
