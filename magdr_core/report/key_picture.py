"""One face of a task as an attack and the defense leave it, chosen by rule."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from magdr_core.report.figures import IDENTITY, AttackCondition, Figures
from magdr_core.report.formatting import number
from magdr_core.report.image_errors import image_errors, kept_pictures
from magdr_core.report.picture_grid import png_row
from magdr_core.results.frame import NONE

_mse = number(0)


@dataclass(frozen=True)
class ShownVersion:
    """A face that was given to the generator, what came out (or nothing), and what is said of it."""

    title: str
    said: str
    input: str
    output: str


@dataclass(frozen=True)
class KeyPicture:
    """A face's versions; `chosen` says which face it is, and what was done to it."""

    versions: tuple[ShownVersion, ...]
    chosen: str


def key_picture(figures: Figures, task: str, attack: AttackCondition) -> KeyPicture | None:
    """Clean, attacked and restored; None where the run has no such pictures.

    It is the one with the middle error behind our defense of those that the run kept, not the best one.
    """
    label = figures.ours(task, "defense")
    wanted = [("clean", NONE, "clean"), ("attacked", attack.attack, IDENTITY)]
    if label:
        wanted.append(("restored", attack.attack, label))
    pairs = {title: _pair(figures, task, under, name) for title, under, name in wanted}
    pairs = {title: pair for title, pair in pairs.items() if pair is not None}
    if len(pairs) < 2 or "clean" not in pairs:
        return None
    count = min(len(side) for pair in pairs.values() if pair for side in pair)
    images = kept_pictures(figures, task)[:count]
    errors = {
        title: image_errors(figures, task, attack, name) for title, _, name in wanted if title != "clean"
    }
    deciding = errors[wanted[-1][0]]
    known = sorted((deciding[image], i) for i, image in enumerate(images) if image in deciding)
    index = known[(len(known) - 1) // 2][1] if known else 0
    versions = []
    for title, pair in pairs.items():
        own = errors.get(title, {}).get(images[index]) if index < len(images) else None
        said = f"output MSE {_mse(own)}" if own is not None else ""
        versions.append(ShownVersion(title, said, *(png_row(side[index : index + 1]) for side in pair or ())))
    which = images[index][1] if index < len(images) else "the first face"
    return KeyPicture(tuple(versions), f"{which}; {attack.label}, {attack.strength}")


def _pair(figures: Figures, task: str, attack: str, component: str) -> tuple[Tensor, Tensor] | None:
    found = [figures.run.pictures.get((task, attack, component, side)) for side in ("input", "output")]
    one, two = found
    return (one, two) if one is not None and two is not None and len(one) and len(two) else None
