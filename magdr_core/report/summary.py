"""The plain-language summary, computed from the figures; what is missing is said to be missing."""

from __future__ import annotations

import math

from magdr_core.bench.plan import ORACLE
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.figures import (
    CLEAN_IMAGES,
    FINE_POINT,
    IDENTITY,
    AttackCondition,
    Figures,
    FigureValue,
)
from magdr_core.report.formatting import FEW, Format, count, in_words, number, percent, whole_percent
from magdr_core.report.hardest_attack import KNOWING, hardest, strongest
from magdr_core.results.forensic_grid import ROLE as FORENSIC

_mse = number(DEFINITIONS["defense", "mse_o"].digits)
_share = number(DEFINITIONS["detector", "f1"].digits)


def headline(figures: Figures) -> str:
    """What the run was about, in one sentence."""
    tasks = figures.tasks
    attacks = {a for t in tasks for a in figures.attacks(t) if not figures.is_noise(t, a)}
    defenses = {d for t in tasks for d in figures.components(t, "defense") if d not in (IDENTITY, ORACLE)}
    detectors = {d for t in tasks for d in figures.components(t, "detector")}
    if not tasks:
        return "This run holds no figures at all."
    models = {m for t in tasks for m in figures.components(t, FORENSIC)}
    if models and not (defenses or detectors or attacks):
        return (
            f"This run asks {_many(len(models), 'forensic model')} which faces are forged, and where, on "
            f"{_many(len(tasks), 'task')} ({', '.join(tasks)})."
        )
    return (
        f"This run sets {_many(len(detectors), 'detector')} and {_many(len(defenses), 'defense')} against "
        f"{_many(len(attacks), 'attack')} that {'disrupts' if len(attacks) == 1 else 'disrupt'} a face "
        f"generator, on {_many(len(tasks), 'task')} ({', '.join(tasks)})."
    )


def demo_size(figures: Figures) -> str:
    """A warning if any task has too few images to quote figures of; else empty."""
    sizes = {task: figures.samples(task) for task in figures.tasks}
    few = {task: n for task, n in sizes.items() if n is not None and n < FEW}
    if not few:
        return ""
    said = _listed([f"{task} {n}" for task, n in few.items()])
    if few == sizes and len(few) > 1 and len(set(few.values())) == 1:
        said = f"{min(few.values())} of each task"
    return (
        f"So few images per seed ({said}) show that everything runs and what the figures look like; they are "
        f"no ground for comparing methods. Read the intervals, not the digits."
    )


def task_summary(figures: Figures, task: str) -> list[tuple[str, str]]:
    """What is to be said of a task, as headed paragraphs: setting, disruption, detection, defense, cost."""
    attack = strongest(figures, task)
    setting = ("Setting", f"{_setting(figures, task)}{_size(figures, task)}.")
    if attack is None and figures.components(task, FORENSIC):
        return [setting]
    if attack is None:
        nothing = "No attack was run, so nothing can be said about disruption or defense."
        return [setting, ("Disruption", nothing)]
    found = [setting]
    if any(c.knowledge == KNOWING for c in figures.attacks(task)):
        told = _under(figures, task, knowing=True)
        found += [(f"{head} under attacks that know it", words) for head, words in told]
    found.append(("Disruption", _disruption(figures, task, attack)))
    found += _under(figures, task, knowing=False, told=attack)
    found.append(("Cost", _cost(figures, task, attack)))
    return [(head, words) for head, words in found if words]


def _under(
    figures: Figures, task: str, *, knowing: bool, told: AttackCondition | None = None
) -> list[tuple[str, str]]:
    """Detection and reconstruction, each under its worst attack, which is named unless it was `told`."""
    found = []
    for role, head in (("detector", "Detection"), ("defense", "Restoration")):
        attack = hardest(figures, task, role, knowing=knowing)
        if attack is None:
            continue
        of = "all attacks" if attack == hardest(figures, task, role) else "these attacks"
        named = "" if attack == told else f"The worst of {of} is {attack.label} ({attack.strength}). "
        if role == "detector":
            words = _detection(figures, task, attack)
        else:
            words = " ".join(_defense(figures, task, attack))
        found.append((head, named + words))
    return found


