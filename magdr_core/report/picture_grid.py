"""The picture grid: one PNG per component and side, with its samples next to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from magdr_core.report.data_url import png_url
from magdr_core.report.figures import CLEAN_IMAGES, IDENTITY, AttackCondition, Figures
from magdr_core.report.formatting import number
from magdr_core.report.hardest_attack import strongest
from magdr_core.report.image_errors import image_errors, kept_pictures
from magdr_core.report.table_model import defense_name
from magdr_core.results.frame import NONE

GAP = 2
"""Transparent pixels between samples; the page's script knows it from the markup."""

_THUMB = 60
"""Pixels that a picture of a strip is wide on the page; enlarged ones are shown as they are."""

BUDGET = 2_050_000
"""Characters that all pictures of a demonstration's report may take together: it can be sent by mail."""

LARGE_BUDGET = 5_000_000
"""The same of a run that figures are quoted from."""

_FEWEST = 3
"""Samples that are worth more than another attack, where not everything fits."""


@dataclass(frozen=True)
class Side:
    """A row of samples as a PNG."""

    name: str
    url: str
    alt: str


@dataclass(frozen=True)
class Strip:
    """A component's restored inputs above its outputs; `key` is what the switch calls it.

    Attributes:
        numbers: by side the squared error of each sample to the clean picture of that side, in words.
    """

    key: str
    title: str
    detail: str
    sides: tuple[Side, ...]
    kind: str = ""
    numbers: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """What is shown of one attack."""

    title: str
    detail: str
    strips: tuple[Strip, ...]
    first: bool


@dataclass(frozen=True)
class Gallery:
    """The grid of one task: clean images, then a panel per attack.

    Attributes:
        size: height and width of a picture as it is kept here.
        scale: how much larger it is shown; below 1 smaller.
        versions: key and title of everything that the switch offers beside the whole grid.
        ids: of the samples, left to right; empty if the run does not say.
        left_out: what the size of the file forbids, in words.
    """

    task: str
    size: tuple[int, int]
    samples: int
    scale: float
    clean: Strip | None
    panels: tuple[Panel, ...]
    versions: tuple[tuple[str, str], ...]
    ids: tuple[str, ...]
    left_out: str

    @property
    def width(self) -> int:
        """Pixels of a strip before scaling."""
        return self.samples * (self.size[1] + GAP) - GAP

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height of a strip on the page."""
        return round(self.width * self.scale), round(self.size[0] * self.scale)

    @property
    def characters(self) -> int:
        """What its pictures take of the file."""
        strips = [*([self.clean] if self.clean else []), *(s for p in self.panels for s in p.strips)]
        return sum(len(side.url) for strip in strips for side in strip.sides)


@dataclass(frozen=True)
class Row:
    """A strip before it is encoded."""

    key: str
    title: str
    detail: str
    where: str
    sides: Mapping[str, Tensor]
    kind: str = ""
    numbers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def strip(self, samples: int, shrink: int) -> Strip:
        sides = []
        for name, images in self.sides.items():
            many = f"{samples} sample{'s' if samples != 1 else ''}"
            url = png_row(_shrunk(images[:samples], shrink))
            sides.append(Side(name, url, f"{self.where}: {name}s of {many}"))
        return Strip(self.key, self.title, self.detail, tuple(sides), self.kind, self.numbers)

    def cost(self, shrink: int, samples: int = 1) -> int:
        """Characters of the first samples."""
        return sum(len(png_row(_shrunk(images[:samples], shrink))) for images in self.sides.values())


def gallery(figures: Figures, task: str, budget: int = BUDGET) -> Gallery | None:
    """The pictures of a task in at most about `budget` characters, None if there are none.

    What does not fit is left out: samples first, then attacks, and at last resolution.
    """
    pictures = {
        key[1:]: images
        for key, images in figures.run.pictures.items()
        if key[0] == task and key[3] in ("input", "output")
    }
    if not pictures:
        return None
    count, _, height, width = next(iter(pictures.values())).shape
    if not count:
        return None
    clean = _row(pictures, NONE, "clean", f"{task}, clean", "clean", "what the output should be")
    rows = {c: _rows(figures, task, pictures, c) for c in [*figures.attacks(task), CLEAN_IMAGES]}
    rows = {condition: found for condition, found in rows.items() if found}
    first = strongest(figures, task)
    first = first if first in rows else next(iter(rows), None)
    wanted = sorted(rows, key=lambda c: (c != first, c != CLEAN_IMAGES))
    shrink, kept, samples = 1, list[AttackCondition](), 0
    while not samples:
        spent = clean.cost(shrink) if clean else 0
        costs = {condition: sum(row.cost(shrink) for row in rows[condition]) for condition in wanted}
        kept = []
        for condition in wanted:
            if kept and min(_FEWEST, count) * (spent + costs[condition]) > budget:
                break
            kept.append(condition)
            spent += costs[condition]
        samples = min(count, max(0, budget // max(spent, 1)))
        if not samples:
            shrink *= 2
            if min(height, width) < 2 * shrink:
                samples = 1
    panels = [_panel(c, rows[c], samples, shrink, first=c == first) for c in rows if c in kept]
    versions = {row.key: row.title for c in rows for row in rows[c]}
    shown = (height // shrink, width // shrink)
    return Gallery(
        task=task,
        size=shown,
        samples=samples,
        scale=scale_of(shown[1]),
        clean=clean.strip(samples, shrink) if clean else None,
        panels=tuple(panels),
        versions=(*([("clean", "clean")] if clean else []), *versions.items()),
        ids=tuple(name for _, name in kept_pictures(figures, task))[:samples],
        left_out=_left_out(samples, count, len(kept), len(rows), shrink),
    )


def scale_of(width: int) -> float:
    """How much larger pictures of this width are shown, so that all reports' strips are alike."""
    return _THUMB / width


