"""The plain-language summary, computed from the figures; what is missing is said to be missing."""

from __future__ import annotations

import math

from magdr_core.bench.plan import ORACLE
from magdr_core.report.figures import CLEAN_IMAGES, FINE_POINT, IDENTITY, Condition, Figure, Figures
from magdr_core.report.shown import Format, number, percent

MAGDR = "magdr"
FEW = 100
"""Below so many images per seed a reader is told that the intervals are wide."""

_mse, _share = number(1), number(3)


def headline(figures: Figures) -> str:
    """What the run was about, in one sentence."""
    tasks = figures.tasks
    attacks = {a for t in tasks for a in figures.attacks(t) if not figures.is_noise(t, a)}
    defenses = {d for t in tasks for d in figures.components(t, "defense") if d not in (IDENTITY, ORACLE)}
    detectors = {d for t in tasks for d in figures.components(t, "detector")}
    if not tasks:
        return "This run holds no figures at all."
    return (
        f"This run sets {_many(len(detectors), 'detector')} and {_many(len(defenses), 'defense')} against "
        f"{_many(len(attacks), 'attack')} that {'disrupts' if len(attacks) == 1 else 'disrupt'} a face "
        f"generator, on {_many(len(tasks), 'task')} ({', '.join(tasks)})."
    )


def task_summary(figures: Figures, task: str) -> list[str]:
    """The sentences about one task: the disruption, then detection, then defense."""
    attack = strongest(figures, task)
    size, few = _size(figures, task)
    sentences = [f"{_setting(figures, task)}{size}."]
    if attack is None:
        return [*sentences, "No attack was run, so nothing can be said about disruption or defense."]
    sentences.append(_disruption(figures, task, attack))
    sentences += _detection(figures, task, attack)
    sentences += _defense(figures, task, attack)
    if few:
        sentences.append("With so few images the intervals are wide: read them, not the digits.")
    return sentences


def strongest(figures: Figures, task: str) -> Condition | None:
    """The attack with the largest undefended output error; random noise only if there is nothing else."""
    conditions = figures.attacks(task)
    real = [c for c in conditions if not figures.is_noise(task, c) and not c.knowledge] or conditions

    def error(condition: Condition) -> float:
        undefended = figures.get(task, condition, "defense", IDENTITY, "mse_o")
        if undefended is not None:
            return undefended.value
        # The attack's own row has the same error on [-1,1], which is 127.5 levels a unit.
        own = figures.get(task, condition, "attack", condition.attack, "mse_o")
        return own.value * 127.5**2 if own is not None else -1.0

    return max(real, key=error, default=None)


def magdr_label(figures: Figures, task: str, role: str) -> str | None:
    """The label of MagDR in this registry: `magdr` itself, else the first instance of that component."""
    names = figures.components(task, role)
    if MAGDR in names:
        return MAGDR
    known = figures.run.labels_using(role, MAGDR)
    return next((name for name in names if name in known), None)


def _setting(figures: Figures, task: str) -> str:
    generator, dataset = figures.setting(task, "generator"), figures.setting(task, "dataset")
    return f"Generator {generator or 'not known'}, dataset {dataset or 'not known'}"


def _size(figures: Figures, task: str) -> tuple[str, bool]:
    n, seeds = figures.samples(task), len(figures.seeds(task))
    if n is None:
        return "", False
    each = f" for each of {seeds} seeds" if seeds > 1 else ""
    return f", n = {n} image{'s' if n != 1 else ''}{each}", n < FEW


def _disruption(figures: Figures, task: str, attack: Condition) -> str:
    undefended = figures.get(task, attack, "defense", IDENTITY, "mse_o")
    success = figures.get(task, attack, "attack", attack.attack, "success")
    name = f"{attack.label} ({attack.strength})"
    if figures.is_noise(task, attack):
        subject = f"Random noise, {name}, is the only disturbance here; it"
    elif len([a for a in figures.attacks(task) if not figures.is_noise(task, a)]) > 1:
        subject = f"The strongest disruption, {name},"
    else:
        subject = f"The disruption {name}"
    parts = []
    if undefended is not None:
        parts.append(
            f"changes the undefended generator's output by a mean squared error of "
            f"{_mse(undefended.value)}{_interval(undefended)} on the 0-255 scale"
        )
    if success is not None:
        parts.append(f"meets its success criterion on {percent(success.value)} of the images")
    if parts:
        return f"{subject} {' and '.join(parts)}."
    why = _why(figures, task, attack, "attack", attack.attack)
    return f"How strong {name} is undefended is missing{why}."


