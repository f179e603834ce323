"""Pictures of one's own through a job, with results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.cli.jobs import AttackJob, FaceJob, Result
from magdr_core.cli.paths import Input
from magdr_core.cli.verdict_text import verdict_line
from magdr_core.errors import MagdrError
from magdr_core.inference.loaded import ALL, Skipped, Wanted, because
from magdr_core.inference.shown import Conditions
from magdr_core.inference.sources import copied
from magdr_core.inference.treated import Treated, treated
from magdr_core.media import FaceFinder, write_picture
from magdr_core.media.panels import side_by_side, stacked

Skip = Callable[[Input, MagdrError], None]
Done = Callable[[Input, dict[str, Any]], None]

MOST_ROWS = 12
"""Faces of a crowd that the comparison shows: the most suspicious ones."""


class PhotoWork:
    """Runs a job over pictures.

    Args:
        conditions: what the generator is told of each face.
        finder: of faces; None for no search, the largest square in the middle.
        out: where results go; None for a job that changes nothing.
        done, skip: told what became of each input.
        wanted: which faces of a picture are looked at.

    Attributes:
        ending: of the changed picture's name.
    """

    ending = ".png"

    def __init__(
        self,
        job: FaceJob,
        conditions: Conditions,
        device: torch.device,
        *,
        finder: FaceFinder | None,
        out: Path | None,
        done: Done,
        skip: Skip,
        wanted: Wanted = ALL,
    ) -> None:
        self.job = job
        self.device = device
        self.conditions = conditions
        self.finder = finder
        self.out = out
        self.done = done
        self.skip = skip
        self.wanted = wanted

    def write_one(self, path: Path, picture: Tensor, *, grey: bool) -> None:
        """Write a picture `[3,H,W]`, without colours if `grey`; raises DataError if that cannot be done."""
        write_picture(path, picture, grey=grey)

    def run(self, inputs: Sequence[Input]) -> None:
        for found in treated(
            inputs, self.job, self.conditions, self.device, finder=self.finder, wanted=self.wanted
        ):
            if isinstance(found, Skipped):
                self.skip(found.given, found.error)
                continue
            try:
                facts = picture_facts(found)
                if self.out is not None:
                    facts["files"] = self.write(found, facts, found.changed(self.job.limit), self.out)
            except Exception as e:
                self.skip(found.given, because(found.given, e))
            else:
                self.done(found.given, facts)

    def write(
        self, found: Treated[Input], facts: Mapping[str, Any], changed: Tensor, out: Path
    ) -> dict[str, str]:
        """Write the changed picture `[3,H,W]` uint8, the outputs in their places, and panels; their paths.

        A picture that was to be restored and was not is handed back as a copy of its file.

        Raises:
            MagdrError: one of them cannot be written; then none is left.
        """
        given, suffix = found.given, self.job.suffix
        paths, copy = given.results(out, suffix, self.ending), given.unchanged(out)
        kept = changed is found.received and not isinstance(self.job, AttackJob)
        stale = paths.pop(suffix) if kept else copy
        written: list[Path] = []
        try:
            if kept:
                written.append(copied(given.path, copy))
            # Each is written before the next one is made: a large picture is hundreds of megabytes.
            pictures = self._pictures(found, facts, changed, kept)
            del changed
            for picture, name in pictures:
                self.write_one(paths[name], picture, grey=found.faces[0].grey and name == suffix)
                written.append(paths[name])
        except Exception:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        # What an earlier call made of the picture must not be taken for the result of this one.
        with suppress(OSError):
            stale.unlink(missing_ok=True)
        if kept:
            paths = {"unchanged": copy, **paths}
        return {name: str(path) for name, path in paths.items()}

    def _pictures(
        self, found: Treated[Input], facts: Mapping[str, Any], changed: Tensor, kept: bool
    ) -> Iterator[tuple[Tensor, str]]:
        if not kept:
            yield changed, self.job.suffix
        output = found.output(changed)
        del changed
        yield output, "output"
        del output
        yield comparison(found, facts), "compare"


def picture_facts(found: Treated[Any]) -> dict[str, Any]:
    """What became of a picture, JSON-able: of the face that decides, and of each under `faces`."""
    own = ("width", "height", "notes")
    picture = {k: found.faces[0].facts[k] for k in ("width", "height")}
    each = [
        {**{k: v for k, v in one.facts.items() if k not in own}, **result.facts}
        for one, result in zip(found.faces, found.results, strict=True)
    ]
    worst = max(range(len(each)), key=lambda i: _standing(found.results[i]))
    notes = [note for one in found.faces for note in one.facts["notes"]]
    return {"kind": "picture", **picture, "notes": notes, **each[worst], "faces": each}


def _standing(result: Result) -> tuple[int, float]:
    return (0, 0.0) if result.verdict is None else result.verdict.standing


def comparison(found: Treated[Input], facts: Mapping[str, Any]) -> Tensor:
    """What was given and what became of it, a row for each face: `[3,H,W]`, 8-bit levels."""
    name, each = found.given.path.name, facts.get("faces", [facts])
    rows = list(range(len(each)))
    if len(rows) > 1:
        rows = sorted(rows, key=lambda i: -each[i].get("score", 0.0))[:MOST_ROWS]
    sheets = []
    for i in sorted(rows):
        one, result = found.faces[i], found.results[i]
        panels = result.shown(not torch.equal(one.face, result.changed.cpu()))
        title = name if len(each) == 1 else f"{name}, face {i + 1}"
        sheets.append(
            side_by_side([(label, p.cpu()) for label, p in panels], f"{title}: {verdict_line(each[i])}")
        )
    return stacked(sheets)
