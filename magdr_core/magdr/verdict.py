"""What was decided about one image, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DISRUPTED, INTACT, UNCLEAR = "disrupted", "not disrupted", "cannot tell"
"""The words of a verdict, wherever one is told."""

ADVICE = "calibrate on clean pictures of this kind: magdr calibrate --data FOLDER"

STRONGEST = 3
"""Pieces of evidence that a verdict's `repr` names, of some two dozen."""


@dataclass(frozen=True)
class Verdict:
    """The decision about one image and its evidence; `str()` says it in a line.

    Attributes:
        disrupted: `score > threshold`.
        score: suspicion of the received image.
        threshold: set on clean calibration faces for a wanted false-positive rate (1% by default).
        guess: the calibration covers nothing like this image or this edit, so that the verdict is a guess.
        rounds: reconstructions that were kept (0: none).
        plan: the restorations that were kept, in order.
        regions: by face part, distortion outside the target in spreads of clean faces; empty for the form as
            printed.
        processings: by f_k, inconsistency in spreads of clean faces; likewise.
        unsure_above: the score from which on it is no verdict that nothing is wrong; the threshold if None.
    """

    disrupted: bool
    score: float
    threshold: float
    guess: bool
    rounds: int
    plan: tuple[str, ...]
    regions: Mapping[str, float]
    processings: Mapping[str, float]
    unsure_above: float | None = None

    @property
    def word(self) -> str:
        """`DISRUPTED`, `INTACT` or `UNCLEAR`."""
        return verdict_word(self.score, self.threshold, unsure_above=self.unsure_above, guess=self.guess)

    @property
    def standing(self) -> tuple[int, float]:
        """Sorts verdicts: first those that nobody needs to look at, last the one that matters most."""
        return (INTACT, UNCLEAR, DISRUPTED).index(self.word), self.score

    def __str__(self) -> str:
        return verdict_words(self.score, self.threshold, unsure_above=self.unsure_above, guess=self.guess)

    def __repr__(self) -> str:
        told = [str(self)]
        told += [f"restored by {' + '.join(self.plan)}"] if self.plan else []
        evidence = sorted({**self.regions, **self.processings}.items(), key=lambda item: -item[1])
        strongest = ", ".join(f"{name} {value:.1f}" for name, value in evidence[:STRONGEST])
        told += [f"strongest evidence {strongest}"] if strongest else []
        return f"<Verdict: {'; '.join(told)}>"


def verdict_word(
    score: float, threshold: float, *, unsure_above: float | None = None, guess: bool = False
) -> str:
    """`DISRUPTED` above the threshold, `INTACT` up to `unsure_above`; `UNCLEAR` between them, and for a
    guess."""
    if guess or (unsure_above is not None and unsure_above < score <= threshold):
        return UNCLEAR
    return DISRUPTED if score > threshold else INTACT


def verdict_words(
    score: float,
    threshold: float,
    *,
    unsure_above: float | None = None,
    guess: bool = False,
    where: str = "",
) -> str:
    """One line; of a guess with what it would be.

    Args:
        where: of a clip, the frames that are meant.
    """
    word = verdict_word(score, threshold, unsure_above=unsure_above, guess=guess)
    looks = verdict_word(score, threshold) + where
    numbers = f"(score {score:.2f}, threshold {threshold:.2f})"
    if guess:
        return f"{word}: looks {looks}, but that is a guess {numbers}"
    return f"{word if word == UNCLEAR else looks} {numbers}"
