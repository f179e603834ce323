"""Table 1 of the paper on this run: detectors, and how often they cry wolf."""

from __future__ import annotations

from collections.abc import Sequence

from magdr_core.report.figures import CLEAN_IMAGES, FINE_POINT, Condition, Figures, Variant
from magdr_core.report.formatting import Block, Column, Table, count, percent
from magdr_core.report.table_model import SIMILARITY, Source, attack_blocks, lines, present, table


def glance(figures: Figures, task: str) -> Table | None:
    """Every detector's F1 under every attack, beside its false alarms."""
    point = figures.strict_point(task)
    sources = [
        Source(
            Column("False alarms", f"on clean, {point_name(point)}", "lower", percent),
            "fpr_clean",
            point,
            CLEAN_IMAGES,
        )
    ]
    for attack in figures.attacks(task):
        noise = figures.is_noise(task, attack)
        # Finding noise is no merit of a detector of attacks, so nothing is marked there.
        detail = f"{attack.strength}{', noise' if noise else ''}"
        column = Column(attack.label, detail, None if noise else "higher", SIMILARITY)
        sources.append(Source(column, "f1", FINE_POINT, attack))
    found = lines(figures, task, "detector", CLEAN_IMAGES, sources)
    caption = f"Table 1 at a glance, {task}: F1 at the best-F1 threshold"
    return table(caption, "Detector", sources, [Block("", "", found)], knowledge=False, images=False)


def detection(
    figures: Figures, task: str, attacks: Sequence[Condition], caption: str = "Table 1"
) -> Table | None:
    """How well attacked images are told from clean ones, a block per attack."""
    point = figures.strict_point(task)
    sources = present(
        figures,
        task,
        [
            Source(Column("Precision", "best-F1 threshold", "higher", SIMILARITY), "precision", FINE_POINT),
            Source(Column("Recall", "best-F1 threshold", "higher", SIMILARITY), "recall", FINE_POINT),
            Source(Column("F1", "best-F1 threshold", "higher", SIMILARITY), "f1", FINE_POINT),
            Source(
                Column("F1 weighted", "over both classes", "higher", SIMILARITY), "f1_weighted", FINE_POINT
            ),
            Source(Column("Recall", point_name(point), "higher", percent), "recall", point),
            Source(Column("False alarms", "on clean", "lower", percent), "fpr_clean", point, CLEAN_IMAGES),
            Source(Column("AUROC", "against clean", "higher", SIMILARITY), "auroc"),
            Source(Column("AUROC", "against equal noise", "higher", SIMILARITY), "auroc_noise"),
            Source(Column("TPR", "at 1% FPR", "higher", percent), "tpr_at_1fpr"),
            Source(Column("TPR", "at 5% FPR", "higher", percent), "tpr_at_5fpr"),
            Source(Column("Forwards", "per image", "lower", count, marked=False), "forwards"),
        ],
    )
    blocks = attack_blocks(figures, task, "detector", sources, attacks, compare_noise=False)
    return table(f"{caption}, {task}: detection", "Detector", sources, blocks)


def false_alarms(figures: Figures, task: str) -> Table | None:
    """How often images that nobody attacked are flagged."""
    sources = [
        Source(Column("Clean", point_name(point), "lower", percent), "fpr_clean", point)
        for point in sorted(figures.variants(task, "fpr_clean"), key=lambda v: (v == FINE_POINT, str(v)))
    ]
    sources += [
        Source(Column(str(edit), "benign edit", "lower", percent), "fpr_benign", edit)
        for edit in figures.variants(task, "fpr_benign")
    ]
    sources.append(Source(Column("Forwards", "per clean image", "lower", count, marked=False), "forwards"))
    found = lines(figures, task, "detector", CLEAN_IMAGES, sources)
    note = "Benign edits are judged with the threshold set for a rate of false alarms."
    caption = f"False alarms, {task}"
    return table(caption, "Detector", sources, [Block("", "", found)], note=note, knowledge=False)


def point_name(variant: Variant) -> str:
    """An operating point in words."""
    if variant == FINE_POINT:
        return "best-F1 threshold"
    return f"threshold for {variant.rate}% false alarms" if variant.strict else "no such threshold"
