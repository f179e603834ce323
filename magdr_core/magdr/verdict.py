"""What was decided about one image, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    """

    disrupted: bool
    score: float
    threshold: float
    guess: bool
    rounds: int
    plan: tuple[str, ...]
    regions: Mapping[str, float]
    processings: Mapping[str, float]

    def __str__(self) -> str:
        return verdict_words(
            "disrupted" if self.disrupted else "clean", self.score, self.threshold, guess=self.guess
        )

    def __repr__(self) -> str:
        word = "disrupted" if self.disrupted else "clean"
        guess = "a guess: " * self.guess
        told = [f"{guess}{word} (score {self.score:.2f}, threshold {self.threshold:.2f})"]
        told += [f"restored by {' + '.join(self.plan)}"] if self.plan else []
        evidence = sorted({**self.regions, **self.processings}.items(), key=lambda item: -item[1])
        strongest = ", ".join(f"{name} {value:.1f}" for name, value in evidence[:STRONGEST])
        told += [f"strongest evidence {strongest}"] if strongest else []
        return f"<Verdict: {'; '.join(told)}>"


def verdict_words(verdict: str, score: float, threshold: float, *, guess: bool, where: str = "") -> str:
    """One line, with what to do about a guess.

    Args:
        where: of a clip, the frames that are meant.
    """
    numbers = f"score {score:.2f}, threshold {threshold:.2f}"
    if not guess:
        return f"{verdict}{where} ({numbers})"
    return (
        f"looks {verdict}{where}, but the calibration covers nothing like it, so this is a guess "
        f"({numbers}); {ADVICE}"
    )
