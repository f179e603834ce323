"""The first screen: what the run found, in words, and each task's picture and headline figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from magdr_core.report.figures import CLEAN_IMAGES, IDENTITY, AttackCondition, Figures, FigureValue
from magdr_core.report.formatting import FEW, MISSING, Format, in_words, number, percent, whole_percent
from magdr_core.report.hardest_attack import KNOWING, hardest
from magdr_core.report.key_picture import KeyPicture, key_picture

WORKS, IN_PART = 0.8, 0.5
"""A method is said to work if in every task at least this share of attacked images is found and of the output
error undone, and to work in part from the second on."""

NOT_TESTED = "not tested"
_mse = number(0)


@dataclass(frozen=True)
class Standing:
    """How the run's method stands against attacks of one kind: the worst of a task for each part of it.

    Attributes:
        found: share of attacked images that the detector flags at its strict threshold.
        before, left: output error without a defense, and behind it.
    """

    found_under: AttackCondition | None
    found: FigureValue | None
    left_under: AttackCondition | None
    before: FigureValue | None
    left: FigureValue | None

    @property
    def undone(self) -> float | None:
        """Share of the output error that the defense takes away; below 0 if it adds some."""
        if self.before is None or self.left is None or self.before.value <= 0:
            return None
        return 1 - self.left.value / self.before.value

    @property
    def attack(self) -> str:
        """The attack's name; empty if it is not one and the same for both parts."""
        names = {c.attack for c in (self.found_under, self.left_under) if c is not None}
        return names.pop() if len(names) == 1 else ""

    @property
    def shares(self) -> list[float]:
        return [s for s in (self.found.value if self.found else None, self.undone) if s is not None]