def _detection(figures: Figures, task: str, attack: Condition) -> list[str]:
    if not figures.components(task, "detector"):
        return ["The profile has no detectors."]
    label = magdr_label(figures, task, "detector")
    if label is None:
        return ["MagDR's detector is not among the detectors of this profile."]
    point = figures.strict_point(task)
    recall = figures.get(task, attack, "detector", label, "recall", point)
    alarms = figures.get(task, CLEAN_IMAGES, "detector", label, "fpr_clean", point)
    f1 = figures.get(task, attack, "detector", label, "f1", FINE_POINT)
    noise = figures.get(task, attack, "detector", label, "auroc_noise")
    parts = []
    if recall is not None:
        alarm = f"{percent(alarms.value)} of clean ones" if alarms else "an unknown share of clean ones"
        aim = f" (its threshold was set for {point.removeprefix('fpr')}%)" if point else ""
        parts.append(f"flags {percent(recall.value)} of these images and {alarm}{aim}")
    if f1 is not None:
        parts.append(f"reaches an F1 of {_share(f1.value)}{_interval(f1, _share)} at its best-F1 threshold")
    if noise is not None:
        parts.append(f"tells the attack from random noise of equal strength with AUROC {_share(noise.value)}")
    if not parts:
        why = _why(figures, task, attack, "detector", label)
        return [f"The figures of MagDR's detector ({label}) are missing{why}."]
    return [f"MagDR's detector ({label}) {_listed(parts)}."]


def _defense(figures: Figures, task: str, attack: Condition) -> list[str]:
    names = [d for d in figures.components(task, "defense") if d not in (IDENTITY, ORACLE)]
    if not names:
        return ["The profile has no defenses."]
    label = magdr_label(figures, task, "defense")
    found = {name: figures.get(task, attack, "defense", name, "mse_o") for name in names}
    undefended = figures.get(task, attack, "defense", IDENTITY, "mse_o")
    sentences = []
    if label is None:
        sentences.append("MagDR's defense is not among the defenses of this profile.")
    elif (figure := found[label]) is None:
        why = _why(figures, task, attack, "defense", label)
        sentences.append(f"The figures of MagDR's defense ({label}) are missing{why}.")
    else:
        damage = figures.get(task, CLEAN_IMAGES, "defense", label, "mse_o")
        cost = f"costs {_mse(damage.value)}" if damage else "has no figure"
        sentences.append(
            f"MagDR's defense ({label}) {_change(undefended, figure)}; on clean images it {cost}."
        )
    others = {name: f for name, f in found.items() if f is not None and name != label}
    if others:
        best = min(others, key=lambda name: others[name].value)
        damage = figures.get(task, CLEAN_IMAGES, "defense", best, "mse_o")
        cost = f" and costs {_mse(damage.value)} on clean images" if damage else ""
        sentences.append(f"The best other defense, {best}, leaves {_mse(others[best].value)}{cost}.")
    oracle = figures.get(task, attack, "defense", ORACLE, "mse_o")
    if oracle is not None:
        sentences.append(
            f"Choosing every image's best single candidate with knowledge of the clean output "
            f"(the oracle, not a defense) would leave {_mse(oracle.value)}."
        )
    return sentences


def _change(before: Figure | None, after: Figure) -> str:
    """How an error moved, and whether the intervals bear it out."""
    if before is None:
        left = f"{_mse(after.value)}{_interval(after)}"
        return f"leaves an output error of {left} (the undefended one is missing)"
    to = f"{_mse(before.value)} to {_mse(after.value)}{_interval(after)}"
    if before.value <= 0 or _mse(before.value) == _mse(after.value):
        return f"leaves the output error where it was ({to})"
    share = f"{number(0)(100 * abs(1 - after.value / before.value))}%"
    overlap = "; the intervals overlap" if after.overlaps(before) else ""
    verb, sense = ("lowers", "less") if after.value < before.value else ("raises", "more")
    return f"{verb} the output error from {to}, {share} {sense}{overlap}"


def _interval(figure: Figure, form: Format = _mse) -> str:
    if math.isnan(figure.low) or math.isnan(figure.high):
        return ""
    return f" [{form(figure.low)} to {form(figure.high)}]"


def _why(figures: Figures, task: str, attack: Condition, role: str, component: str) -> str:
    if figures.failed(task, attack, role, component):
        return ": the cell failed (see Failures)"
    return ": this run folder has none for this attack"


def _many(number_of: int, what: str) -> str:
    return f"{number_of or 'no'} {what}{'' if number_of == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
