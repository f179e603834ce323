"""What a report has of forensic models: who tells which forgery at which quality, and where it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from magdr_core.measures.definitions import Definitions
from magdr_core.report.figures import Figures
from magdr_core.report.formatting import MISSING, Block, Table, TableLine, column, shown
from magdr_core.report.key_picture import KeyPicture, ShownVersion
from magdr_core.report.picture_grid import Gallery, Panel, Row, png_row, scale_of
from magdr_core.report.verdict import CardField, TaskCard
from magdr_core.results.cell import FORGED
from magdr_core.results.forensic_grid import ROLE, SEEN, ForensicGrid, family
from magdr_core.results.frame import NONE

UNTOUCHED = "untouched"
"""What pictures are called that went through nothing."""

SAMPLES = 4
"""Pictures of each forgery that are shown."""


@dataclass(frozen=True)
class Forensics:
    """The part of a task's section.

    Attributes:
        summary: a sentence or two.
        tables: with their headings.
        gallery: forged pictures, their masks, and what models locate; None without pictures.
    """

    summary: str
    tables: list[tuple[str, Table]]
    gallery: Gallery | None

    @property
    def read_first(self) -> list[Table]:
        """The first two tables, of untouched pictures alone."""
        found = []
        for title, made in self.tables[:2]:
            block = replace(made.blocks[0], title="")
            found.append(replace(made, caption=f"{title}, {made.blocks[0].title} pictures", blocks=[block]))
        return found

    @property
    def read_later(self) -> list[tuple[str, Table]]:
        """The tables that have more than that."""
        return [one for place, one in enumerate(self.tables) if place > 1 or len(one[1].blocks) > 1]


def forensics(figures: Figures, task: str, budget: int) -> Forensics | None:
    """None where a task has no forensic model.

    Args:
        budget: characters that the pictures may take.
    """
    rows = [row for row, facts in figures.frame.plain if facts.task == task]
    grid = ForensicGrid(rows, figures.run.listed("picture_qualities"))
    if not grid.models:
        return None
    definitions, seeds = figures.run.definitions, len(figures.seeds(task))
    order = [f"{FORGED}{label}" for label in figures.run.listed("forgeries")]
    models = figures.components(task, ROLE)
    tables = []
    for title, metric, note in _TABLES:
        attacks = sorted(grid.attacks(metric), key=lambda a: order.index(a) if a in order else -1)
        made = _table(grid, definitions, models, seeds, title, metric, attacks, note)
        if made is not None:
            tables.append((title, made))
    return Forensics(_summary(grid), tables, _gallery(figures, task, order, models, budget))


_TABLES = (
    (
        "Forged or not: AUC against their own reals",
        "auc",
        "0.5 is chance. Under a figure stands what of it the model has not seen before.",
    ),
    (
        "Where: overlap (IoU) with the forged pixels",
        "iou",
        "Of fakes alone. A constant mask and a mask of the face are no findings: beat them.",
    ),
    (
        "Reals flagged: share at the threshold",
        "false_alarms",
        "Real pictures, and edits of them that forge nothing.",
    ),
    (
        "Edited reals told from untouched ones: AUC",
        "auc_edited",
        "0.5: not told apart. What is above it here is no forgery that was found.",
    ),
    (
        "Attacked reals told from the same ones with noise as strong: AUC",
        "auc_noise",
        "0.5: what is noticed is any noise, not what the attack aims at.",
    ),
    (
        "What is left of the AUC: after minus before",
        "auc_change",
        "Of the same faces, after a quality, an attack on the model, or a restoration.",
    ),
    (
        "Reals flagged: share after minus before",
        "false_alarms_change",
        "Of the same faces; a restored real was what it was restored from.",
    ),
    ("Reals: share of pixels located as forged", "flagged_pixels", ""),
)


def _table(
    grid: ForensicGrid,
    definitions: Definitions,
    models: Sequence[str],
    seeds: int,
    title: str,
    metric: str,
    attacks: Sequence[str],
    note: str,
) -> Table | None:
    """A block of rows per quality, a row per model, a column per forgery."""
    columns = [column(ROLE, metric, family(attack), definitions=definitions) for attack in attacks]
    blocks = []
    for quality in grid.qualities:
        lines = []
        for model in models:
            line = TableLine(model)
            for attack, own in zip(attacks, columns, strict=True):
                figure = grid.get(attack, model, metric, quality)
                field = shown(figure, own, failed=False, seeds=seeds)
                mark = grid.mark(attack, model, quality)
                if figure is not None and mark != SEEN:
                    field.note = "; ".join(filter(None, [field.note, mark]))
                line.fields.append(field)
            if any(field.figure for field in line.fields):
                lines.append(line)
        if lines:
            blocks.append(Block(quality or UNTOUCHED, "", lines))
    return Table(title, "Model", columns, blocks, note).finished() if blocks else None


def forensic_card(figures: Figures, task: str) -> TaskCard | None:
    """A task's picture and figures on the first screen; None where a task has no forensic model."""
    rows = [row for row, facts in figures.frame.plain if facts.task == task]
    grid = ForensicGrid(rows, figures.run.listed("picture_qualities"))
    if not grid.models:
        return None
    lines = []
    for model in grid.models:
        unseen = grid.unseen(model, "auc")
        seen = [a for a in grid.attacks("auc") if a not in unseen]
        fields = []
        for attacks in (unseen, seen):
            mean = grid.mean(model, "auc", attacks=attacks) if attacks else None
            fields.append(CardField(MISSING if mean is None else f"{mean:.2f}", f"of {len(attacks)}"))
        lines.append((model, fields))
    n = figures.samples(task)
    return TaskCard(
        task=task,
        about=f"n = {n:,}" if n is not None else "",
        picture=_key_picture(figures, task, grid),
        heads=(CardField("Unseen forgeries", "mean AUC"), CardField("Seen ones", "mean AUC")),
        lines=lines,
    )


