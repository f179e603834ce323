"""The images that our defense served worst: a mean hides them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.figures import IDENTITY, AttackCondition, Figures
from magdr_core.report.formatting import MISSING, Block, Column, Shown, Table, TableLine, number
from magdr_core.report.image_errors import Image, defense_cells, image_errors
from magdr_core.report.picture_grid import Gallery, Panel, Row, scale_of
from magdr_core.results.pictures import BESIDE, worst_of, worst_side

_mse = number(DEFINITIONS["defense", "mse_o"].digits)

_FEWEST = 3
"""Images for each of the worst ones."""


class Worst(NamedTuple):
    """What is shown: a table, and the pictures of its images as far as the run kept them.

    Attributes:
        lacking: what there is no picture of, in words; empty if there is one of each.
    """

    table: Table
    pictures: Gallery | None
    lacking: str


def worst(figures: Figures, task: str, attack: AttackCondition, budget: int) -> Worst | None:
    """The five images with the largest output error under our defense; None if no errors of images were kept,
    or of so few that the worst are no exceptions.

    Args:
        budget: characters that the pictures may take.
    """
    label = figures.ours(task, "defense")
    own = image_errors(figures, task, attack, label) if label else {}
    if not label or not own:
        return None
    images = worst_of(own)
    if len(own) < _FEWEST * len(images):
        return None
    found = _pictures(figures, task, attack, label)
    kept = [image for image in images if image in found]
    lacking = ""
    if len(kept) < len(images):
        which = f"{len(images) - len(kept)} of these images" if kept else "these images"
        lacking = f"This run folder holds no pictures of {which}."
    gallery = _gallery(figures, task, attack, label, {i: found[i] for i in kept}, budget) if kept else None
    return Worst(_table(figures, task, attack, label, own, images), gallery, lacking)


def _table(
    figures: Figures,
    task: str,
    attack: AttackCondition,
    label: str,
    own: Mapping[Image, float],
    images: list[Image],
) -> Table:
    several = len(figures.seeds(task)) > 1
    compared = {name: image_errors(figures, task, attack, name) for name in (IDENTITY, ORACLE)}
    others = {
        name: errors
        for name in figures.baselines(task, "defense")
        if (errors := image_errors(figures, task, attack, name))
    }
    columns = [
        Column("Undefended", "output MSE"),
        Column(label, "leaves"),
        Column("Best baseline", "for this image, leaves"),
    ]
    if compared[ORACLE]:
        columns.append(Column("Oracle", "would leave"))
    lines = []
    for image in images:
        seed, name = image
        best = min((o for o in others if image in others[o]), key=lambda o: others[o][image], default=None)
        line = TableLine(name, f"seed {seed}" if several else "")
        line.fields = [
            _field(compared[IDENTITY], image),
            _field(own, image),
            Shown(text=_mse(others[best][image]), note=best) if best else Shown(),
        ]
        if compared[ORACLE]:
            line.fields.append(_field(compared[ORACLE], image))
        lines.append(line)
    caption = f"Worst {len(lines)} of {len(own)} images, {task}: {label} under {attack.label}"
    return Table(caption, "Image", columns, [Block("", "", lines)])


def _pictures(
    figures: Figures, task: str, attack: AttackCondition, component: str
) -> dict[Image, Mapping[str, Tensor]]:
    """Pictures by image and side, from the cells that kept them."""
    found: dict[Image, Mapping[str, Tensor]] = {}
    for cell in defense_cells(figures, task, attack, component):
        seed = cell.facts.seed
        name = (task, cell.facts.attack, component)
        sides = {side: figures.run.pictures.get((*name, worst_side(side, seed))) for side in BESIDE}
        for index, image in enumerate(cell.worst or ()):
            shown = {s: t[index] for s, t in sides.items() if t is not None and index < len(t)}
            if len(shown) == len(BESIDE):
                found[(seed, image)] = shown
    return found


def _gallery(
    figures: Figures,
    task: str,
    attack: AttackCondition,
    label: str,
    pictures: Mapping[Image, Mapping[str, Tensor]],
    budget: int,
) -> Gallery:
    """Clean, disrupted and defended pictures, input above output, worst first."""
    samples = len(pictures)
    stacked = {side: torch.stack([sides[side] for sides in pictures.values()]) for side in BESIDE}
    where = f"{task}, {attack.label}, worst images"
    rows = [
        _row(stacked, "clean", "clean", "what the output should be", f"{where}, clean", "clean-"),
        _row(stacked, IDENTITY, "disrupted", "undefended", f"{where}, disrupted", "attacked-", "reference"),
        _row(stacked, label, label, "", f"{where}, {label}", ""),
    ]
    height, width = stacked["input"].shape[2:]
    shrink = 1
    while sum(row.cost(shrink, samples) for row in rows) > budget and min(height, width) >= 4 * shrink:
        shrink *= 2
    clean, *others = (row.strip(samples, shrink) for row in rows)
    several = len(figures.seeds(task)) > 1
    shown = (height // shrink, width // shrink)
    return Gallery(
        task=task,
        size=shown,
        samples=samples,
        scale=scale_of(shown[1]),
        clean=clean,
        panels=(Panel(attack.label, attack.strength, tuple(others), first=True),),
        versions=tuple((row.key, row.title) for row in rows),
        ids=tuple(f"{name} (seed {seed})" if several else name for seed, name in pictures),
        left_out=f"To keep this file small they are at 1/{shrink} of their size." if shrink > 1 else "",
    )


def _row(
    stacked: Mapping[str, Tensor], key: str, title: str, detail: str, where: str, side: str, kind: str = ""
) -> Row:
    sides = {name: stacked[f"{side}{name}"] for name in ("input", "output")}
    return Row(key, title, detail, where, sides, kind)


def _field(errors: Mapping[Image, float], image: Image) -> Shown:
    return Shown(text=_mse(errors[image])) if image in errors else Shown(text=MISSING)
