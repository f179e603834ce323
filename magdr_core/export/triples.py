"""A folder of picture triples: clean, attacked and restored PNG files, a list of them, and its card.

Each picture says in a text of its own what it is a picture of, and has a checksum of its pixels, so that a
file of another export, or one that was changed, is not taken for it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin
from torch import Tensor

from magdr_core.files.disk import read_regular, write_atomically
from magdr_core.media.pictures import to_levels

CARD, PAGE, LIST, SUMS, REGISTRY = "card.json", "README.md", "triples.csv", "SHA256SUMS", "registry.toml"

SCHEMA = 1

_TAG = "magdr"
_LARGEST = 2**28
"""Bytes of one picture."""


@dataclass(frozen=True)
class Triple:
    """A line of the list.

    Attributes:
        condition: what of the picture the generator is told to change, `Blond_Hair=1`.
        eps: the attack's bound, in [0,1] units; `linf` the largest change that it made, in 8-bit levels.
        clean, attacked, restored: files, relative to the folder.
    """

    task: str
    seed: int
    id: str
    condition: str
    attack: str
    eps: float
    steps: int
    linf: int
    defense: str
    clean: str
    attacked: str
    restored: str


def put_picture(path: Path, image: Tensor, about: str) -> None:
    """Write an image, `[3,H,W]` in [0,1] with 8-bit levels, as a PNG; equal ones become equal files.

    Args:
        about: a key of what it is a picture of.

    Raises:
        WriteError: it cannot be written.
    """
    levels = to_levels(image)
    note = PngImagePlugin.PngInfo()
    note.add_text(_TAG, f"{about} {_checksum(levels)}")
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, format="PNG", pnginfo=note)
    write_atomically(path, lambda partial: partial.write_bytes(stream.getvalue()))


def has_picture(path: Path, about: str, size: Sequence[int]) -> bool:
    """Whether a file is there, whole and unchanged, and is the picture of this key; `size` is (H, W)."""
    content = read_regular(path, _LARGEST)
    if not isinstance(content, bytes):
        return False
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.mode != "RGB" or (picture.height, picture.width) != tuple(size):
                return False
            levels = np.asarray(picture)
            said = picture.info.get(_TAG)
    except Exception:  # of a damaged file in any way
        return False
    return bool(said == f"{about} {_checksum(levels)}")


def write_list(folder: Path, triples: Iterable[Triple]) -> str:
    """Write the list, and the checksums of it and of all pictures in it as `sha256sum -c` reads them.

    Returns:
        The sha256 of the checksums' file.

    Raises:
        WriteError: a file cannot be written.
    """
    triples = list(triples)
    stream = io.StringIO()
    table = csv.DictWriter(stream, [f.name for f in fields(Triple)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(triple) for triple in triples)
    _write(folder / LIST, stream.getvalue())
    names = {name for t in triples for name in (t.clean, t.attacked, t.restored)}
    lines = []
    for name in [*sorted(names), LIST]:
        with (folder / name).open("rb") as f:
            lines.append(f"{hashlib.file_digest(f, 'sha256').hexdigest()}  {name}\n")
    _write(folder / SUMS, "".join(lines))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the card, for programs and for people. Raises WriteError if it cannot be written."""
    _write(folder / PAGE, page(card))
    _write(folder / CARD, json.dumps(card, indent=1, sort_keys=True) + "\n")


def page(card: Mapping[str, Any]) -> str:
    """The card for people, as Markdown."""
    tasks = _table(
        ("task", "seed", "folder", "pictures", "terms"),
        [(t["task"], t["seed"], f"`{t['folder']}/`", t["dataset"], t["terms"]) for t in card["tasks"]],
    )
    attacks = _table(
        ("attack", "component", "eps", "steps"),
        [(a["name"], a["use"], f"{255 * a['eps']:.4g}/255", a["steps"]) for a in card["attacks"]],
    )
    defenses = _table(("defense", "component"), [(d["name"], d["use"]) for d in card["defenses"]])
    last = card["first"] + card["samples"] - 1
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    parts = [
        f"# {card['registry']}, profile {card['profile']}: clean, attacked and restored pictures",
        f"{card['triples']} triples of 8-bit PNG files: a picture (`clean`), the same with a perturbation "
        "that disrupts a face generator (`attacked`), and what a defense makes of that (in a folder of the "
        f"defense's name). `{LIST}` has a line for each: the files, the edit that the generator was asked "
        "for, the attack with its bound (`eps`, in [0,1]), and the largest change of a pixel that it made "
        "(`linf`, in levels of 255).",
        "" if card["finished"] else "**Unfinished: the same command continues.**",
        f"## Pictures\n\n{tasks}",
        f"## Attacks\n\n{attacks}",
        f"## Defenses\n\n{defenses}",
        "## What failed\n\n" + "".join(f"- {line}\n" for line in card["failed"]) if card["failed"] else "",
        f"## How they were made\n\n`magdr export {REGISTRY} --profile {card['profile']}`, with that file of "
        f"this folder (whose paths are those of the machine that it ran on), {versions}, on "
        f"{card['device']}; pictures {card['first']} to {last} of the {card['split']} split. `{CARD}` has "
        "the identity of every component: parameters, versions, hashes of weights.",
        f"`sha256sum -c {SUMS}` checks the files.",
        "They are for measuring how well such perturbations are detected and undone, not for removing a "
        "protection from a picture of somebody who put it there.",
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def read_identity(folder: Path) -> str | None:
    """What the export in a folder is of; an empty text if its card cannot be read, None if it has none."""
    content = read_regular(folder / CARD, _LARGEST)
    if content is None:
        return None
    try:
        return str(json.loads(content)["identity"]) if isinstance(content, bytes) else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _checksum(levels: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(levels).tobytes()).hexdigest()


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda partial: partial.write_bytes(text.encode()))
