"""The verdict of `magdr onnx`: a calibrated detector as a file, two pictures to try it on, and what the page
says, in the words of `magdr detect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.cli.attacks import chosen_attack, ready_attack
from magdr_core.cli.demo import source_of
from magdr_core.cli.media_commands import calibration_facts, chosen_conditions
from magdr_core.cli.plain_words import how_sure, what_to_do, why
from magdr_core.cli.wishes import in_words
from magdr_core.components.batch import Samples
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.errors import DataError
from magdr_core.functional import to_8bit
from magdr_core.guards import GuardedGenerator
from magdr_core.inference.loaded import load
from magdr_core.magdr.verdict import DISRUPTED, INTACT, UNCLEAR
from magdr_core.media.pictures import write_picture
from magdr_core.results.store import Store
from magdr_core.runtime.samples import attack_samples
from magdr_core.to_onnx.detectors import ConvertedDetector, convert_detector
from magdr_core.toolkit import Toolkit

DEFENSE = "magdr"
"""The defense whose detector and doubts are told, as by the commands on files."""

EXAMPLES = ("example.png", "example-attacked.png")

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asked:
    """What the verdict is about.

    Attributes:
        task: the generator's label.
        edits, has: what it shall do, and what pictures show already.
        cache: store of calibrations.
    """

    task: str
    edits: Mapping[str, float]
    has: Mapping[str, float]
    cache: Path


def usual_detector(toolkit: Toolkit) -> str | None:
    """The label of the detector that the commands on files ask; None if the registry has none."""
    if DEFENSE not in toolkit.registry.labels("defense"):
        return None
    found: Any = toolkit.resolve("defense", DEFENSE).needs.get("detector")
    return found if isinstance(found, str) else None


def write_verdict(
    toolkit: Toolkit, label: str, asked: Asked, out: Path, step: Step
) -> tuple[ConvertedDetector, dict[str, Any]]:
    """Write a detector's file for one edit, and the example as it is and attacked; what the page is told.

    Args:
        label: of a `[detector.LABEL]` table.
        step: told (what, done, total).

    Raises:
        MagdrError: it cannot be calibrated, the generator is asked for nothing that it can do, or
            :func:`~magdr_core.to_onnx.detectors.convert_detector` refuses it.
    """
    task, edits = asked.task, asked.edits
    conditions = chosen_conditions(toolkit.generator(task), edits, asked.has)
    c = conditions.assumed
    detector, unsure_above, generator = _calibrated(toolkit, label, task, asked.cache, step)
    step("making pictures to try it on", 0, 0)
    pictures = _examples(toolkit, generator, task, c, asked.cache)
    step(f"[detector.{label}] (minutes)", 0, 0)
    done = convert_detector(detector, generator, c, pictures, out)
    for name, picture in zip(EXAMPLES, pictures, strict=False):
        write_picture(out / name, picture)
    head = {"command": "detect", **calibration_facts(toolkit, task)}
    told = {
        "file": done.file,
        "bytes": done.bytes,
        "outputs": done.outputs,
        "regions": done.regions,
        "processings": done.processings,
        "asked": " and ".join(in_words(name, value) for name, value in edits.items()) or task,
        "taken_for_granted": [in_words(name, 0) for name in conditions.looked_for],
        "threshold": done.threshold,
        "unsure_above": unsure_above,
        "guess": bool(head.get("synthetic")),
        "examples": EXAMPLES[: len(pictures)],
        "words": words(done, unsure_above, head),
    }
    return done, told


def _calibrated(
    toolkit: Toolkit, label: str, task: str, cache: Path, step: Step
) -> tuple[CalibratedDetector, float, GuardedGenerator]:
    """A detector, the score from which on nobody can tell (its threshold if it has no doubts), and the
    generator that it was calibrated with."""
    if label == usual_detector(toolkit):
        pipeline = toolkit.magdr(task, defense=DEFENSE, cache=cache, progress=step)
        found: CalibratedDetector | None = getattr(pipeline.magdr, "detector", None)
        if found is not None:
            doubtful = getattr(pipeline.magdr, "unsure_above", found.threshold)
            return found, min(found.threshold, doubtful), pipeline.generator
    calibrator = toolkit.calibrator(task, toolkit.registry.dataset_of(task), Store(cache), progress=step)
    found = calibrator.detector(label)
    return found, found.threshold, calibrator.generator


def _examples(toolkit: Toolkit, generator: GuardedGenerator, task: str, c: Any, cache: Path) -> Tensor:
    """The astronaut's face as it is and, if the registry has an attack, attacked: `[1 or 2,3,S,S]`, 8-bit."""
    face = to_8bit(load(source_of(None), generator.size, toolkit.finder()).face[None])
    try:
        attack = ready_attack(toolkit, task, chosen_attack(toolkit), cache)
    except DataError:
        return face
    samples = Samples(face, c, ("example",))
    with torch.enable_grad():
        return torch.cat([face, attack_samples(samples, attack, generator, name="example", seed=0)])


# -- words --------------------------------------------------------------------------------------------------


class _Blank:
    """Stands for a number that only the page knows."""

    def __format__(self, spec: str) -> str:
        return "{score}"


def words(done: ConvertedDetector, unsure_above: float, head: Mapping[str, Any]) -> dict[str, Any]:
    """What is said by each verdict, with `{score}` for the score: `verdict`, `how_sure`, `what_to_do`; and
    `why` by the strongest piece of evidence, or under "" where there is none.

    Args:
        unsure_above: see `_calibrated`.
        head: `command`, and what verdicts are calibrated on.
    """
    scores = {DISRUPTED: done.threshold + 1, INTACT: unsure_above, UNCLEAR: done.threshold}
    names = ("", *done.regions, *done.processings)
    found: dict[str, Any] = {}
    for word, score in scores.items():
        facts: dict[str, Any] = {
            "verdict": word,
            "flagged": word == DISRUPTED,
            "threshold": done.threshold,
            "unsure_above": unsure_above,
            "covered_by_calibration": True,
        }
        found[word] = {
            "how_sure": how_sure({**facts, "score": _Blank()}, head),
            "what_to_do": what_to_do(facts, "detect"),
            "why": _reasons({**facts, "score": score}, names, done.regions),
        }
    guess = {**facts, "covered_by_calibration": False, "score": _Blank()}
    return {"verdicts": found, "guess": {k: f(guess, head) for k, f in _OF_A_GUESS.items()}}


_OF_A_GUESS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "how_sure": how_sure,
    "what_to_do": lambda facts, head: what_to_do(facts, "detect"),
}


def _reasons(facts: Mapping[str, Any], names: Sequence[str], regions: Sequence[str]) -> dict[str, str] | str:
    """`why`, by the name of the strongest evidence; one sentence where that does not matter."""
    found = {}
    for name in names:
        kind = "regions" if name in regions else "processings"
        found[name] = why({**facts, **({kind: {name: 1.0}} if name else {})})
    return found[""] if len(set(found.values()) - {found[""]}) == 0 else found