def _setting(figures: Figures, task: str) -> str:
    generator, dataset = figures.setting(task, "generator"), figures.setting(task, "dataset")
    return f"Generator {generator or 'not known'}, dataset {dataset or 'not known'}"


def _size(figures: Figures, task: str) -> str:
    n, seeds = figures.samples(task), len(figures.seeds(task))
    if n is None:
        return ""
    each = f" for each of {seeds} seeds" if seeds > 1 else ""
    return f", n = {n} image{'s' if n != 1 else ''}{each}"


def _disruption(figures: Figures, task: str, attack: AttackCondition) -> str:
    undefended = figures.get(task, attack, "defense", IDENTITY, "mse_o")
    success = figures.get(task, attack, "attack", attack.attack, "success")
    name = f"{attack.label} ({attack.strength})"
    if figures.is_noise(task, attack):
        subject = f"Random noise, {name}, is the only disturbance here; it"
    elif len([a for a in figures.attacks(task) if not figures.is_noise(task, a)]) > 1:
        subject = f"The strongest disruption by an attack that knows no defense, {name},"
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


def _detection(figures: Figures, task: str, attack: AttackCondition) -> str:
    if not figures.components(task, "detector"):
        return "The profile has no detectors."
    label = figures.ours(task, "detector")
    if label is None:
        return f"{figures.run.method}'s detector is not among the detectors of this profile."
    point = figures.strict_point(task)
    recall = figures.get(task, attack, "detector", label, "recall", point)
    alarms = figures.get(task, CLEAN_IMAGES, "detector", label, "fpr_clean", point)
    f1 = figures.get(task, attack, "detector", label, "f1", FINE_POINT)
    noise = figures.get(task, attack, "detector", label, "auroc_noise")
    parts = []
    if recall is not None:
        alarm = f"{_part(alarms) if alarms is not None else 'an unknown share'} of clean ones"
        aim = f" (its threshold was set for {point.rate}%)" if point.strict else ""
        parts.append(f"flags {_part(recall)} of these images and {alarm}{aim}")
    if f1 is not None:
        parts.append(f"reaches an F1 of {_share(f1.value)}{_interval(f1, _share)} at its best-F1 threshold")
    if noise is not None:
        told = f"{_share(noise.value)}{_interval(noise, _share)}"
        parts.append(f"tells the attack from random noise of equal strength with AUROC {told}")
    if not parts:
        why = _why(figures, task, attack, "detector", label)
        return f"The figures of {figures.run.method}'s detector ({label}) are missing{why}."
    better = _better_detector(figures, task, attack, f1)
    return f"{figures.run.method}'s detector ({label}) {_listed(parts)}.{better}"


def _better_detector(figures: Figures, task: str, attack: AttackCondition, own: FigureValue | None) -> str:
    """The best detector that is not ours, whether it is better or not."""
    found = {
        name: f
        for name in figures.baselines(task, "detector")
        if (f := figures.get(task, attack, "detector", name, "f1", FINE_POINT))
    }
    if not found or own is None:
        return ""
    best = max(found, key=lambda name: found[name].value)
    value = f"F1 {_share(found[best].value)}{_interval(found[best], _share)}"
    if _share(found[best].value) == _share(own.value):
        return f" The best baseline, {best}, does as well: {value}."
    verb = "does better" if found[best].value > own.value else "stays behind"
    return f" The best baseline, {best}, {verb}: {value}."


