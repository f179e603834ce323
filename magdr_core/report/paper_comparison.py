"""Ours beside the paper's printed figures."""

from __future__ import annotations

from collections.abc import Iterator

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.statistics import table2_law
from magdr_core.report import paper
from magdr_core.report.figures import FINE_POINT, IDENTITY, AttackCondition, Figures, FigureValue, Variant
from magdr_core.report.formatting import (
    MISSING,
    Block,
    Column,
    Shown,
    Table,
    TableLine,
    column,
    number,
    shown,
)
from magdr_core.report.hardest_attack import strongest
from magdr_core.report.table_model import named

_TWO = number(2)
_PRINTED = "the paper's"
_ATTACK_NAMES = {paper.CW: "C&W", paper.PGD: "PGD"}


def table1(figures: Figures, task: str) -> Table | None:
    """Precision, recall and F1 beside the paper's Table 1; None for tasks and methods that it does not have.

    Only methods and attacks that are in this run; the note says how many others the paper has."""
    if task not in paper.TASKS or not figures.components(task, "detector"):
        return None
    place = paper.TASKS.index(task)
    ours = [
        (column("detector", metric, title, "ours", show=_TWO), metric)
        for metric, title in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))
    ]
    weighted = [
        (
            column("detector", f"{metric}_weighted", f"{head.title} weighted", "ours", show=_TWO),
            f"{metric}_weighted",
        )
        for head, metric in ours
        if FINE_POINT in figures.variants(task, f"{metric}_weighted")
    ]
    blocks = []
    for name in (paper.CW, paper.PGD):
        attack = _attack(figures, task, name)
        if attack is None:
            continue
        lines = []
        for method, printed in paper.TABLE1.items():
            label = _component(figures, task, "detector", method)
            if label is None:
                continue
            line = _line(method, label)
            for (head, metric), figure in zip(ours, printed[name][place], strict=True):
                line.fields.append(_ours(figures, task, attack, "detector", label, metric, head))
                line.fields.append(Shown(text=_TWO(figure)))
            for head, metric in weighted:
                line.fields.append(_ours(figures, task, attack, "detector", label, metric, head))
            line.fields.append(Shown(text=method.convention))
            lines.append(line)
        blocks.append(Block(_ATTACK_NAMES[name], _which(attack), lines))
    blocks = [block for block in blocks if block.lines]
    if not blocks:
        return None
    columns = [c for head, _ in ours for c in (head, Column(head.title, _PRINTED, show=_TWO))]
    columns += [*(head for head, _ in weighted), Column("Averaging", _PRINTED, words=True)]
    note = f"{paper.NOTE1}{_others(len(blocks[0].lines), len(paper.TABLE1))}"
    caption = f"Detection beside the paper's Table 1, {task}: best-F1 threshold"
    return Table(caption, "Method", columns, blocks, note).finished()


def table2(figures: Figures, task: str) -> Table | None:
    """The eight measures of the paper's Table 2, under PGD or else the strongest attack; None where no method
    of the paper is in this run."""
    here = [m for m in paper.TABLE2 if _component(figures, task, "defense", m)]
    if not here:
        return None
    attack = _attack(figures, task, paper.PGD) or strongest(figures, task)
    blocks = []
    columns = [
        column("defense", f"{metric}_o", title, detail, show=_TWO)
        for metric, (title, detail) in {
            "l2_table2": ("4.433 RMSE", "ours"),
            "ssim": ("SSIM", "ours"),
            "psnr_pooled": ("PSNR", "ours, dB"),
            "featsim": ("Feature similarity", "ours, deep cosine"),
        }.items()
    ]
    printed_heads = ('"MSE"', "SSIM", "PSNR", "Feature similarity")
    for place, (side, title) in enumerate((("i", "(I) inputs"), ("o", "(O) outputs"))):
        metrics = [f"{metric}_{side}" for metric in ("l2_table2", "ssim", "psnr_pooled", "featsim")]
        lines = []
        for line, label, printed in _rows2(figures, task):
            figures4 = [_TWO(v) for v in printed[place]] if printed else [MISSING] * len(columns)
            for head, metric, figure in zip(columns, metrics, figures4, strict=True):
                line.fields.append(_ours(figures, task, attack, "defense", label, metric, head))
                line.fields.append(Shown(text=figure))
            lines.append(line)
        blocks.append(Block(title, _which(attack), lines))
    heads = [c for ours, p in zip(columns, printed_heads, strict=True) for c in (ours, Column(p, _PRINTED))]
    note = f"{paper.NOTE2}{_others(len(here), len(paper.TABLE2))}"
    caption = f"Restoration beside the paper's Table 2, {task}"
    return Table(caption, "Method", heads, blocks, note).finished()


def _others(here: int, printed: int) -> str:
    """How many of the paper's methods are left out."""
    left = printed - here
    return f" {left} of the paper's {printed} methods are not in this run." if left else ""


def _rows2(
    figures: Figures, task: str
) -> Iterator[tuple[TableLine, str | None, tuple[paper.Figures4, paper.Figures4] | None]]:
    """Rows of Table 2, with the two references that the paper lacks."""
    references = [name for name in figures.components(task, "defense") if name in (IDENTITY, ORACLE)]
    if IDENTITY in references:
        yield named(figures, task, "defense", IDENTITY), IDENTITY, None
    for method, printed in paper.TABLE2.items():
        label = _component(figures, task, "defense", method)
        if label is not None:
            yield _line(method, label), label, printed
    if ORACLE in references:
        yield named(figures, task, "defense", ORACLE), ORACLE, None


def _component(figures: Figures, task: str, role: str, method: paper.PaperRow) -> str | None:
    """The component that is a method of the paper: by its label, or else by what it uses."""
    here = figures.components(task, role)
    uses = figures.run.uses(role)
    for names in (here, [uses.get(label, label) for label in here]):
        for wanted in method.components:
            if wanted in names:
                return here[names.index(wanted)]
    return None


def _attack(figures: Figures, task: str, name: str) -> AttackCondition | None:
    """The run's oblivious attack of a kind: the one of that label, else the strongest."""
    uses = figures.run.uses("attack")
    found = [a for a in figures.attacks(task) if not a.knowledge and uses.get(a.attack, a.attack) == name]
    return next((a for a in found if a.attack == name), max(found, key=lambda a: a.eps, default=None))


def _which(attack: AttackCondition | None) -> str:
    return f"{attack.label}, {attack.strength}" if attack else "not in this run"


def _line(method: paper.PaperRow, label: str) -> TableLine:
    return TableLine(method.name, f"here: {label}")


def _ours(
    figures: Figures,
    task: str,
    attack: AttackCondition | None,
    role: str,
    label: str | None,
    metric: str,
    head: Column,
) -> Shown:
    if attack is None or label is None:
        return Shown()
    variant = FINE_POINT if role == "detector" else Variant()
    figure = figures.get(task, attack, role, label, metric, variant)
    if figure is None and metric.startswith("l2_table2"):
        figure = _law(figures.get(task, attack, role, label, metric.replace("l2_table2", "mse")))
    failed = figures.failed(task, attack, role, label)
    return shown(figure, head, failed=failed, seeds=len(figures.seeds(task)))


def _law(error: FigureValue | None) -> FigureValue | None:
    """Table 2's "MSE" from a mean squared error."""
    if error is None:
        return None
    low, value, high = (table2_law(max(v, 0.0)) for v in (error.low, error.value, error.high))
    return FigureValue(value, low, high, error.n, error.seeds, error.knowledge)
