"""Entries of a leaderboard: the few figures of a run that components are ranked by, one a line of a csv file.

Two boards: `purifier`, what of an attack is left behind each defense, and `disruptor`, what of each attack is
left whatever stands in its way. Figures over several attacks or defenses are taken image by image, which
results.csv cannot say: they come from the values of the run folder.
"""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from magdr_core.compare.load import ComparedRun, load_compared
from magdr_core.components.figure import LEVELS_PER_UNIT
from magdr_core.components.fingerprints import digest
from magdr_core.components.role import ORACLE
from magdr_core.errors import MagdrError
from magdr_core.files.disk import write_atomically
from magdr_core.measures.intervals import interval
from magdr_core.measures.statistics import STATISTICS, Array
from magdr_core.results.cell import ADAPTIVE, ATTACK, CLEAN, IDENTITY, CellResult
from magdr_core.results.columns import csv_field

PURIFIER, DISRUPTOR = "purifier", "disruptor"

KNOWING = "adaptive"
"""The metric of attacks that know what they attack."""


@dataclass(frozen=True)
class BoardMetric:
    """A figure of a board.

    Attributes:
        better: which way is; empty of one that is only told, and ranks nobody.
    """

    name: str
    title: str
    better: str
    digits: int
    summary: str


METRICS: Mapping[str, tuple[BoardMetric, ...]] = {
    PURIFIER: (
        BoardMetric(
            "residue", "residue", "lower", 1, "output MSE behind the defense, mean over attacks, 0-255"
        ),
        BoardMetric("worst", "worst case", "lower", 1, "the same for each image's worst attack"),
        BoardMetric(
            KNOWING, "adaptive", "lower", 1, "under attacks that know the defense, the worst of them"
        ),
        BoardMetric("clean", "clean", "lower", 1, "what it costs where nobody attacked"),
        BoardMetric("passes", "passes", "", 1, "generator passes per image"),
    ),
    DISRUPTOR: (
        BoardMetric("disruption", "disruption", "higher", 4, "output MSE without any defense, [-1,1]"),
        BoardMetric("left", "left", "higher", 4, "the same behind each image's best defense of the run"),
        BoardMetric("rob", "kept", "higher", 3, "share of it that is left behind channels, mean over them"),
        BoardMetric("te", "transfer", "higher", 3, "share of it that is left if made on another generator"),
        BoardMetric("success", "success", "", 3, "share of images over .05"),
        BoardMetric("psnr", "PSNR (I)", "", 1, "of the attacked image, dB"),
    ),
}
"""By board, in the order of the columns."""


@dataclass(frozen=True)
class LeaderboardEntry:
    """One figure of one component.

    Attributes:
        suite: what it was measured on: a hash of pictures, attacks, strengths and knowledge. Only entries of
            one suite are comparable.
        component, use: the label, and the component behind it.
        low, high: 95% interval over identities; NaN where there is none.
        n: images of all seeds.
        attacks: those behind the figure, joined by `+`; of attacks that know what they attack also the name
            of their suite.
    """

    board: str
    suite: str
    task: str
    generator: str
    dataset: str
    channel: str
    component: str
    use: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    attacks: str
    registry: str
    version: str
    commit: str

    @property
    def place(self) -> tuple[str, ...]:
        """What a later entry of the same takes the place of."""
        return (self.board, self.suite, self.task, self.channel, self.component, self.metric)


COLUMNS = tuple(field.name for field in fields(LeaderboardEntry))


def entries_of(folder: Path, cache: Path = Path("runs/cache")) -> list[LeaderboardEntry]:
    """The entries of a run folder.

    Args:
        cache: the run's store, for runs of versions whose folders hold no values.

    Raises:
        MagdrError: it is no finished run, or nothing in it was attacked.
    """
    run = load_compared(folder, cache)
    found = list(_Board(run).entries())
    if not found:
        raise MagdrError(f"{folder}: no defense and no attack of this run has figures under an attack")
    return found


