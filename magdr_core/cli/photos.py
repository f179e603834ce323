"""Pictures of one's own through a job, with results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.cli.jobs import AttackJob, FaceJob, Result
from magdr_core.cli.paths import Input
from magdr_core.cli.verdict_text import verdict_line
from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError
from magdr_core.inference.photos import Loaded, Skipped, because, load, place_of, treated
from magdr_core.media import cut, face_cut, find_faces, paste, write_picture
from magdr_core.media.panels import side_by_side

__all__ = ["PhotoWork", "load"]

Skip = Callable[[Input, MagdrError], None]
Done = Callable[[Input, dict[str, Any]], None]


class PhotoWork:
    """Runs a job over pictures.

    Args:
        condition: of one picture; used for all.
        out: where results go; None for a job that changes nothing.
        done, skip: told what became of each input.
    """

    def __init__(
        self,
        job: FaceJob,
        condition: Condition,
        device: torch.device,
        *,
        whole: bool,
        out: Path | None,
        done: Done,
        skip: Skip,
    ) -> None:
        self.job = job
        self.device = device
        self.condition = condition.to(device)
        self.whole = whole
        self.out = out
        self.done = done
        self.skip = skip

    def conditions(self, count: int) -> Condition:
        return self.condition.repeat(count)

    def run(self, inputs: Sequence[Input]) -> None:
        for found in treated(inputs, self.job, self.condition, self.device, whole=self.whole):
            if isinstance(found, Skipped):
                self.skip(found.given, found.error)
                continue
            one, result = found
            facts = {"kind": "picture", **one.facts, **result.facts}
            try:
                if self.out is not None:
                    facts["files"] = self._write(one, result, facts, self.out)
            except Exception as e:
                self.skip(one.given, because(one.given, e))
            else:
                self.done(one.given, facts)

    def _survived(self, one: Loaded[Input], changed: Tensor, job: AttackJob) -> dict[str, Any]:
        """What the attack still does to whoever is given the file, and cuts the face out anew."""
        faces = [] if self.whole else find_faces(changed)
        box = face_cut(faces[0], *changed.shape[1:]) if faces else one.box
        size = job.generator.size
        clean, attacked = (cut(image, box, size).to(self.device) for image in (one.levels, changed))
        return {"cut_in_file": place_of(box), **job.survived(clean, attacked, self.condition)}

    def _write(self, one: Loaded[Input], result: Result, facts: dict[str, Any], out: Path) -> dict[str, str]:
        job, given = self.job, one.given
        changed = one.changed(result.changed.cpu(), limit=job.limit)
        if isinstance(job, AttackJob):
            facts.update(self._survived(one, changed, job))
        paths = given.results(out, job.suffix)
        written: list[Path] = []
        try:
            # Each is written before the next one is made: a large picture is hundreds of megabytes.
            pictures = self._pictures(one, result, facts, changed)
            del changed
            for picture, name in pictures:
                write_picture(paths[name], picture, grey=one.grey and name == job.suffix)
                written.append(paths[name])
        except Exception:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        return {name: str(path) for name, path in paths.items()}

    def _pictures(
        self, one: Loaded[Input], result: Result, facts: dict[str, Any], changed: Tensor
    ) -> Iterator[tuple[Tensor, str]]:
        yield changed, self.job.suffix
        output = paste(changed, one.box, result.output.cpu())
        del changed
        yield output, "output"
        del output
        panels = [(label, image.cpu()) for label, image in result.panels]
        yield side_by_side(panels, f"{one.given.path.name}: {verdict_line(facts)}"), "compare"
