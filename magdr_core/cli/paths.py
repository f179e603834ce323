"""Which files a command works on, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from magdr_core.errors import DataError
from magdr_core.inference.operations import RESTORED
from magdr_core.inference.sources import Input, below

__all__ = ["Input", "check_results", "collect"]


def collect(paths: Sequence[Path], *, videos: bool = True) -> list[Input]:
    """The files below these paths, in order; see :func:`~magdr_core.inference.sources.below`.

    Raises:
        click.UsageError: a path that does not exist, or a folder without any picture.
    """
    try:
        return [found for path in paths for found in below(path, videos=videos)]
    except DataError as e:
        raise click.UsageError(str(e)) from None


def check_results(inputs: Sequence[Input], out: Path, changed: str, picture: str = ".png") -> None:
    """Refuse before anything is written what would overwrite an input, or one result with another.

    Raises:
        click.UsageError: two inputs share a name, or a result would have an input's path.
    """
    known = {os.path.realpath(i.path) for i in inputs}
    taken: dict[str, Input] = {}
    for given in inputs:
        other = taken.setdefault(given.name, given)
        if other is not given:
            raise click.UsageError(
                f"{other.path} and {given.path} would have results of one name; name the folder above them"
            )
        copies = [given.unchanged(out)] if changed == RESTORED else []
        for result in [*given.results(out, changed, picture).values(), *copies]:
            if os.path.realpath(result) in known:
                raise click.UsageError(f"{result} is an input and would be overwritten; choose another --out")
