"""The hooks. A plugin is a module that says `MAGDR_API = 1` and implements some of them.

The `magdr_<kind>s` hooks are called once, when the plugin is registered; they return frozen specs and do no
work of their own. The event hooks are called while a benchmark runs, in the plugins' stable order; one that
raises is reported and never ends the run. What they are given are copies, so they change no row; a run in
which an observer failed ends with exit code 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pluggy

from magdr_core.components.specs import (
    AttackSpec,
    AugmentationSpec,
    DatasetSpec,
    DefenseSpec,
    DetectorSpec,
    GeneratorSpec,
    MetricSpec,
    ParserSpec,
    RestorationSpec,
)

MAGDR_API = 1
"""The version of these contracts. A plugin declares the one that it was written for."""

hookspec = pluggy.HookspecMarker("magdr")
hookimpl = pluggy.HookimplMarker("magdr")


@hookspec
def magdr_metrics() -> Sequence[MetricSpec]:
    """Distances D_i and criteria, `(a, b, masks) -> [B,N]`: one value per image and region."""
    raise AssertionError("specification only")


@hookspec
def magdr_augmentations() -> Sequence[AugmentationSpec]:
    """Image processings f_k of the consistency detector, `(x) -> x'`, with `undo` for geometric ones."""
    raise AssertionError("specification only")


@hookspec
def magdr_restorations() -> Sequence[RestorationSpec]:
    """Members of Rec-Net's layers B_i, `(x) -> x'`, with a stage and a grid of settings."""
    raise AssertionError("specification only")


@hookspec
def magdr_generators() -> Sequence[GeneratorSpec]:
    """Generators G, `(x, c) -> y`, with their target regions `edited(c)`."""
    raise AssertionError("specification only")


@hookspec
def magdr_parsers() -> Sequence[ParserSpec]:
    """Face parsers, `(x) -> [B,N,H,W]`: soft masks over `PARTS` that sum to 1 at each pixel."""
    raise AssertionError("specification only")


@hookspec
def magdr_attacks() -> Sequence[AttackSpec]:
    """Disruptors, `(x, objective) -> x_hat` with `|x_hat - x| <= eps` everywhere."""
    raise AssertionError("specification only")


@hookspec
def magdr_detectors() -> Sequence[DetectorSpec]:
    """Detectors, `(x, c, G) -> [B]`; higher is more suspicious, core owns the thresholds."""
    raise AssertionError("specification only")


@hookspec
def magdr_defenses() -> Sequence[DefenseSpec]:
    """Reconstructors, `(x, c, G) -> x'`, with an optional `output(x, c, G) -> y`."""
    raise AssertionError("specification only")


@hookspec
def magdr_datasets() -> Sequence[DatasetSpec]:
    """Datasets: `split(name)` is sized and gives batches with stable ids; `fingerprint()` names the data."""
    raise AssertionError("specification only")


@hookspec
def magdr_run_started(run: Path, manifest: Mapping[str, Any], cells: int) -> None:
    """A benchmark begins: its folder, its manifest and the number of cells still to compute."""


@hookspec
def magdr_cell_finished(run: Path, cell: Mapping[str, Any]) -> None:
    """A cell was computed and stored, or failed (then it has an `error`)."""


@hookspec
def magdr_run_finished(run: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """All tables are written; `rows` are those of results.csv."""