def _defense(figures: Figures, task: str, attack: AttackCondition) -> list[str]:
    names = [d for d in figures.components(task, "defense") if d not in (IDENTITY, ORACLE)]
    if not names:
        return ["The profile has no defenses."]
    label = figures.ours(task, "defense")
    found = {name: figures.get(task, attack, "defense", name, "mse_o") for name in names}
    undefended = figures.get(task, attack, "defense", IDENTITY, "mse_o")
    sentences = []
    if label is None:
        sentences.append(f"{figures.run.method}'s defense is not among the defenses of this profile.")
    elif (figure := found[label]) is None:
        why = _why(figures, task, attack, "defense", label)
        sentences.append(f"The figures of {figures.run.method}'s defense ({label}) are missing{why}.")
    else:
        damage = figures.get(task, CLEAN_IMAGES, "defense", label, "mse_o")
        cost = f"costs {_mse(damage.value)}{_interval(damage)}" if damage else "has no figure"
        change = _change(undefended, figure)
        sentences.append(f"{figures.run.method}'s defense ({label}) {change}; on clean images it {cost}.")
    rivals = figures.baselines(task, "defense")
    others = {name: f for name, f in found.items() if f is not None and name in rivals}
    if others:
        best = min(others, key=lambda name: others[name].value)
        damage = figures.get(task, CLEAN_IMAGES, "defense", best, "mse_o")
        cost = f" and costs {_mse(damage.value)} on clean images" if damage else ""
        left = f"{_mse(others[best].value)}{_interval(others[best])}"
        paired = _paired(figures, task, attack, label, best)
        sentences.append(f"The best baseline, {best}, leaves {left}{cost}{paired}.")
    oracle = figures.get(task, attack, "defense", ORACLE, "mse_o")
    if oracle is not None:
        sentences.append(
            f"Choosing every image's best single candidate with knowledge of the clean output "
            f"(the oracle, not a defense) would leave {_mse(oracle.value)}{_interval(oracle)}."
        )
    return sentences


def _paired(figures: Figures, task: str, attack: AttackCondition, label: str | None, best: str) -> str:
    """Our difference to that baseline on the same images, in words."""
    found = figures.difference(task, attack, label) if label else None
    if found is None or found[1] != best:
        return ""
    figure, _, significant = found
    said = {None: "", True: ", significant after correction", False: ", not significant after correction"}
    sense = "more" if figure.value > 0 else "less"
    # The interval keeps the difference's sign, since it may hold nought.
    by = f"{_mse(abs(figure.value))} {sense}{_interval(figure)}"
    return f"; image by image {label} leaves {by}{said[significant]}"


def _cost(figures: Figures, task: str, attack: AttackCondition) -> str:
    """Passes through the generator that our method takes for an image."""
    parts = []
    for role, verb in (("detector", "To detect takes"), ("defense", "to reconstruct takes")):
        label = figures.ours(task, role)
        clean = figures.get(task, CLEAN_IMAGES, role, label, "forwards") if label else None
        attacked = figures.get(task, attack, role, label, "forwards") if label else None
        if attacked is not None:
            also = f" ({count(clean.value)} if clean)" if clean else ""
            parts.append(
                f"{verb} {count(attacked.value)} passes through the generator per attacked image{also}"
            )
    words = "; ".join(parts)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _change(before: FigureValue | None, after: FigureValue) -> str:
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


def _interval(figure: FigureValue, form: Format = _mse) -> str:
    if math.isnan(figure.low) or math.isnan(figure.high):
        return ""
    return f" [{form(figure.low)} to {form(figure.high)}]"


def _part(figure: FigureValue) -> str:
    """A share with its interval; of few images in words."""
    words = in_words(figure)
    if words:
        return f"{whole_percent(figure.value)} [{words}]"
    return f"{percent(figure.value)}{_interval(figure, percent)}"


def _why(figures: Figures, task: str, attack: AttackCondition, role: str, component: str) -> str:
    if figures.failed(task, attack, role, component):
        return ": the cell failed (see Failures)"
    return ": this run folder has none for this attack"


def _many(number_of: int, what: str) -> str:
    return f"{number_of or 'no'} {what}{'' if number_of == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