class _Board:
    def __init__(self, run: ComparedRun) -> None:
        self.run = run
        self.groups: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
        for cell in run.cells:
            self.groups[(cell.facts.task, cell.facts.channel)].append(cell)
        tables = tomllib.loads(run.manifest.get("registry_text", ""))
        self.tables: Mapping[str, Any] = tables

    def entries(self) -> Iterator[LeaderboardEntry]:
        for (_, channel), cells in self.groups.items():
            attacked = [c for c in cells if c.facts.slice_role == ATTACK and not c.facts.noise]
            suite = _suite(cells, attacked)
            for component, figures in self._purifiers(cells, attacked).items():
                yield from self._told(PURIFIER, suite, cells, component, "defense", figures)
            for component, figures in self._disruptors(cells).items():
                if not channel:
                    yield from self._told(DISRUPTOR, suite, cells, component, "attack", figures)

    def _told(
        self,
        board: str,
        suite: str,
        cells: Sequence[CellResult],
        component: str,
        kind: str,
        figures: Mapping[str, _Figure],
    ) -> Iterator[LeaderboardEntry]:
        facts, manifest = cells[0].facts, self.run.manifest
        table = self.tables.get(kind, {}).get(component, {})
        for metric, figure in figures.items():
            value, low, high = figure.interval(digest([suite, component, metric]))
            if math.isnan(value):
                continue
            yield LeaderboardEntry(
                *(board, suite, facts.task, facts.generator, facts.dataset, facts.channel),
                *(component, str(table.get("use", component)), metric, value, low, high),
                *(figure.n, self._attacks(metric, figure), str(manifest.get("registry", ""))),
                str(manifest.get("versions", {}).get("magdr", "")),
                str(manifest.get("commit") or "")[:12],
            )

    def _attacks(self, metric: str, figure: _Figure) -> str:
        attacks = "+".join(figure.attacks)
        suite = self.run.manifest.get("adaptive_suite")
        return f"{attacks} by {suite}" if metric == KNOWING and suite else attacks

    def _purifiers(
        self, cells: Sequence[CellResult], attacked: Sequence[CellResult]
    ) -> dict[str, dict[str, _Figure]]:
        found: dict[str, dict[str, _Figure]] = {}
        own = [c for c in cells if c.facts.role == "defense" and c.facts.component != ORACLE]
        oblivious = [c for c in attacked if c.facts.role == "defense"]
        for component in dict.fromkeys(c.facts.component for c in own):
            mine = [c for c in oblivious if c.facts.component == component]
            if not mine:
                continue
            knowing = [c for c in own if _is(c, component, ADAPTIVE)]
            clean = [c for c in own if _is(c, component, CLEAN)]
            passes = [float(c.forwards) for c in mine if c.forwards is not None]
            figures = {
                "residue": _over(mine, np.mean),
                "worst": _over(mine, np.max),
                KNOWING: _over(knowing, np.max),
                "clean": _over(clean, np.mean),
                "passes": _Figure.of_number(float(np.mean(passes)) if passes else math.nan, mine),
            }
            found[component] = {name: figure for name, figure in figures.items() if figure is not None}
        return found

    def _disruptors(self, cells: Sequence[CellResult]) -> dict[str, dict[str, _Figure]]:
        found: dict[str, dict[str, _Figure]] = {}
        attacks = [c for c in cells if c.facts.role == "attack" and c.facts.slice_role == ATTACK]
        names = [c.facts.component for c in attacks]
        for component in dict.fromkeys(names):
            if component.partition("@")[2]:
                continue  # a transferred one is a figure of the attack that was transferred
            mine = [c for c in attacks if c.facts.component == component]
            behind = [
                c
                for c in cells
                if c.facts.role == "defense"
                and (c.facts.attack, c.facts.slice_role) == (component, ATTACK)
                and c.facts.component not in (IDENTITY, ORACLE)
            ]
            moved = [c for c in attacks if c.facts.component.startswith(f"{component}@")]
            task = mine[0].facts.task
            sent = [
                c
                for (where, channel), group in self.groups.items()
                if channel and where == task
                for c in group
                if c.facts.role == "attack" and c.facts.component == component
            ]
            figures = {
                "disruption": _over(mine, np.mean),
                "left": _over(behind, np.min, scale=LEVELS_PER_UNIT**-2),
                "rob": _share(sent, mine),
                "te": _share(moved, mine),
                "success": _over(mine, np.mean, "success"),
                "psnr": _over(mine, np.mean, "psnr_i"),
            }
            found[component] = {name: figure for name, figure in figures.items() if figure is not None}
        return found


@dataclass(frozen=True, eq=False)
class _Figure:
    """A figure before it is computed: `arrays` `[n]` each for the statistic, or one number for all."""

    statistic: str
    arrays: tuple[Array, ...]
    identities: Array
    attacks: tuple[str, ...]
    n: int

    @classmethod
    def of_number(cls, value: float, cells: Sequence[CellResult]) -> _Figure:
        return cls("", (np.array([value]),), np.zeros(1), _attacks(cells), sum(len(c.ids) for c in cells))

    def interval(self, seed: str) -> tuple[float, float, float]:
        if not self.statistic:
            return float(self.arrays[0][0]), math.nan, math.nan
        return interval(STATISTICS[self.statistic], self.arrays, self.identities, int(seed, 16))


