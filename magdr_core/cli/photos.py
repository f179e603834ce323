"""Pictures of one's own through a job, with results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.cli.jobs import FaceJob, Result
from magdr_core.cli.paths import Input
from magdr_core.cli.verdict_text import verdict_line
from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError
from magdr_core.inference.photos import Loaded, Skipped, because, load, treated
from magdr_core.media import FaceFinder, paste, write_picture
from magdr_core.media.panels import side_by_side

__all__ = ["PhotoWork", "load"]

Skip = Callable[[Input, MagdrError], None]
Done = Callable[[Input, dict[str, Any]], None]


class PhotoWork:
    """Runs a job over pictures.

    Args:
        condition: of one picture; used for all.
        finder: of faces; None for no search, the largest square in the middle.
        out: where results go; None for a job that changes nothing.
        done, skip: told what became of each input.

    Attributes:
        ending: of the changed picture's name.
    """

    ending = ".png"

    def __init__(
        self,
        job: FaceJob,
        condition: Condition,
        device: torch.device,
        *,
        finder: FaceFinder | None,
        out: Path | None,
        done: Done,
        skip: Skip,
    ) -> None:
        self.job = job
        self.device = device
        self.condition = condition.to(device)
        self.finder = finder
        self.out = out
        self.done = done
        self.skip = skip

    def write_one(self, path: Path, picture: Tensor, *, grey: bool) -> None:
        """Write a picture `[3,H,W]`, without colours if `grey`; raises DataError if that cannot be done."""
        write_picture(path, picture, grey=grey)

    def conditions(self, count: int) -> Condition:
        return self.condition.repeat(count)

    def run(self, inputs: Sequence[Input]) -> None:
        for found in treated(inputs, self.job, self.condition, self.device, finder=self.finder):
            if isinstance(found, Skipped):
                self.skip(found.given, found.error)
                continue
            one, result = found
            try:
                facts = {"kind": "picture", **one.facts, **result.facts}
                if self.out is not None:
                    changed = one.changed(result.changed.cpu(), limit=self.job.limit)
                    facts["files"] = self.write(one, result, facts, changed, self.out)
            except Exception as e:
                self.skip(one.given, because(one.given, e))
            else:
                self.done(one.given, facts)

    def write(
        self, one: Loaded[Input], result: Result, facts: dict[str, Any], changed: Tensor, out: Path
    ) -> dict[str, str]:
        """Write the changed picture `[3,H,W]` uint8, the output in its place, and the panels; their paths.

        Raises:
            DataError: one of them cannot be written; then none is left.
        """
        paths = one.given.results(out, self.job.suffix, self.ending)
        written: list[Path] = []
        try:
            # Each is written before the next one is made: a large picture is hundreds of megabytes.
            pictures = self._pictures(one, result, facts, changed)
            del changed
            for picture, name in pictures:
                self.write_one(paths[name], picture, grey=one.grey and name == self.job.suffix)
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
