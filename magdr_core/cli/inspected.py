"""Pictures and clips of one's own before forensic models: facts, words and a picture of what is marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.cli.file_results import Telling
from magdr_core.cli.paths import Input
from magdr_core.errors import MagdrError
from magdr_core.forensics.inspection import Inspected, Inspector
from magdr_core.functional import resize
from magdr_core.inference.followed import Step, follow
from magdr_core.inference.loaded import Loaded, because, load_all
from magdr_core.media import FaceFinder, cut, read_video, write_picture
from magdr_core.media.panels import side_by_side

FORGED, NOTHING = "forged", "nothing found"

SHOWN = 3
"""Faces of a picture, or frames of a clip, in the written picture: the most suspicious ones."""

LARGEST = 512
"""Pixels a side of a face in it."""

MARK = (1.0, 0.35, 0.0)
"""The colour of what is marked; the rest is grey."""


class Inspecting:
    """Judges files and writes what is marked.

    Args:
        finder: of faces; None for no search, the largest square in the middle.
        out: where pictures go.
        guess: thresholds are not of pictures like these.
        done, skip: told what became of each input.
        step: told (what, done, total).
    """

    def __init__(
        self,
        inspector: Inspector,
        *,
        finder: FaceFinder | None,
        out: Path,
        guess: bool,
        done: Callable[[Input, dict[str, Any]], None],
        skip: Callable[[Input, MagdrError], None],
        step: Step,
    ) -> None:
        self.inspector, self.finder, self.out, self.guess = inspector, finder, out, guess
        self.done, self.skip, self.step = done, skip, step

    def run(self, given: Input) -> None:
        """Whatever goes wrong costs this file alone."""
        try:
            facts = self._clip(given) if given.is_video else self._picture(given)
        except Exception as e:
            self.skip(given, because(given, e))
        else:
            self.done(given, facts)

    def _picture(self, given: Input) -> dict[str, Any]:
        faces = load_all(given, self.inspector.size, self.finder)
        found = self.inspector(torch.stack([one.face for one in faces]))
        worst = max(found, key=lambda finding: finding.score)
        facts = {
            "kind": "picture",
            "width": faces[0].facts["width"],
            "height": faces[0].facts["height"],
            "notes": [note for one in faces for note in one.facts["notes"]],
            **self._judged(worst),
            "faces": [
                {"cut": one.facts["cut"], **face_facts(finding)}
                for one, finding in zip(faces, found, strict=True)
            ],
        }
        shown = [(_enlarged(one), finding) for one, finding in zip(faces, found, strict=True)]
        return self._with_picture(given, facts, shown, "face")

    def _clip(self, given: Input) -> dict[str, Any]:
        video = read_video(given.path)
        clip = follow(video, finder=self.finder, step=self.step)
        found: list[Inspected] = []
        shown: list[tuple[Tensor, Inspected]] = []
        for first, _, x in clip.cuts(self.inspector.size, self.inspector.device):
            self.step(f"{given.name}: looking for forgeries", first, len(clip))
            findings = self.inspector(x)
            found += findings
            shown = _most([*shown, *zip(x.cpu(), findings, strict=True)])
        scores = [finding.score for finding in found]
        worst = int(np.argmax(scores))
        facts = {
            "kind": "clip",
            "frames": len(clip),
            "seconds": round(clip.end, 3),
            "notes": list(video.notes),
            **self._judged(found[worst]),
            "score": float(np.mean(scores)),
            "above": self.inspector.above(float(np.mean(scores))),
            "frames_flagged": sum(finding.forged for finding in found),
            "worst_at": round(clip.times[worst], 3),
            "times": [round(t, 6) for t in clip.times],
            "scores": scores,
        }
        facts["verdict"] = FORGED if facts["score"] > self.inspector.threshold else NOTHING
        return self._with_picture(given, facts, shown, "frame")

    def _judged(self, finding: Inspected) -> dict[str, Any]:
        return {"guess": self.guess, **face_facts(finding)}

    def _with_picture(
        self, given: Input, facts: dict[str, Any], shown: Sequence[tuple[Tensor, Inspected]], what: str
    ) -> dict[str, Any]:
        if not shown or shown[0][1].where is None:
            return facts
        panels: list[tuple[str, Tensor]] = []
        for number, (image, finding) in enumerate(_most(shown), 1):
            assert finding.where is not None
            name = what if len(shown) == 1 else f"{what} {number}"
            panels += [(name, image), ("marked as forged", marked(image, finding.where))]
        path = self.out / f"{given.name}.inspected.png"
        write_picture(path, side_by_side(panels, f"{given.path.name}: {verdict_words(facts)}"))
        return {**facts, "files": {"inspected": str(path)}}


def face_facts(finding: Inspected) -> dict[str, Any]:
    """A finding, JSON-able."""
    return {
        "verdict": FORGED if finding.forged else NOTHING,
        "score": finding.score,
        "threshold": finding.threshold,
        "above": finding.above,
        "models": {r.label: {"score": r.score, "above": r.above} for r in finding.readings},
        "marked": finding.marked,
    }


def marked(image: Tensor, where: Tensor) -> Tensor:
    """A picture `[3,S,S]` in grey with what is marked, `[s,s]` in [0,1], in one colour: `[3,S,S]`."""
    weight = resize(where[None, None], image.shape[-1])[0].clamp(0, 1)
    grey = image.mean(0, keepdim=True).expand(3, -1, -1) * 0.75
    colour = torch.tensor(MARK)[:, None, None] * (0.35 + 0.65 * grey / 0.75)
    return grey + weight * (colour - grey)


def _enlarged(one: Loaded[Input]) -> Tensor:
    """The face as large as the picture shows it, up to `LARGEST`."""
    return cut(one.levels, one.box, max(one.face.shape[-1], min(one.box.side, LARGEST)))


def _most(shown: Sequence[tuple[Tensor, Inspected]]) -> list[tuple[Tensor, Inspected]]:
    return sorted(shown, key=lambda pair: -pair[1].score)[:SHOWN]


# -- words ----------------------------------------------------------------------------------------------


def verdict_words(facts: Mapping[str, Any]) -> str:
    """What was decided, in one line."""
    said = "looks forged" if facts["verdict"] == FORGED else "no trace of a forgery was found"
    guess = "a guess: " if facts["guess"] else ""
    return f"{guess}{said} (more suspicious than {facts['above']:.1%} of the real pictures)"


def _lines(facts: Mapping[str, Any]) -> list[str]:
    lines = [verdict_words(facts)]
    if facts["kind"] == "clip":
        lines.append(
            f"{facts['frames_flagged']} of {facts['frames']} frames look forged, the one at "
            f"{facts['worst_at']:g} s most"
        )
    each = facts.get("faces", [])
    if len(each) > 1:
        for number, face in enumerate(each, 1):
            place = f"{face['cut']['left']}, {face['cut']['top']}"
            lines.append(f"face {number} at {place}: {face['verdict']}; {_evidence(face)}")
    else:
        lines.append(_evidence(facts))
    return [*lines, *facts["notes"]]


def _evidence(facts: Mapping[str, Any]) -> str:
    by_model = ", ".join(f"{label} {own['above']:.1%}" for label, own in facts["models"].items())
    share = facts["marked"]
    marked = "" if share is None else f"; {share:.0%} of the face's cut is marked as forged"
    return f"by model, more suspicious than: {by_model}{marked}"


def _opening(head: Mapping[str, Any]) -> list[str]:
    kinds = ", ".join(head["trained_on"]) or "nothing that its files tell of"
    lines = [
        f"asked: {', '.join(head['models'])}; forgeries known from training: {kinds}; others may pass. "
        f"Faces are looked at with {head['size']} pixels a side"
    ]
    if head["drawn"]:
        lines.append(
            f"the threshold is of {head['reals']} drawn faces, no photographs: verdicts are guesses until "
            "--reals FOLDER names untouched photographs like yours"
        )
    if head["rate"]:
        lines.append(head["rate"])
    return lines


FORENSIC = Telling(_opening, _lines, (FORGED,))
"""What `magdr inspect` says."""