def _is(cell: CellResult, component: str, images: str) -> bool:
    return cell.facts.component == component and cell.facts.slice_role == images


def _attacks(cells: Iterable[CellResult]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.facts.attack for c in cells if c.facts.attack != "none"))


def _table(cells: Sequence[CellResult], name: str) -> tuple[Array, Array] | None:
    """`[k,n]`, a row for each cell of a seed, seeds side by side, and whose images they are; None where cells
    differ in their images, or some have no such values."""
    seeds: dict[int, list[CellResult]] = defaultdict(list)
    for cell in cells:
        seeds[cell.facts.seed].append(cell)
    parts, people = [], []
    for own in seeds.values():
        arrays = [c.array(name) for c in own]
        if any(a is None for a in arrays) or any(list(c.ids) != list(own[0].ids) for c in own):
            return None
        parts.append(np.array(arrays))
        people.append(own[0].of_identities)
    if not parts or len({len(part) for part in parts}) != 1:
        return None
    return np.concatenate(parts, 1), np.concatenate(people)


def _over(
    cells: Sequence[CellResult], together: Any, name: str = "mse_o", scale: float = 1.0
) -> _Figure | None:
    """The mean over images of what `together` makes of each image's values in these cells."""
    found = _table(cells, name)
    if found is None:
        return None
    values = scale * np.asarray(together(found[0], axis=0), dtype=np.float64)
    return _Figure("mean", (values,), found[1], _attacks(cells), len(values))


def _share(cells: Sequence[CellResult], whole: Sequence[CellResult]) -> _Figure | None:
    """What these cells have of the disruption, on average over them, as a share of the whole."""
    part, full = _table(cells, "mse_o"), _table(whole, "mse_o")
    if part is None or full is None or part[0].shape[1] != full[0].shape[1]:
        return None
    arrays = (part[0].mean(0), full[0].mean(0))
    return _Figure("ratio", arrays, full[1], _attacks(cells), len(arrays[0]))


def _suite(cells: Sequence[CellResult], attacked: Sequence[CellResult]) -> str:
    """A hash of what was measured, whoever was measured; attacks that know it aside, which not everybody
    faces."""
    attacks = {(c.facts.attack, float(f"{c.facts.eps:.9g}"), c.facts.steps) for c in attacked}
    pictures = {(c.facts.data, c.facts.seed, digest(list(c.ids))) for c in attacked}
    facts = cells[0].facts
    told = [facts.task, facts.generator, facts.channel, sorted(attacks), sorted(map(str, pictures))]
    return digest(told)[:8]


# -- files -----------------------------------------------------------------------------------------------


def write_entries(path: Path, entries: Iterable[LeaderboardEntry]) -> None:
    """Write entries, in a fixed order; of the same place the last one counts.

    Raises:
        WriteError: the file cannot be written.
    """
    rows = sorted({entry.place: entry for entry in entries}.values(), key=lambda e: e.place)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([csv_field(value) for value in astuple(row)])
    write_atomically(path, lambda p: p.write_text(out.getvalue(), encoding="utf-8"))


def read_entries(path: Path) -> list[LeaderboardEntry]:
    """The entries of a file.

    Raises:
        MagdrError: there is none, or it is no such file; the message names the line.
    """
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except OSError as e:
        raise MagdrError(f"{path}: cannot be read ({e.strerror})") from None
    except (UnicodeDecodeError, csv.Error):
        raise MagdrError(f"{path}: no file of leaderboard entries") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise MagdrError(
            f"{path}: its columns are not those of leaderboard entries, which `magdr leaderboard add` writes"
        )
    return [_entry(path, number, line) for number, line in enumerate(lines[1:], 2)]


def _entry(path: Path, number: int, line: Sequence[str]) -> LeaderboardEntry:
    if len(line) != len(COLUMNS):
        raise MagdrError(f"{path}: line {number}: {len(line)} fields, not {len(COLUMNS)}")
    told: dict[str, Any] = dict(zip(COLUMNS, line, strict=True))
    try:
        told |= {name: float(told[name]) if told[name] else math.nan for name in ("value", "low", "high")}
        told["n"] = int(told["n"])
    except ValueError:
        raise MagdrError(f"{path}: line {number}: value, low, high or n is no number") from None
    if told["board"] not in METRICS or not math.isfinite(told["value"]):
        raise MagdrError(f"{path}: line {number}: no such board, or a value that is no figure")
    return LeaderboardEntry(**told)
