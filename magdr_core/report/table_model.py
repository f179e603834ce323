"""What the tables of the report share: where a column's figures come from, rows, blocks; and the attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.checks import badge_of
from magdr_core.report.figures import CLEAN_IMAGES, IDENTITY, PLAIN, AttackCondition, Figures, Variant
from magdr_core.report.formatting import (
    MISSING,
    Block,
    Column,
    Kind,
    Shown,
    Table,
    TableLine,
    column,
    number,
    percent,
    shown,
)

NOISE = "random noise: a reference, not an attack"
_KNOWLEDGE = Column("Attacker", "knows the defense?", words=True)
_IMAGES = Column("n", "images", show=number(0))


@dataclass(frozen=True)
class Source:
    """Where a column's figures come from; `condition` None: the block's own."""

    column: Column
    metric: str
    variant: Variant = PLAIN
    condition: AttackCondition | None = None


def source(
    role: str,
    metric: str,
    title: str,
    detail: str = "",
    variant: Variant = PLAIN,
    condition: AttackCondition | None = None,
    **more: Any,
) -> Source:
    """A column of a figure with where it comes from; `more` is of :func:`column`."""
    return Source(column(role, metric, title, detail, **more), metric, variant, condition)


def damage() -> Source:
    """What a defense costs where nobody attacked."""
    about = "Damage", "output MSE, clean images"
    return source("defense", "mse_o", *about, condition=CLEAN_IMAGES, reference_competes=False)


def present(figures: Figures, task: str, sources: Sequence[Source]) -> list[Source]:
    """Without the columns that no row of the task has a figure for."""
    return [s for s in sources if s.variant in figures.variants(task, s.metric)]


def table(
    caption: str,
    head: str,
    sources: Sequence[Source],
    blocks: list[Block],
    *,
    detail: str = "",
    note: str = "",
    knowledge: bool = True,
    images: bool = True,
) -> Table | None:
    """A table of rows made by `lines` with the same sources, best fields marked; None without rows.

    Args:
        detail: beside the caption.
        knowledge: with a column for what the attacker of each row knows.
        images: with a column for the number of images.
    """
    blocks = [block for block in blocks if block.lines]
    if not blocks:
        return None
    columns = [s.column for s in sources]
    if images:
        columns.append(_IMAGES)
    if knowledge:
        columns.insert(0, _KNOWLEDGE)
    for line in (line for block in blocks for line in block.lines):
        pairs = zip(line.fields, sources, strict=True)
        own = next((f.figure for f, s in pairs if f.figure and s.condition is None), None)
        if images:
            line.fields.append(Shown(text=number(0)(own.n) if own else MISSING))
        if knowledge:
            # The undefended reference has no defense to know of.
            line.fields.insert(0, Shown(text=own.knowledge.replace("none", "no defense") if own else MISSING))
    return Table(caption, head, columns, blocks, note, detail).finished()


def about(figures: Figures, task: str, attack: AttackCondition) -> str:
    """An attack's strength and how many images there are."""
    n = figures.samples(task)
    return ", ".join(filter(None, [attack.strength, f"n = {n:,}" if n is not None else ""]))


def attack_blocks(
    figures: Figures,
    task: str,
    role: str,
    sources: Sequence[Source],
    attacks: Sequence[AttackCondition],
    *,
    compare_noise: bool,
) -> list[Block]:
    """A block of rows per attack."""
    blocks = []
    for attack in attacks:
        noise = figures.is_noise(task, attack)
        detail = f"{attack.strength}; {NOISE}" if noise else attack.strength
        found = lines(figures, task, role, attack, sources)
        compared = compare_noise or not noise
        blocks.append(Block(attack.label, detail, found, compared=compared, condition=attack))
    return blocks


def lines(
    figures: Figures, task: str, role: str, condition: AttackCondition, sources: Sequence[Source]
) -> list[TableLine]:
    """A row per component with the sources' figures; without those that have none of the condition, unless
    they failed."""
    seeds, found = len(figures.seeds(task)), []
    for component in figures.components(task, role):
        line = named(figures, task, role, component)
        for s in sources:
            where = condition if s.condition is None else s.condition
            figure = figures.get(task, where, role, component, s.metric, s.variant)
            failed = figures.failed(task, where, role, component)
            field = shown(figure, s.column, failed=failed, seeds=seeds)
            defined = DEFINITIONS.get(role, s.metric)  # None of a plugin's role
            if figure is not None and defined is not None and defined.among:
                field.note = f"n = {figure.n:,}"  # of fewer images than the row's others
            line.fields.append(field)
        own = [f for f, s in zip(line.fields, sources, strict=True) if s.condition is None] or line.fields
        if any(field.figure or field.failed for field in own):
            found.append(line)
    return found


def named(figures: Figures, task: str, role: str, component: str) -> TableLine:
    """A row with its heading."""
    label, details = component, list[str]()
    kind: Kind = ""
    if role == "defense":
        label, detail, kind = defense_name(component)
        details = [detail] if detail else []
    if figures.sees_masks(task, role, component):
        details.append("given exact masks")
    badge = badge_of(figures.run, task, role, component)
    return TableLine(label, "; ".join(details), kind, badge=badge, component=component)


def defense_name(component: str) -> tuple[str, str, Kind]:
    """Label, remark and place of a defense: two of them are no defenses."""
    if component == IDENTITY:
        return component, "undefended", "reference"
    if component == ORACLE:
        return f"{component} (not a defense)", "sees the clean output", "bound"
    return component, "", ""


def attacks(figures: Figures, task: str) -> Table | None:
    """How much each attack disrupts an undefended generator."""
    sources = [
        source("attack", "mse_o", "Output MSE", "mean", judged=False),
        source("attack", "median_mse_o", "Output MSE", "median", judged=False),
        source("attack", "mse_o_target", "Output MSE", "inside the target", judged=False),
        source("attack", "mse_aim", "Output MSE", "to the attack's target", judged=False),
        source("attack", "success", "Success", "share of images", show=percent, judged=False),
        source("attack", "success_identity", "Success", "shows somebody else", show=percent, judged=False),
        source("attack", "identity_o", "Identity", "cosine, mean", judged=False),
    ]
    sources = present(figures, task, sources)
    columns = [Column("eps"), Column("Steps"), *(s.column for s in sources), _IMAGES]
    seeds, found = len(figures.seeds(task)), []
    known = figures.components(task, "attack")
    for attack in figures.attacks(task):
        if known and attack.attack not in known:
            continue  # a plugin's images, which no attack made
        detail = NOISE if figures.is_noise(task, attack) else ""
        badge = badge_of(figures.run, task, "attack", attack.attack)
        line = TableLine(attack.label, detail, "reference" if detail else "", badge=badge)
        line.fields = [Shown(text=f"{attack.eps * 255:.4g}/255"), Shown(text=str(attack.steps))]
        failed = figures.failed(task, attack, "attack", attack.attack)
        own = [figures.get(task, attack, "attack", attack.attack, s.metric) for s in sources]
        for s, figure in zip(sources, own, strict=True):
            line.fields.append(shown(figure, s.column, failed=failed, seeds=seeds))
        line.fields.append(Shown(text=number(0)(own[0].n) if own and own[0] else MISSING))
        found.append(line)
    if not found:
        return None
    return Table(f"Attacks, {task}, no defense", "Attack", columns, [Block("", "", found)])
