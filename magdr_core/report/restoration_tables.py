"""What defenses recover, as in Table 2 of the paper, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from magdr_core.report.figures import CLEAN_IMAGES, ENSEMBLE, IDENTITY, AttackCondition, Figures, Variant
from magdr_core.report.formatting import Block, Shown, Table, column, count
from magdr_core.report.table_model import (
    Source,
    about,
    attack_blocks,
    damage,
    lines,
    present,
    source,
    table,
)


def restoration(figures: Figures, task: str, attack: AttackCondition) -> Table | None:
    """What every defense leaves of one attack, and what it costs: the figures that are read first."""
    sources = [
        source("defense", "mse_o", "Output MSE", "left of the attack"),
        damage(),
        _forwards("per image"),
    ]
    block = Block("", "", lines(figures, task, "defense", attack, sources), condition=attack)
    caption, detail = f"Restoration under {attack.label}, {task}", about(figures, task, attack)
    made = table(caption, "Defense", sources, [block], detail=detail, knowledge=False, images=False)
    return _with_differences(figures, task, [attack], made, place=1) if made else None


def glance(figures: Figures, task: str) -> Table | None:
    """The output error of every defense under every attack, beside what it costs on clean images."""
    sources = [damage()]
    for attack in figures.attacks(task):
        noise = ", noise" if figures.is_noise(task, attack) else ""
        detail = f"{attack.strength}{noise}"
        group = "mean output MSE that is left"
        sources.append(source("defense", "mse_o", attack.label, detail, condition=attack, group=group))
    sources.append(_forwards("per clean image"))
    found = lines(figures, task, "defense", CLEAN_IMAGES, sources)
    caption = f"Output error under every attack, {task}"
    return table(caption, "Defense", sources, [Block("", "", found)], knowledge=False)


def full(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    """What every defense leaves of the disruption in the output, a block per attack."""
    sources = [
        *present(
            figures,
            task,
            [
                source("defense", "mse_o", "MSE", "mean"),
                source("defense", "median_mse_o", "MSE", "median"),
                # With G's output averaged over processed inputs, which any defense can have.
                source("defense", "mse_o", "MSE", "ensemble", Variant(name=ENSEMBLE)),
                source("defense", "mse_o_target", "MSE", "inside the target"),
                source("defense", "mse_o_successful", "MSE", "attack succeeded"),
                *_similarities("o"),
                source("defense", "identity_o", "Identity", "cosine, mean"),
            ],
        ),
        damage(),
        _forwards("per image"),
    ]
    blocks = attack_blocks(figures, task, "defense", sources, attacks, compare_noise=True)
    made = table(f"Restoration in full, {task}: outputs", "Defense", sources, blocks)
    return _with_differences(figures, task, attacks, made) if made else None


def inputs(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    """How far every defense's image is from the clean one."""
    sources = present(
        figures,
        task,
        [
            source("defense", "mse_i", "MSE", "mean"),
            source("defense", "median_mse_i", "MSE", "median"),
            *_similarities("i"),
        ],
    )
    blocks = attack_blocks(figures, task, "defense", sources, attacks, compare_noise=True)
    return table(f"Restoration in full, {task}: inputs", "Defense", sources, blocks)


def _similarities(side: str) -> list[Source]:
    return [
        source("defense", f"ssim_{side}", "SSIM", "mean"),
        source("defense", f"psnr_{side}", "PSNR", "mean, dB"),
        source("defense", f"psnr_pooled_{side}", "PSNR", "pooled, dB"),
        source("defense", f"featsim_{side}", "FeatSim", "deep cosine"),
        source("defense", f"fsim_{side}", "FSIM", "mean"),
    ]


def _forwards(detail: str) -> Source:
    return source("defense", "forwards", "Passes", detail, show=count, marked=False)


def _with_differences(
    figures: Figures, task: str, attacks: Sequence[AttackCondition], made: Table, place: int | None = None
) -> Table:
    """With a column for the paired difference to the best baseline, where the run has any; `place` None: the
    last but one."""
    if not figures.variants(task, "mse_o_difference"):
        return made
    place = len(made.columns) - 1 if place is None else place
    rivals = [
        d[1]
        for a in attacks
        for c in figures.components(task, "defense")
        if (d := figures.difference(task, a, c))
    ]
    usual = max(rivals, key=rivals.count) if len(attacks) == 1 and rivals else ""
    words = ("Difference", f"paired, to {usual or 'the best baseline'}")
    head = column("defense", "mse_o_difference", *words, judged=False, wide=True)
    made.columns.insert(place, head)
    show = head.show
    for block in made.blocks:
        for line in block.lines:
            found = figures.difference(task, block.condition, line.component) if block.condition else None
            field = Shown()
            if found is not None and line.component != IDENTITY:
                figure, rival, verdict = found
                field = Shown(figure, show(figure.value))
                if figure.has_interval:
                    field.interval = f"{show(figure.low)} to {show(figure.high)}"
                said = {None: "", True: "significant", False: "not significant"}[verdict]
                to = f"to {rival}" if rival != usual else ""
                field.note = ", ".join(filter(None, [to, said]))
            line.fields.insert(place, field)
    return made
