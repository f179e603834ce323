"""The picture grid: one PNG per component and side, with its samples next to each other."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from magdr_core.bench.plan import CLEAN
from magdr_core.report.figures import CLEAN_IMAGES, IDENTITY, Condition, Figures
from magdr_core.report.shown import number
from magdr_core.report.tables import defense_name

GAP = 2
"""Transparent pixels between samples; the page's script knows it from the markup."""

_BIG = 128
"""Images up to this size are shown at twice their size."""


@dataclass(frozen=True)
class Side:
    """A row of samples as a PNG."""

    name: str
    url: str
    alt: str


@dataclass(frozen=True)
class Strip:
    """A component's restored inputs above its outputs."""

    title: str
    detail: str
    sides: tuple[Side, ...]
    kind: str = ""


@dataclass(frozen=True)
class Panel:
    """What is shown of one attack."""

    title: str
    detail: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Gallery:
    """The grid of one task: clean images, then a panel per attack."""

    task: str
    size: tuple[int, int]
    samples: int
    scale: int
    clean: Strip | None
    panels: tuple[Panel, ...]

    @property
    def width(self) -> int:
        """Pixels of a strip before scaling."""
        return self.samples * (self.size[1] + GAP) - GAP


def gallery(figures: Figures, task: str) -> Gallery | None:
    """The pictures of a task, None if there are none."""
    pictures = {key[1:]: images for key, images in figures.run.pictures.items() if key[0] == task}
    if not pictures:
        return None
    count, _, height, width = next(iter(pictures.values())).shape
    clean = _strip(pictures, CLEAN, "clean", f"{task}, clean", "clean", "what the output should be")
    conditions = [*figures.attacks(task), CLEAN_IMAGES]
    panels = [_panel(figures, task, pictures, condition) for condition in conditions]
    return Gallery(
        task=task,
        size=(height, width),
        samples=count,
        scale=2 if width <= _BIG else 1,
        clean=clean,
        panels=tuple(p for p in panels if p.strips),
    )


def _panel(
    figures: Figures, task: str, pictures: dict[tuple[str, ...], Tensor], condition: Condition
) -> Panel:
    on_clean = condition == CLEAN_IMAGES
    strips = []
    for component in figures.components(task, "defense"):
        title, detail, kind = defense_name(component)
        if component == IDENTITY:
            # On clean images it would repeat the clean strip.
            if on_clean:
                continue
            title, detail = "disrupted", "undefended"
        figure = figures.get(task, condition, "defense", component, "mse_o")
        error = f"mean MSE (O) {number(1)(figure.value)}" if figure else ""
        detail = "; ".join(part for part in (detail, error) if part)
        where = f"{task}, {'clean images' if on_clean else condition.label}, {title}"
        strip = _strip(pictures, condition.attack, component, where, title, detail, kind)
        if strip is not None:
            strips.append(strip)
    if on_clean:
        return Panel("clean images", "what each defense does to images that nobody attacked", tuple(strips))
    return Panel(condition.label, condition.strength, tuple(strips))


def _strip(
    pictures: dict[tuple[str, ...], Tensor],
    attack: str,
    component: str,
    where: str,
    title: str,
    detail: str,
    kind: str = "",
) -> Strip | None:
    sides = []
    for side in ("input", "output"):
        images = pictures.get((attack, component, side))
        if images is None or not len(images):
            continue
        many = f"{len(images)} sample{'s' if len(images) != 1 else ''}"
        sides.append(Side(side, _png(images), f"{where}: {side}s of {many}"))
    return Strip(title, detail, tuple(sides), kind) if sides else None


def _png(images: Tensor) -> str:
    """Images side by side as a data URL."""
    count, _, height, width = images.shape
    canvas = np.zeros((height, count * (width + GAP) - GAP, 4), np.uint8)
    for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        left = index * (width + GAP)
        canvas[:, left : left + width, :3] = image
        canvas[:, left : left + width, 3] = 255
    out = io.BytesIO()
    Image.fromarray(canvas).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