def _key_picture(figures: Figures, task: str, grid: ForensicGrid) -> KeyPicture | None:
    """The first face with the first forgery of it, and what is located in it."""
    pictures = {key[1:]: images for key, images in figures.run.pictures.items() if key[0] == task}
    order = [f"{FORGED}{label}" for label in figures.run.listed("forgeries")]
    attack = next((a for a in order if (a, "", "forged") in pictures), None)
    if attack is None:
        return None
    models = [m for m in grid.models if (attack, m, "located") in pictures]
    models.sort(key=lambda m: -(grid.mean(m, "auc", attacks=grid.unseen(m, "auc")) or 0.0))
    wanted = {
        "real": (NONE, "clean", "input"),
        "forged": (attack, "", "forged"),
        "what is forged": (attack, "", "mask"),
        **{f"located by {m}": (attack, m, "located") for m in models[:1]},
    }
    found = {title: pictures[key][:1] for title, key in wanted.items() if key in pictures}
    versions = tuple(ShownVersion(title, "", png_row(images), "") for title, images in found.items())
    return KeyPicture(versions, f"The first face, {family(attack)}.") if len(versions) > 1 else None


def _summary(grid: ForensicGrid) -> str:
    """Which model is best at what it has not seen."""
    found = []
    for model in grid.models:
        unseen = grid.unseen(model, "auc")
        mean = grid.mean(model, "auc", attacks=unseen)
        if mean is not None:
            found.append((mean, model, len(unseen)))
    if not found:
        return (
            "No model met a forgery that it had not learned from: nothing here says how it does on new ones."
        )
    best, model, count = max(found)
    return (
        f"On untouched forgeries of families that it had not learned from, {model} has the largest mean AUC, "
        f"{best:.2f} of {count}. What is unseen differs from model to model: compare column by column."
    )


def _gallery(
    figures: Figures, task: str, order: Sequence[str], models: Sequence[str], budget: int
) -> Gallery | None:
    """Each forgery with its mask, and what every model locates, as far as the budget goes."""
    pictures = {key[1:]: images for key, images in figures.run.pictures.items() if key[0] == task}
    real = pictures.get((NONE, "clean", "input"))
    there = [attack for attack in order if (attack, "", "forged") in pictures]
    if real is None or not there:
        return None
    samples = min(SAMPLES, len(real))
    size = (real.shape[2], real.shape[3])
    clean = Row("clean", "real", "what they were made of", f"{task}, real", {"input": real})
    panels: list[Panel] = []
    spent = clean.cost(1, samples)
    for attack in there:
        title = family(attack)
        rows = [
            Row("forged", "forged", "", f"{task}, {title}", {"input": pictures[(attack, "", "forged")]}),
        ]
        mask = pictures.get((attack, "", "mask"))
        if mask is not None:
            rows.append(Row("mask", "mask", "what is forged", f"{task}, {title}", {"input": mask}))
        for model in models:
            located = pictures.get((attack, model, "located"))
            if located is not None:
                rows.append(Row(model, model, "located", f"{task}, {title}, {model}", {"input": located}))
        spent += sum(row.cost(1, samples) for row in rows)
        if spent > budget:
            break
        strips = tuple(row.strip(samples, 1) for row in rows)
        panels.append(Panel(title, "", strips, first=not panels))
    if not panels:
        return None
    left = len(there) - len(panels)
    versions = {strip.key: strip.title for panel in panels for strip in panel.strips}
    return Gallery(
        task=task,
        size=size,
        samples=samples,
        scale=scale_of(size[1]),
        clean=clean.strip(samples, 1),
        panels=tuple(panels),
        versions=(("clean", "real"), *versions.items()),
        ids=(),
        left_out=f"{left} forgeries are not shown, to keep this file small." if left else "",
    )
