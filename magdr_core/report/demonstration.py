"""The page of a demonstration, for somebody who has never heard of such attacks; every sentence is computed
from what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor

from magdr_core.functional import resize
from magdr_core.inference.demonstration import Demonstration, Version
from magdr_core.magdr import Verdict
from magdr_core.media.panels import SIDE
from magdr_core.media.pictures import to_levels
from magdr_core.report.data_url import png_url
from magdr_core.report.formatting import number
from magdr_core.report.template import rendered
from magdr_core.results.store import write_atomically

FILE = "demo.html"

REPAIRED = 0.5
"""What may be left of an attack's error where a picture counts as repaired."""

GREY = 127
"""The level of a pixel that did not change, in the picture of the change."""


@dataclass(frozen=True)
class DemoSetting:
    """What was tried, as the page tells it.

    Attributes:
        asked: what the generator was to make of the face, in words ("blond hair"); "" if it takes no wish.
        attack: the attack's label.
        picture: what the photograph is.
        fpr: share of clean calibration faces that exceed the threshold.
        drawn: those faces were drawn ones.
        size: side of what the generator is given, in pixels.
        notes: what reading the photograph changed.
    """

    asked: str
    attack: str
    picture: str
    fpr: float
    drawn: bool
    size: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """A version of the face beside the edit of it; `tone` colours what is said of it."""

    title: str
    image: str
    output: str
    output_words: str
    tone: str
    said: str
    detail: str


def write_page(done: Demonstration, setting: DemoSetting, folder: Path) -> Path:
    """Write demo.html into a folder. Raises WriteError if it cannot be written."""
    page, path = render(done, setting), folder / FILE
    write_atomically(path, lambda p: p.write_text(page, encoding="utf-8", newline="\n"))
    return path


def render(done: Demonstration, setting: DemoSetting) -> str:
    """The page: one file that needs nothing else. The same demonstration gives the same bytes."""
    return rendered(
        "demonstration.html",
        headline=headline(done),
        sentence=sentence(done, setting),
        cards=list(_cards(done)),
        setting=setting,
        moved=done.moved,
        change=png_url(to_levels(_large(change(done, times(done))))),
        times=times(done),
        figures=list(_figures(done)),
        found_anew=None if done.error_when_found_anew is None else off(done.error_when_found_anew),
        false_alarm=None if done.false_alarm is None else off(done.false_alarm),
        missed=not done.verdict_on_attacked.disrupted,
        guess=done.verdict_on_photograph.guess or done.verdict_on_attacked.guess,
    )


# -- words ----------------------------------------------------------------------------------------------


def headline(done: Demonstration) -> str:
    """What happened, in a few words."""
    attack = "Attacked" if done.disrupted else "Attacked without much effect"
    if not done.verdict_on_attacked.disrupted:
        return f"{attack}, and not noticed"
    if not done.attacked.error:
        return f"{attack}, and noticed"
    return f"{attack}, noticed, {'repaired' if _repaired(done) else 'not repaired'}"


def sentence(done: Demonstration, setting: DemoSetting) -> str:
    """What happened, in one sentence."""
    wish = f" that was asked for {setting.asked}" if setting.asked else ""
    change = f"A change of a photograph by at most {done.moved} of 255 brightness levels, hard to see,"
    effect = (
        f"made a face editor{wish} go wrong"
        if done.disrupted
        else f"was to make a face editor{wish} go wrong, and hardly did"
    )
    return f"{change} {effect}; magdr {_noticed(done)}, {_undone(done)}."


def _noticed(done: Demonstration) -> str:
    found = "noticed the change" if done.verdict_on_attacked.disrupted else "did not notice the change"
    alarm = done.verdict_on_photograph.disrupted
    alone = "suspected the untouched photograph as well" if alarm else "left the untouched photograph alone"
    return f"{found}, {alone}"


def _undone(done: Demonstration) -> str:
    if not done.attacked.error:
        return "and had no damage to repair"
    share = f"{1 - done.kept:.0%}"
    if not done.verdict_on_attacked.disrupted:
        return (
            f"and would have removed {share} of the damage to the edit, had it noticed"
            if done.kept < 1
            else "and could not have repaired it either"
        )
    if not done.verdict_on_attacked.plan:
        return "and found no way to repair the picture"
    if _repaired(done):
        return f"and repaired the picture, so that {share} of the damage to the edit is gone"
    if done.kept < 1:
        return f"and removed no more than {share} of the damage to the edit"
    return "and made the edit no better by repairing the picture"


def _repaired(done: Demonstration) -> bool:
    return bool(done.verdict_on_attacked.plan) and done.kept <= REPAIRED


def _cards(done: Demonstration) -> Iterator[Card]:
    before, after = done.verdict_on_photograph, done.verdict_on_attacked
    yield _judged("The photograph", done.photograph, "what the editor makes of it", before, attacked=False)
    broken = "its edit, gone wrong" if done.disrupted else "its edit"
    yield _judged("Attacked", done.attacked, broken, after, attacked=True)
    yield Card("Restored", *_urls(done.restored), "its edit", *_restoring(done))


def _restoring(done: Demonstration) -> tuple[str, str, str]:
    """(tone, what is said, the detail)"""
    after = done.verdict_on_attacked
    if not after.disrupted:
        return "bad", "Not asked for", "this is what a repair would have made of the attacked photograph"
    if not after.plan:
        return "bad", "Left as it was", "no repair made it look cleaner to magdr"
    how = f"by {' and '.join(after.plan)}"
    if not done.attacked.error:
        return "good", "Nothing to repair", how
    detail = f"{how}; {done.kept:.0%} of the damage to the edit is left"
    return ("good", "Repaired", detail) if _repaired(done) else ("bad", "Hardly repaired", detail)


def _judged(title: str, version: Version, words: str, verdict: Verdict, *, attacked: bool) -> Card:
    right = verdict.disrupted == attacked
    said = f"{'Looks attacked' if verdict.disrupted else 'Looks untouched'}: {'right' if right else 'wrong'}"
    side = "above" if verdict.disrupted else "not above"
    detail = f"score {verdict.score:.2f}, {side} the threshold of {verdict.threshold:.2f}"
    return Card(title, *_urls(version), words, "good" if right else "bad", said, detail)


def _figures(done: Demonstration) -> Iterator[tuple[str, str, str]]:
    """(version, mean squared error, its root)"""
    versions = {"untouched": done.photograph, "attacked": done.attacked, "restored": done.restored}
    for name, version in versions.items():
        yield f"{name} photograph", number(0)(version.error), number(1)(sqrt(version.error))


def off(error: float) -> str:
    """An error in words: its root and itself."""
    return f"{number(1)(sqrt(error))} levels (a mean squared error of {number(0)(error)})"


# -- pictures -------------------------------------------------------------------------------------------


def times(done: Demonstration) -> int:
    """How many times as strong a change is shown, so that its strongest pixel is black or white."""
    return max(1, GREY // max(1, done.moved))


def change(done: Demonstration, factor: int) -> Tensor:
    """What the attack added, `[3,s,s]` in [0,1]: grey where there is nothing, `factor` times as strong."""
    added = done.attacked.image - done.photograph.image
    return (GREY / 255 + factor * added).clamp(0, 1)


def _urls(version: Version) -> tuple[str, str]:
    image, output = (png_url(to_levels(_large(picture))) for picture in (version.image, version.output))
    return image, output


def _large(image: Tensor) -> Tensor:
    """Small pictures are enlarged here: browsers do it less well."""
    return image if image.shape[-1] >= SIDE else torch.clamp(resize(image[None], SIDE)[0], 0, 1)