@dataclass(frozen=True)
class CardField:
    """A figure, or the head of a column, with what it is of."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class TaskCard:
    """A task on the first screen.

    Attributes:
        about: beside its name.
        heads: of the columns of its figures.
        lines: what is measured, and a field for each head; a single field is of all of them.
    """

    task: str
    about: str
    picture: KeyPicture | None
    heads: tuple[CardField, ...]
    lines: list[tuple[str, list[CardField]]]


@dataclass(frozen=True)
class RunVerdict:
    """What a reader takes away: a heading, sentences, a card per task."""

    words: str
    sentences: list[str]
    cards: list[TaskCard]


def verdict(figures: Figures) -> RunVerdict | None:
    """None where the run has no figures of its method under any attack."""
    tasks = [t for t in figures.tasks if any(not figures.is_noise(t, c) for c in figures.attacks(t))]
    unaware = {task: _standing(figures, task, knowing=False) for task in tasks}
    aware = {task: _standing(figures, task, knowing=True) for task in tasks}
    known = {
        knows: [s for one in of.values() for s in one.shares]
        for knows, of in ((False, unaware), (True, aware))
    }
    if not known[False] and not known[True]:
        return None
    both = [("know it", aware), ("do not know it", unaware)]
    sentences = [f"Under attacks that {what}, {told}" for what, of in both if (told := _told(figures, of))]
    cards = [_card(figures, task, aware[task], unaware[task]) for task in tasks]
    return RunVerdict(_words(figures, known[False], known[True]), sentences, cards)


def _standing(figures: Figures, task: str, *, knowing: bool) -> Standing:
    detector, defense = figures.ours(task, "detector") or "", figures.ours(task, "defense") or ""
    point = figures.strict_point(task)
    by_detector, by_defense = (
        _attack(figures, task, role, knowing=knowing) if label else None
        for role, label in (("detector", detector), ("defense", defense))
    )
    found = figures.get(task, by_detector, "detector", detector, "recall", point) if by_detector else None
    before, left = (
        figures.get(task, by_defense, "defense", label, "mse_o") if by_defense else None
        for label in (IDENTITY, defense)
    )
    return Standing(by_detector, found, by_defense, before, left)


def _attack(figures: Figures, task: str, role: str, *, knowing: bool) -> AttackCondition | None:
    """The worst attack of a kind; noise is none."""
    if not any(
        (c.knowledge == KNOWING) == knowing and not figures.is_noise(task, c) for c in figures.attacks(task)
    ):
        return None
    return hardest(figures, task, role, knowing=knowing)


# -- words ------------------------------------------------------------------------------------------------


def _words(figures: Figures, unaware: Sequence[float], aware: Sequence[float]) -> str:
    method = figures.run.method
    name = method[:1].upper() + method[1:]
    few = any((figures.samples(task) or FEW) < FEW for task in figures.tasks)
    if not unaware or not aware:
        kind, others = "that do not know it", "no attack that does was run"
        if aware:
            kind, others = "that know it", "no other was run"
        return f"{name} {_how(min(unaware or aware), few=few)} against attacks {kind}; {others}"
    joint = "and" if _rank(min(unaware)) == _rank(min(aware)) else "but"
    return (
        f"{name} {_how(min(unaware), few=few)} against attacks that do not know it, {joint} "
        f"{_how(min(aware), few=few)} against attacks that do"
    )


def _rank(share: float) -> int:
    return (share >= WORKS) + (share >= IN_PART)


def _how(share: float, *, few: bool) -> str:
    """How well something works of which the worst share is known."""
    rank = _rank(share)
    if few:
        return ("seems hardly to work", "seems to work in part", "seems to work")[rank]
    return ("hardly works", "works in part", "works")[rank]


def _told(figures: Figures, standings: dict[str, Standing]) -> str:
    found = {task: s.found.value for task, s in standings.items() if s.found}
    undone = {task: share for task, s in standings.items() if (share := s.undone) is not None}
    parts = []
    if found:
        alarms = [a.value for task in found if (a := _alarms(figures, task))]
        aside = f" (and {_range(alarms)} of clean ones)" if alarms else ""
        parts.append(f"finds {_range(list(found.values()))} of the attacked images{aside}")
    if undone:
        parts.append(f"undoes {_range(list(undone.values()))} of the output error")
    worst = min(undone, key=lambda t: undone[t]) if len(undone) > 1 else ""
    return f"it {' and '.join(parts)}{f', least in {worst}' if worst else ''}." if parts else ""


def _range(shares: Sequence[float]) -> str:
    low, high = whole_percent(min(shares)), whole_percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _alarms(figures: Figures, task: str) -> FigureValue | None:
    label = figures.ours(task, "detector")
    point = figures.strict_point(task)
    return figures.get(task, CLEAN_IMAGES, "detector", label, "fpr_clean", point) if label else None


# -- cards ------------------------------------------------------------------------------------------------


def _card(figures: Figures, task: str, aware: Standing, unaware: Standing) -> TaskCard:
    n = figures.samples(task)
    lines = []
    if figures.ours(task, "detector"):
        lines.append(("Attacked images found", [_found(s) for s in (aware, unaware)]))
    if figures.ours(task, "defense"):
        lines.append(("Output error undone", [_undone(s) for s in (aware, unaware)]))
    alarms, defense = _alarms(figures, task), figures.ours(task, "defense")
    if alarms is not None:
        lines.append(("Clean images flagged", [CardField(*_share(alarms))]))
    damage = figures.get(task, CLEAN_IMAGES, "defense", defense, "mse_o") if defense else None
    if damage is not None:
        said, ends = f"MSE {number(1)(damage.value)}", _ends(damage, number(1))
        lines.append(("Damage to clean ones", [CardField(said, ends)]))
    heads = (("Adaptive", aware), ("Oblivious", unaware))
    return TaskCard(
        task=task,
        about=f"n = {n:,}" if n is not None else "",
        picture=key_picture(figures, task, unaware.left_under) if unaware.left_under else None,
        heads=tuple(CardField(head, standing.attack) for head, standing in heads),
        lines=lines,
    )


def _found(standing: Standing) -> CardField:
    if standing.found_under is None:
        return CardField(NOT_TESTED)
    under = "" if standing.attack else f"; {standing.found_under.attack}"
    if standing.found is None:
        return CardField(MISSING, under[2:])
    text, detail = _share(standing.found)
    return CardField(text, f"{detail}{under}" if detail else under[2:])


def _undone(standing: Standing) -> CardField:
    if standing.left_under is None:
        return CardField(NOT_TESTED)
    under = "" if standing.attack else f"; {standing.left_under.attack}"
    if standing.undone is None or standing.before is None or standing.left is None:
        return CardField(MISSING, under[2:])
    ends = f" [{_ends(standing.left)}]" if standing.left.has_interval else ""
    change = f"MSE {_mse(standing.before.value)} to {_mse(standing.left.value)}{ends}"
    return CardField(whole_percent(standing.undone), change + under)


def _share(figure: FigureValue) -> tuple[str, str]:
    words = in_words(figure)
    if words:
        return whole_percent(figure.value), words
    ends = f"{percent(figure.low)} to {percent(figure.high)}" if figure.has_interval else ""
    return percent(figure.value), ends


def _ends(figure: FigureValue, show: Format = _mse) -> str:
    low, high = show(figure.low), show(figure.high)
    return f"{low} to {high}" if figure.has_interval and low != high else ""
