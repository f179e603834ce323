"""A verdict for people: how sure it is, why, and what to do, a sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.magdr.verdict import DISRUPTED, INTACT

_WHEN = {
    "flip": "when the picture is mirrored",
    "shift": "when the picture is moved by two pixels",
    "jpeg": "when the picture is stored as JPEG",
    "resize": "when the picture is made smaller and larger again",
    "bit-depth": "when the picture has fewer shades",
    **dict.fromkeys(
        ("diffusion", "bilateral", "gaussian", "median", "nlm", "tv", "wiener", "guided"),
        "when the picture is smoothed",
    ),
    "purifier": "when the picture is cleaned by a network",
}
"""What was done to a picture by the usual labels of augmentations and second opinions."""

_EVERYWHERE = ("background", "skin", "brows", "eyes", "nose", "mouth", "hair")
"""Parts that a picture of a face has; of others a parser may be wrong, and a name would puzzle."""


def explained(facts: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, str]:
    """`how_sure`, `why` and `what_to_do` about one face, or about a clip.

    Args:
        facts: the evidence about it, with the `files` that were written.
        head: what the command was asked, of the document.
    """
    return {
        "how_sure": how_sure(facts, head),
        "why": why(facts),
        "what_to_do": what_to_do(facts, head["command"]),
    }


def how_sure(facts: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """By the calibration: how often clean faces are called disrupted, and where this one lies."""
    score, threshold = facts["score"], facts["threshold"]
    lies = f"it scores {score:.2f}, and more than {threshold:.2f} counts as disrupted"
    if not facts["covered_by_calibration"]:
        if head.get("synthetic"):
            return f"a guess: {lies}, but that was set on drawn faces, not on photographs"
        return f"a guess: {lies}, but that was set on pictures or edits unlike this one"
    share = f"about 1 in {round(1 / head['false_alarms'])} clean faces"
    if facts["verdict"] == DISRUPTED:
        return f"fairly sure: it scores {score:.2f}, and only {share} score above {threshold:.2f}"
    if facts["verdict"] == INTACT:
        return f"fairly sure: {lies}; another generator or edit may still be disrupted by it"
    return (
        f"not sure: it scores {score:.2f}, not above the {threshold:.2f} that only {share} exceed, but above "
        f"{facts['unsure_above']:.2f}, which best parts attacked faces from clean ones"
    )


def why(facts: Mapping[str, Any]) -> str:
    """The strongest evidence, as what the generator does with the picture."""
    signs = [*_signs(facts)]
    if facts["flagged"]:
        if not signs:
            return "the generator behaves on it otherwise than on clean faces"
        return f"{max(signs)[1]}, more than with clean faces"
    if not signs:
        return "the generator behaves on it as on clean faces"
    if facts["score"] > facts.get("unsure_above", facts["threshold"]):
        return f"{max(signs)[1]}, somewhat more than with most clean faces"
    return "the generator's output on it is as steady, and as confined to the edit, as on clean faces"


def _signs(facts: Mapping[str, Any]) -> list[tuple[float, str]]:
    """(strength, what it means) of every piece of evidence."""
    regions, processings = facts.get("regions") or {}, facts.get("processings") or {}
    return [
        *((value, _changes(part)) for part, value in regions.items()),
        *((value, _moves(label)) for label, value in processings.items()),
    ]


def _changes(part: str) -> str:
    if part in _EVERYWHERE:
        return f"the generator changes the {part}, which the edit does not concern"
    return "the generator changes parts of the picture that the edit does not concern"


def _moves(label: str) -> str:
    if "twin" in label:
        return "a second generator, which is harder to disrupt, makes something else of it"
    when = next((words for name, words in _WHEN.items() if label == name), None)
    return f"the generator's output changes {when or f'under the processing {label!r}'}"


def what_to_do(facts: Mapping[str, Any], command: str) -> str:
    """The next step, for whoever has the file."""
    defended, restored = command == "defend", bool(facts.get("plan"))
    if not facts["covered_by_calibration"]:
        looked = "compare by eye what was received and restored; " if defended and restored else ""
        return (
            f"{looked}to be told more than a guess, calibrate on clean pictures of this kind "
            "(magdr calibrate --data FOLDER --out mine.json), then ask again with --calibration mine.json"
        )
    if facts["verdict"] == INTACT:
        return "use it as it is"
    if not defended:
        return "restore it with magdr defend"
    if restored and facts["verdict"] == DISRUPTED:
        return "use the restored one instead"
    if restored:
        return "compare what was received and restored by eye; the restored one is the safer choice"
    return "look for another copy of it: nothing that was tried made it look cleaner"
