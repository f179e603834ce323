"""Cells and core hours of the track, on paper: `python benchmarks/track.py [REGISTRY] [RUN/results.csv ...]`.

Counts the cells of every profile and multiplies them by seconds per image: of the given csv files first,
then of the committed ones. A component that no file knows is named, and counted as the dearest filter.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from magdr_core import Toolkit
from magdr_core.bench.plan import plan
from magdr_core.components.cells import PlannedCell
from magdr_core.results.columns import read_rows

HERE = Path(__file__).parent
REGISTRY = HERE / "registries" / "track.toml"
MEASURED = [HERE / "results" / f"faces64-{name}.csv" for name in ("tables", "full", "detection", "standard")]

UNKNOWN = 0.15
"""Seconds per image of a defense or detector that nobody has timed: more than any single filter took."""

Key = tuple[str, str, bool]
"""Role, component, and whether an attack knows it."""


def seconds(files: Iterable[Path]) -> dict[Key, float]:
    """Seconds per image; the first file that knows a component says."""
    found: dict[Key, float] = {}
    for file in files:
        cells = {}
        for row in read_rows(file):
            place = tuple(row[k] for k in ("task", "attack", "eps", "seed", "channel", "variant"))
            key = (row["role"], row["component"], row["knowledge"] == "adaptive")
            if row["metric"] in ("mse_o", "auroc", "fpr_clean"):
                cells[(key, place)] = row["seconds"] / row["n"]
        own: dict[Key, list[float]] = defaultdict(list)
        for (key, _), value in cells.items():
            own[key].append(value)
        found = {key: fmean(values) for key, values in own.items()} | found
    return found


def cost(cell: PlannedCell, samples: int, known: dict[Key, float], missing: set[str]) -> float:
    """Seconds of a cell. An attack's own cell is what it takes to attack; behind a channel it is one pass."""
    knowing = cell.slice.scenario == "adaptive"
    name = cell.component.partition("@")[0]
    key = (cell.role, name, knowing)
    if cell.role == "attack" and cell.slice.channel:
        return samples * known.get(("defense", "identity", False), 0.02)
    if key not in known:
        missing.add(f"{'adaptive ' if knowing else ''}{cell.role} {name}")
        # An attack that knows a purifier makes hundreds of passes through it.
        return samples * (300 if knowing else 1) * known.get((cell.role, name, False), UNKNOWN)
    return samples * known[key]


def main() -> None:
    arguments = [Path(a) for a in sys.argv[1:]]
    registry = arguments.pop(0) if arguments and arguments[0].suffix == ".toml" else REGISTRY
    known = seconds([*arguments, *MEASURED])
    toolkit = Toolkit.from_registry(registry, device="cpu")
    missing: set[str] = set()
    print(
        "| profile | images a cell | cells | attacks | detectors | defenses | behind channels | core hours |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    total = 0.0
    for name in [name for name in toolkit.registry.profiles if name.startswith(("quick", "track"))]:
        profile = toolkit.registry.profile(name)
        cells = [cell for group in plan(toolkit, profile, name) for cell in group.cells]
        roles = Counter(cell.role for cell in cells)
        behind = sum(bool(cell.slice.channel) for cell in cells)
        hours = sum(cost(cell, profile.samples, known, missing) for cell in cells) / 3600
        total += hours if name != "quick" else 0.0
        counts = [len(cells), roles["attack"], roles["detector"], roles["defense"], behind]
        print(f"| {name} | {profile.samples} | {' | '.join(map(str, counts))} | {hours:.2f} |")
    print(f"\nTogether without quick: {total:.1f} core hours.")
    print(f"Not timed yet, so guessed: {', '.join(sorted(missing)) or 'nothing'}.")


if __name__ == "__main__":
    main()
