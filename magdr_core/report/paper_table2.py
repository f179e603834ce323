"""Table 2 of the paper on this run: defenses, what they recover and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from magdr_core.report.figures import CLEAN_IMAGES, ENSEMBLE, IDENTITY, AttackCondition, Figures, Variant
from magdr_core.report.formatting import Block, Shown, Table, column, count
from magdr_core.report.table_model import (
    Source,
    attack_blocks,
    damage,
    lines,
    present,
    source,
    table,
)


def glance(figures: Figures, task: str) -> Table | None:
    """The output error of every defense under every attack, beside what it costs on clean images."""
    sources = [damage()]
    for attack in figures.attacks(task):
        noise = ", noise" if figures.is_noise(task, attack) else ""
        detail = f"{attack.strength}{noise}"
        sources.append(source("defense", "mse_o", attack.label, detail, condition=attack))
    sources.append(_forwards("per clean image"))
    found = lines(figures, task, "defense", CLEAN_IMAGES, sources)
    caption = f"Table 2 at a glance, {task}: mean MSE (O)"
    return table(caption, "Defense", sources, [Block("", "", found)], knowledge=False)


def defense(
    figures: Figures, task: str, attacks: Sequence[AttackCondition], caption: str = "Table 2"
) -> Table | None:
    """What every defense leaves of the disruption in the output, a block per attack."""
    sources = [
        *present(
            figures,
            task,
            [
                source("defense", "mse_o", "MSE (O)", "mean"),
                source("defense", "median_mse_o", "MSE (O)", "median"),
                # With G's output averaged over processed inputs, which any defense can have.
                source("defense", "mse_o", "MSE (O)", "ensemble", Variant(name=ENSEMBLE)),
                source("defense", "mse_o_target", "MSE (O)", "inside the target"),
                source("defense", "mse_o_successful", "MSE (O)", "attack succeeded"),
                *_similarities("o"),
            ],
        ),
        damage(),
        _forwards("per image"),
    ]
    blocks = attack_blocks(figures, task, "defense", sources, attacks, compare_noise=True)
    made = table(f"{caption}, {task}: outputs (O)", "Defense", sources, blocks)
    return _with_differences(figures, task, attacks, made) if made else None


def inputs(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    """How far every defense's image is from the clean one."""
    sources = present(
        figures,
        task,
        [
            source("defense", "mse_i", "MSE (I)", "mean"),
            source("defense", "median_mse_i", "MSE (I)", "median"),
            *_similarities("i"),
        ],
    )
    blocks = attack_blocks(figures, task, "defense", sources, attacks, compare_noise=True)
    return table(f"Table 2, {task}: inputs (I)", "Defense", sources, blocks)


def _similarities(side: str) -> list[Source]:
    name = f"({side.upper()})"
    return [
        source("defense", f"ssim_{side}", f"SSIM {name}", "mean"),
        source("defense", f"psnr_{side}", f"PSNR {name}", "mean, dB"),
        source("defense", f"psnr_pooled_{side}", f"PSNR {name}", "pooled, dB"),
        source("defense", f"featsim_{side}", f"FeatSim {name}", "deep cosine"),
        source("defense", f"fsim_{side}", f"FSIM {name}", "mean"),
    ]


def _forwards(detail: str) -> Source:
    return source("defense", "forwards", "Forwards", detail, show=count, marked=False)


def _with_differences(figures: Figures, task: str, attacks: Sequence[AttackCondition], made: Table) -> Table:
    """With a column for the paired difference to the best baseline, where the run has any."""
    if not figures.variants(task, "mse_o_difference"):
        return made
    place, about = len(made.columns) - 1, ("Difference", "MSE (O), paired, to the best baseline")
    head = column("defense", "mse_o_difference", *about, judged=False, wide=True)
    made.columns.insert(place, head)
    show = head.show
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
