"""Which attack a summary is about: the worst for what defends, not the loudest where nothing does."""

from __future__ import annotations

from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.figures import FINE_POINT, IDENTITY, AttackCondition, Figures, Variant
from magdr_core.results.cell import ADAPTIVE

KNOWING = ADAPTIVE
"""Knowledge of attacks that know what they attack."""


def hardest(figures: Figures, task: str, role: str, *, knowing: bool | None = None) -> AttackCondition | None:
    """The attack that is the worst for our detector or defense, of all that were run against it.

    Of a defense: the one that leaves the largest output error behind it. Of a detector: the one of which it
    flags the smallest share, or has the smallest F1 where no share is known. Without such figures the one
    that disrupts the undefended generator most; random noise only if there is nothing else.

    Args:
        knowing: only of attacks that know the component, or only of those that do not; None without any.
    """
    wanted = [c for c in figures.attacks(task) if knowing in (None, c.knowledge == KNOWING)]
    real = [c for c in wanted if not figures.is_noise(task, c)] or wanted
    label = figures.ours(task, role)
    if label is None:  # nothing of ours in this run: what comes first in its place
        label = next(iter(figures.baselines(task, role)), "")
    point = figures.strict_point(task)
    measures = [("recall", point, -1.0), ("f1", FINE_POINT, -1.0)]
    for metric, variant, sign in [("mse_o", Variant(), 1.0)] if role == "defense" else measures:
        figured = {c: figures.get(task, c, role, label, metric, variant) for c in real}
        known = {c: sign * f.value for c, f in figured.items() if f is not None}
        if known:
            return max(known, key=lambda c: known[c])
    return max(real, key=lambda c: _undefended(figures, task, c), default=None)


def strongest(figures: Figures, task: str) -> AttackCondition | None:
    """The attack with the largest undefended output error of those that know no defense; random noise only if
    there is nothing else."""
    conditions = figures.attacks(task)
    real = [c for c in conditions if not figures.is_noise(task, c) and not c.knowledge] or conditions
    return max(real, key=lambda c: _undefended(figures, task, c), default=None)


def _undefended(figures: Figures, task: str, condition: AttackCondition) -> float:
    undefended = figures.get(task, condition, "defense", IDENTITY, "mse_o")
    if undefended is not None:
        return undefended.value
    own = figures.get(task, condition, "attack", condition.attack, "mse_o")  # the same in another unit
    return own.value * DEFINITIONS["attack", "mse_o"].factor if own is not None else -1.0