def _left_out(samples: int, count: int, kept: int, wanted: int, shrink: int) -> str:
    parts = []
    if samples < count:
        parts.append(f"{samples} of {count} samples")
    if kept < wanted:
        parts.append(f"{kept} of {wanted} attacks")
    if shrink > 1:
        parts.append(f"pictures at 1/{shrink} of their size")
    if not parts:
        return ""
    return f"To keep this file small it shows {' and '.join(parts)}; the run folder holds all of them."


def _rows(
    figures: Figures, task: str, pictures: Mapping[tuple[str, ...], Tensor], condition: AttackCondition
) -> list[Row]:
    on_clean = condition == CLEAN_IMAGES
    clean = {side: pictures.get((NONE, "clean", side)) for side in ("input", "output")}
    images = kept_pictures(figures, task)
    found = []
    for component in figures.components(task, "defense"):
        title, detail, kind = defense_name(component)
        if component == IDENTITY:
            # On clean images it would repeat the clean strip.
            if on_clean:
                continue
            title, detail = "disrupted", "undefended"
        figure = figures.get(task, condition, "defense", component, "mse_o")
        error = f"mean output MSE {number(1)(figure.value)}" if figure else ""
        detail = "; ".join(part for part in (detail, error) if part)
        where = f"{task}, {'clean images' if on_clean else condition.label}, {title}"
        row = _row(pictures, condition.attack, component, where, title, detail, kind)
        if row is not None:
            errors = image_errors(figures, task, condition, component)
            found.append(replace(row, numbers=sample_errors(row, clean, [errors.get(i) for i in images])))
    return found


def _panel(
    condition: AttackCondition, rows: Sequence[Row], samples: int, shrink: int, *, first: bool
) -> Panel:
    strips = tuple(row.strip(samples, shrink) for row in rows)
    if condition == CLEAN_IMAGES:
        return Panel("clean images", "what each defense does to images that nobody attacked", strips, first)
    return Panel(condition.label, condition.strength, strips, first)


def _row(
    pictures: Mapping[tuple[str, ...], Tensor],
    attack: str,
    component: str,
    where: str,
    title: str,
    detail: str,
    kind: str = "",
) -> Row | None:
    found = {side: pictures.get((attack, component, side)) for side in ("input", "output")}
    sides = {side: images for side, images in found.items() if images is not None and len(images)}
    return Row(component, title, detail, where, sides, kind) if sides else None


def sample_errors(
    row: Row, clean: Mapping[str, Tensor | None], outputs: Sequence[float | None] = ()
) -> dict[str, Sequence[str]]:
    """Every sample's squared error to the clean picture, in levels; of outputs the measured one, if known.

    Args:
        clean: by side, `[n,3,H,W]` uint8; None where there are none.
        outputs: measured errors of the first samples.
    """
    found: dict[str, Sequence[str]] = {}
    for side, images in row.sides.items():
        reference = clean.get(side)
        if reference is None or reference.shape[1:] != images.shape[1:]:
            continue
        errors = ((images.float() - reference[: len(images)].float()) ** 2).mean((1, 2, 3)).tolist()
        known = [*outputs, *[None] * len(errors)] if side == "output" else [None] * len(errors)
        told = [own if own is not None else seen for own, seen in zip(known, errors, strict=False)]
        found[side] = [f"MSE {number(1)(error)}" for error in told]
    return found


def _shrunk(images: Tensor, shrink: int) -> Tensor:
    if shrink == 1:
        return images
    return F.avg_pool2d(images.float(), shrink).round().byte()


def png_row(images: Tensor) -> str:
    """Images `[n,3,H,W]` uint8 side by side, as the data URL of a PNG."""
    count, _, height, width = images.shape
    canvas = np.zeros((height, count * (width + GAP) - GAP, 4), np.uint8)
    for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        left = index * (width + GAP)
        canvas[:, left : left + width, :3] = image
        canvas[:, left : left + width, 3] = 255
    return png_url(canvas)
