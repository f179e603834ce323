"""The tables of the report: detection, false alarms, defense, attacks, failures, cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from magdr_core.bench.plan import ORACLE
from magdr_core.report.figures import CLEAN_IMAGES, FINE_POINT, IDENTITY, Condition, Figures
from magdr_core.report.shown import Block, Column, Kind, Line, Shown, Table, count, number, percent, shown

_MSE, _SIMILARITY, _DECIBEL = number(1), number(3), number(2)
_NOISE = "random noise: a reference, not an attack"


ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Source:
    """Where a column's figures come from; `condition` None: the block's own."""

    column: Column
    metric: str
    variant: str = ""
    condition: Condition | None = None


def detection(figures: Figures, task: str) -> Table | None:
    """How well attacked images are told from clean ones, a block per attack."""
    point = figures.strict_point(task)
    aim = f"threshold for {point.removeprefix('fpr')}% false alarms" if point else "no such threshold"
    sources = [
        Source(Column("F1", "best-F1 threshold", "higher", _SIMILARITY), "f1", FINE_POINT),
        Source(Column("Recall", aim, "higher", percent), "recall", point),
        Source(Column("False alarms", "on clean", "lower", percent), "fpr_clean", point, CLEAN_IMAGES),
        Source(Column("AUROC", "against clean", "higher", _SIMILARITY), "auroc"),
        Source(Column("AUROC", "against equal noise", "higher", _SIMILARITY), "auroc_noise"),
        Source(Column("TPR", "at 1% FPR", "higher", percent), "tpr_at_1fpr"),
        Source(Column("Forwards", "per image", "lower", count), "forwards"),
    ]
    # Finding noise is no merit of a detector of attacks, so nothing is marked there.
    blocks = _attack_blocks(figures, task, "detector", sources, compare_noise=False)
    if not blocks:
        return None
    return Table(f"Detection, {task}", "Detector", [s.column for s in sources], blocks).finished()


def false_alarms(figures: Figures, task: str) -> Table | None:
    """How often images that nobody attacked are flagged."""
    sources = [
        Source(Column("Clean", _point(point), "lower", percent), "fpr_clean", point)
        for point in sorted(figures.variants[(task, "fpr_clean")], key=lambda v: (v == FINE_POINT, v))
    ]
    sources += [
        Source(Column(edit, "benign edit", "lower", percent), "fpr_benign", edit)
        for edit in figures.variants[(task, "fpr_benign")]
    ]
    sources.append(Source(Column("Forwards", "per clean image", "lower", count), "forwards"))
    lines = _lines(figures, task, "detector", CLEAN_IMAGES, sources)
    if not lines:
        return None
    return Table(
        f"False alarms, {task}",
        "Detector",
        [s.column for s in sources],
        [Block("", "", lines)],
        "Benign edits are judged with the threshold set for a rate of false alarms.",
    ).finished()


def overview(figures: Figures, task: str) -> Table | None:
    """The output error of every defense under every attack, beside what it costs on clean images."""
    sources = [_damage()]
    for attack in figures.attacks(task):
        noise = ", noise" if figures.is_noise(task, attack) else ""
        column = Column(attack.label, f"{attack.strength}{noise}", "lower", _MSE)
        sources.append(Source(column, "mse_o", condition=attack))
    sources.append(
        Source(Column("Forwards", "per clean image", "lower", count, reference_competes=False), "forwards")
    )
    lines = _lines(figures, task, "defense", CLEAN_IMAGES, sources)
    if not lines:
        return None
    return Table(
        f"Output error at a glance, {task}: mean MSE (O)",
        "Defense",
        [s.column for s in sources],
        [Block("", "", lines)],
    ).finished()


def defense(figures: Figures, task: str) -> Table | None:
    """All measures of every defense, a block per attack."""
    sources = [
        Source(Column("MSE (O)", "mean", "lower", _MSE), "mse_o"),
        Source(Column("MSE (O)", "median", "lower", _MSE), "median_mse_o"),
        Source(Column("SSIM (O)", "mean", "higher", _SIMILARITY), "ssim_o"),
        Source(Column("PSNR (O)", "mean, dB", "higher", _DECIBEL), "psnr_o"),
        Source(Column("MSE (I)", "mean", "lower", _MSE), "mse_i"),
        _damage(),
        Source(Column("Forwards", "per image", "lower", count, reference_competes=False), "forwards"),
    ]
    if ENSEMBLE in figures.variants[(task, "mse_o")]:
        # With G's output averaged over processed inputs, which any defense can have.
        together = Source(Column("MSE (O)", "ensemble", "lower", _MSE), "mse_o", variant=ENSEMBLE)
        sources.insert(2, together)
    blocks = _attack_blocks(figures, task, "defense", sources, compare_noise=True)
    if not blocks:
        return None
    return Table(f"Defense, {task}", "Defense", [s.column for s in sources], blocks).finished()


def attacks(figures: Figures, task: str) -> Table | None:
    """How much each attack disrupts an undefended generator."""
    columns = [
        Column("eps"),
        Column("Steps"),
        Column("Output MSE", "mean, [-1,1] units", show=number(4)),
        Column("Output MSE", "median, [-1,1] units", show=number(4)),
        Column("Success", "share of images", show=percent),
    ]
    seeds, lines = len(figures.seeds(task)), []
    for attack in figures.attacks(task):
        detail = _NOISE if figures.is_noise(task, attack) else ""
        line = Line(attack.label, detail, "reference" if detail else "")
        line.fields = [Shown(text=f"{attack.eps * 255:.4g}/255"), Shown(text=str(attack.steps))]
        failed = figures.failed(task, attack, "attack", attack.attack)
        for column, metric in zip(columns[2:], ("mse_o", "median_mse_o", "success"), strict=True):
            figure = figures.get(task, attack, "attack", attack.attack, metric)
            line.fields.append(shown(figure, column, failed=failed, seeds=seeds))
        lines.append(line)
    if not lines:
        return None
    return Table(f"Attacks, {task}, no defense", "Attack", columns, [Block("", "", lines)])


def _damage() -> Source:
    column = Column("Damage", "MSE (O) on clean images", "lower", _MSE, reference_competes=False)
    return Source(column, "mse_o", condition=CLEAN_IMAGES)


def _point(variant: str) -> str:
    if variant == FINE_POINT:
        return "best-F1 threshold"
    return f"threshold for {variant.removeprefix('fpr')}%"


def _attack_blocks(
    figures: Figures, task: str, role: str, sources: list[Source], *, compare_noise: bool
) -> list[Block]:
    blocks = []
    for attack in figures.attacks(task):
        lines = _lines(figures, task, role, attack, sources)
        noise = figures.is_noise(task, attack)
        detail = f"{attack.strength}; {_NOISE}" if noise else attack.strength
        if lines:
            blocks.append(Block(attack.label, detail, lines, compared=compare_noise or not noise))
    return blocks


def _lines(figures: Figures, task: str, role: str, condition: Condition, sources: list[Source]) -> list[Line]:
    seeds, lines = len(figures.seeds(task)), []
    for component in figures.components(task, role):
        line = _line(figures, task, role, component)
        for source in sources:
            where = condition if source.condition is None else source.condition
            line.fields.append(
                shown(
                    figures.get(task, where, role, component, source.metric, source.variant),
                    source.column,
                    failed=figures.failed(task, where, role, component),
                    seeds=seeds,
                )
            )
        lines.append(line)
    return lines


def _line(figures: Figures, task: str, role: str, component: str) -> Line:
    label, details = component, list[str]()
    kind: Kind = ""
    if role == "defense":
        label, detail, kind = defense_name(component)
        details = [detail] if detail else []
    if figures.sees_masks(task, role, component):
        details.append("given exact masks")
    return Line(label, "; ".join(details), kind)


def defense_name(component: str) -> tuple[str, str, Kind]:
    """Label, remark and place of a defense: two of them are no defenses."""
    if component == IDENTITY:
        return component, "undefended", "reference"
    if component == ORACLE:
        return f"{component} (not a defense)", "sees the clean output", "bound"
    return component, "", ""


TASK_TABLES: tuple[tuple[str, Callable[[Figures, str], Table | None]], ...] = (
    ("attacks", attacks),
    ("detection", detection),
    ("alarms", false_alarms),
    ("overview", overview),
    ("defense", defense),
)
