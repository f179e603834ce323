"""What detectors find, as in Table 1 of the paper, and how often they cry wolf."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from magdr_core.report.figures import CLEAN_IMAGES, FINE_POINT, AttackCondition, Figures, Variant
from magdr_core.report.formatting import Block, Table, count, percent
from magdr_core.report.table_model import about, attack_blocks, lines, present, source, table


def detection(figures: Figures, task: str, attack: AttackCondition) -> Table | None:
    """The figures of one attack that are read first, under the threshold that each is measured at."""
    point, of = figures.strict_point(task), partial(source, "detector")
    strict = point_name(point)
    sources = present(
        figures,
        task,
        [
            of("recall", "Found", "of attacked images", point, show=percent, group=strict),
            of(
                "fpr_clean",
                "False alarms",
                "of clean images",
                point,
                CLEAN_IMAGES,
                show=percent,
                group=strict,
            ),
            of("f1", "F1", _of_all(figures, task), FINE_POINT, group=point_name(FINE_POINT)),
            of("auroc", "AUROC", "against clean", group="any threshold"),
            of("auroc_noise", "AUROC", "against equal noise", group="any threshold"),
            of("forwards", "Passes", "per image", show=count, marked=False),
        ],
    )
    found = lines(figures, task, "detector", attack, sources)
    block = Block("", "", found, compared=not figures.is_noise(task, attack))
    caption, detail = f"Detection under {attack.label}, {task}", about(figures, task, attack)
    return table(caption, "Detector", sources, [block], detail=detail, knowledge=False, images=False)


def glance(figures: Figures, task: str) -> Table | None:
    """Every detector's F1 under every attack, beside its false alarms."""
    point = figures.strict_point(task)
    sources = [
        source(
            "detector",
            "fpr_clean",
            "False alarms",
            "of clean images",
            point,
            CLEAN_IMAGES,
            show=percent,
            group=point_name(point),
        )
    ]
    for attack in figures.attacks(task):
        noise = figures.is_noise(task, attack)
        # Finding noise is no merit of a detector of attacks, so nothing is marked there.
        detail = f"{attack.strength}{', noise' if noise else ''}"
        group = f"F1, {point_name(FINE_POINT)}"
        sources.append(
            source("detector", "f1", attack.label, detail, FINE_POINT, attack, judged=not noise, group=group)
        )
    found = lines(figures, task, "detector", CLEAN_IMAGES, sources)
    caption = f"F1 under every attack, {task}"
    return table(caption, "Detector", sources, [Block("", "", found)], knowledge=False, images=False)


def full(figures: Figures, task: str, attacks: Sequence[AttackCondition]) -> Table | None:
    """How well attacked images are told from clean ones, a block per attack."""
    point, of = figures.strict_point(task), partial(source, "detector")
    fine: dict[str, Any] = {"group": point_name(FINE_POINT)}
    strict: dict[str, Any] = {"group": point_name(point), "show": percent}
    free: dict[str, Any] = {"group": "any threshold"}
    sources = present(
        figures,
        task,
        [
            of("precision", "Precision", "", FINE_POINT, **fine),
            of("recall", "Recall", "", FINE_POINT, **fine),
            of("f1", "F1", "", FINE_POINT, **fine),
            of("f1_successful", "F1", "attack succeeded", FINE_POINT, **fine),
            of("f1_weighted", "F1 weighted", "over both classes", FINE_POINT, **fine),
            of("recall", "Recall", "", point, **strict),
            of("fpr_clean", "False alarms", "on clean", point, CLEAN_IMAGES, **strict),
            of("auroc", "AUROC", "against clean", **free),
            of("auroc_successful", "AUROC", "attack succeeded", **free),
            of("auroc_noise", "AUROC", "against equal noise", **free),
            of("auroc_noise_l2", "AUROC", "against noise of equal energy", **free),
            of("tpr_at_1fpr", "TPR", "at 1% FPR", show=percent, **free),
            of("tpr_at_5fpr", "TPR", "at 5% FPR", show=percent, **free),
            of("forwards", "Passes", "per image", show=count, marked=False),
        ],
    )
    blocks = attack_blocks(figures, task, "detector", sources, attacks, compare_noise=False)
    return table(f"Detection in full, {task}", "Detector", sources, blocks)


def false_alarms(figures: Figures, task: str) -> Table | None:
    """How often images that nobody attacked are flagged."""
    of, strict = partial(source, "detector"), point_name(figures.strict_point(task))
    sources = [
        of("fpr_clean", "Clean", "", point, show=percent, group=point_name(point))
        for point in sorted(figures.variants(task, "fpr_clean"), key=lambda v: (v != FINE_POINT, str(v)))
    ]
    sources += [
        of("fpr_benign", str(edit), "benign edit", edit, show=percent, group=strict)
        for edit in figures.variants(task, "fpr_benign")
    ]
    sources.append(of("forwards", "Passes", "per clean image", show=count, marked=False))
    found = lines(figures, task, "detector", CLEAN_IMAGES, sources)
    caption = f"False alarms, {task}"
    return table(caption, "Detector", sources, [Block("", "", found)], knowledge=False)


def _of_all(figures: Figures, task: str) -> str:
    """What F1 takes no detector, where the run says so."""
    free = figures.frame.where(task=task, role="detector", metric="f1_of_all").first()
    return f"{free.value:.3f} by flagging all" if free else ""


def point_name(variant: Variant) -> str:
    """An operating point in words."""
    if variant == FINE_POINT:
        return "best-F1 threshold"
    return f"threshold for {variant.rate}% false alarms" if variant.strict else "no such threshold"
