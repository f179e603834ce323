"""Table 1 of the paper on this run: detectors, and how often they cry wolf."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from magdr_core.report.figures import CLEAN_IMAGES, FINE_POINT, AttackCondition, Figures, Variant
from magdr_core.report.formatting import Block, Table, count, percent
from magdr_core.report.table_model import attack_blocks, lines, present, source, table


def glance(figures: Figures, task: str) -> Table | None:
    """Every detector's F1 under every attack, beside its false alarms."""
    point = figures.strict_point(task)
    sources = [
        source(
            "detector",
            "fpr_clean",
            "False alarms",
            f"on clean, {point_name(point)}",
            point,
            CLEAN_IMAGES,
            show=percent,
        )
    ]
    for attack in figures.attacks(task):
        noise = figures.is_noise(task, attack)
        # Finding noise is no merit of a detector of attacks, so nothing is marked there.
        detail = f"{attack.strength}{', noise' if noise else ''}"
        sources.append(source("detector", "f1", attack.label, detail, FINE_POINT, attack, judged=not noise))
    found = lines(figures, task, "detector", CLEAN_IMAGES, sources)
    caption = f"Table 1 at a glance, {task}: F1 at the best-F1 threshold"
    block, note = Block("", "", found), _of_all(figures, task)
    return table(caption, "Detector", sources, [block], note=note, knowledge=False, images=False)


def detection(
    figures: Figures, task: str, attacks: Sequence[AttackCondition], caption: str = "Table 1"
) -> Table | None:
    """How well attacked images are told from clean ones, a block per attack."""
    point, of = figures.strict_point(task), partial(source, "detector")
    sources = present(
        figures,
        task,
        [
            of("precision", "Precision", "best-F1 threshold", FINE_POINT),
            of("recall", "Recall", "best-F1 threshold", FINE_POINT),
            of("f1", "F1", "best-F1 threshold", FINE_POINT),
            of("f1_successful", "F1", "attack succeeded", FINE_POINT),
            of("f1_weighted", "F1 weighted", "over both classes", FINE_POINT),
            of("recall", "Recall", point_name(point), point, show=percent),
            of("fpr_clean", "False alarms", "on clean", point, CLEAN_IMAGES, show=percent),
            of("auroc", "AUROC", "against clean"),
            of("auroc_successful", "AUROC", "attack succeeded"),
            of("auroc_noise", "AUROC", "against equal noise"),
            of("auroc_noise_l2", "AUROC", "against noise of equal energy"),
            of("tpr_at_1fpr", "TPR", "at 1% FPR", show=percent),
            of("tpr_at_5fpr", "TPR", "at 5% FPR", show=percent),
            of("forwards", "Forwards", "per image", show=count, marked=False),
        ],
    )
    blocks = attack_blocks(figures, task, "detector", sources, attacks, compare_noise=False)
    note = _of_all(figures, task)
    return table(f"{caption}, {task}: detection", "Detector", sources, blocks, note=note)


def false_alarms(figures: Figures, task: str) -> Table | None:
    """How often images that nobody attacked are flagged."""
    of = partial(source, "detector")
    sources = [
        of("fpr_clean", "Clean", point_name(point), point, show=percent)
        for point in sorted(figures.variants(task, "fpr_clean"), key=lambda v: (v == FINE_POINT, str(v)))
    ]
    sources += [
        of("fpr_benign", str(edit), "benign edit", edit, show=percent)
        for edit in figures.variants(task, "fpr_benign")
    ]
    sources.append(of("forwards", "Forwards", "per clean image", show=count, marked=False))
    found = lines(figures, task, "detector", CLEAN_IMAGES, sources)
    note = "Benign edits are judged with the threshold set for a rate of false alarms."
    caption = f"False alarms, {task}"
    return table(caption, "Detector", sources, [Block("", "", found)], note=note, knowledge=False)


def _of_all(figures: Figures, task: str) -> str:
    """What F1 takes no detector, where the run says so."""
    free = figures.frame.where(task=task, role="detector", metric="f1_of_all").first()
    return f"Flagging every image, attacked or clean, has an F1 of {free.value:.3f}." if free else ""


def point_name(variant: Variant) -> str:
    """An operating point in words."""
    if variant == FINE_POINT:
        return "best-F1 threshold"
    return f"threshold for {variant.rate}% false alarms" if variant.strict else "no such threshold"
