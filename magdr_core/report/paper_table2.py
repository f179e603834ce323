"""Table 2 of the paper on this run: defenses, what they recover and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from magdr_core.report.figures import CLEAN_IMAGES, ENSEMBLE, IDENTITY, Condition, Figures, Variant
from magdr_core.report.formatting import Block, Column, Shown, Table, count, number
from magdr_core.report.table_model import (
    DECIBEL,
    MSE,
    SIMILARITY,
    Source,
    attack_blocks,
    damage,
    lines,
    present,
    table,
)


def glance(figures: Figures, task: str) -> Table | None:
    """The output error of every defense under every attack, beside what it costs on clean images."""
    sources = [damage()]
    for attack in figures.attacks(task):
        noise = ", noise" if figures.is_noise(task, attack) else ""
        column = Column(attack.label, f"{attack.strength}{noise}", "lower", MSE)
        sources.append(Source(column, "mse_o", condition=attack))
    sources.append(Source(Column("Forwards", "per clean image", "lower", count, marked=False), "forwards"))
    found = lines(figures, task, "defense", CLEAN_IMAGES, sources)
    caption = f"Table 2 at a glance, {task}: mean MSE (O)"
    return table(caption, "Defense", sources, [Block("", "", found)], knowledge=False)


def defense(
    figures: Figures, task: str, attacks: Sequence[Condition], caption: str = "Table 2"
) -> Table | None:
    """What every defense leaves of the disruption in the output, a block per attack."""
    sources = [
        *present(
            figures,
            task,
            [
                Source(Column("MSE (O)", "mean", "lower", MSE), "mse_o"),
                Source(Column("MSE (O)", "median", "lower", MSE), "median_mse_o"),
                # With G's output averaged over processed inputs, which any defense can have.
                Source(Column("MSE (O)", "ensemble", "lower", MSE), "mse_o", Variant(name=ENSEMBLE)),
                *_similarities("o"),
            ],
        ),
        damage(),
        Source(Column("Forwards", "per image", "lower", count, marked=False), "forwards"),
    ]
    blocks = attack_blocks(figures, task, "defense", sources, attacks, compare_noise=True)
    made = table(f"{caption}, {task}: outputs (O)", "Defense", sources, blocks)
    return _with_differences(figures, task, attacks, made) if made else None


def inputs(figures: Figures, task: str, attacks: Sequence[Condition]) -> Table | None:
    """How far every defense's image is from the clean one."""
    sources = present(
        figures,
        task,
        [
            Source(Column("MSE (I)", "mean", "lower", MSE), "mse_i"),
            Source(Column("MSE (I)", "median", "lower", MSE), "median_mse_i"),
            *_similarities("i"),
        ],
    )
    blocks = attack_blocks(figures, task, "defense", sources, attacks, compare_noise=True)
    return table(f"Table 2, {task}: inputs (I)", "Defense", sources, blocks)


def _similarities(side: str) -> list[Source]:
    name = f"({side.upper()})"
    return [
        Source(Column(f"SSIM {name}", "mean", "higher", SIMILARITY), f"ssim_{side}"),
        Source(Column(f"PSNR {name}", "mean, dB", "higher", DECIBEL), f"psnr_{side}"),
        Source(Column(f"PSNR {name}", "pooled, dB", "higher", DECIBEL), f"psnr_pooled_{side}"),
        Source(Column(f"FeatSim {name}", "deep cosine", "higher", SIMILARITY), f"featsim_{side}"),
        Source(Column(f"FSIM {name}", "mean", "higher", SIMILARITY), f"fsim_{side}"),
    ]


def _with_differences(figures: Figures, task: str, attacks: Sequence[Condition], made: Table) -> Table:
    """With a column for the paired difference to the best baseline, where the run has any."""
    if not figures.variants(task, "mse_o_difference"):
        return made
    place, show = len(made.columns) - 1, number(1)
    made.columns.insert(
        place, Column("Difference", "MSE (O), paired, to the best baseline", show=show, wide=True)
    )
    for attack, block in zip(attacks, made.blocks, strict=True):
        for component, line in zip(figures.components(task, "defense"), block.lines, strict=True):
            found = figures.difference(task, attack, component)
            field = Shown()
            if found is not None and component != IDENTITY:
                figure, rival, verdict = found
                field = Shown(figure, show(figure.value))
                if figure.has_interval:
                    field.interval = f"{show(figure.low)} to {show(figure.high)}"
                said = {None: "", True: ", significant", False: ", not significant"}[verdict]
                field.note = f"to {rival}{said}"
            line.fields.insert(place, field)
    return made
