"""What the JSON files of a run folder must look like to be read: its manifest, cells and checks."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from magdr_core.components.figure import Better
from magdr_core.results.cell import Count, Finite, Integer, Name, Strict
from magdr_core.results.checked import Badge, Verdict

Long = Annotated[str, Field(max_length=2**20)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
Eps = Annotated[float, Field(allow_inf_nan=False, ge=0, le=10**6)]
Labels = list[Name] | None


class _Threshold(Strict):
    absolute: Count
    relative: Count = 0.0


class _Figure(Strict):
    """A figure that rows may have."""

    name: Name
    role: Name
    unit: Name = ""
    better: Better
    digits: Annotated[int, Field(ge=0, le=9)]
    threshold: _Threshold
    needs: list[Name]
    statistic: Name
    summary: Name = ""


class _Settings(Strict):
    """A profile as it was run."""

    generators: Labels = None
    attacks: Labels = None
    detectors: Labels = None
    defenses: Labels = None
    note: Long | None = None


class ManifestFile(Strict):
    """manifest.json"""

    schema_: Integer = Field(alias="schema")
    registry: Name
    profile: Name
    settings: _Settings
    registry_file: Name = ""
    registry_text: Annotated[str, Field(max_length=2**24)] = ""
    adaptive_suite: Name | None = None
    figures: list[_Figure] = Field(default_factory=list)
    device: Name = ""
    engine: Name = ""
    threads: Integer = 0
    versions: dict[Name, Name] = Field(default_factory=dict)
    commit: Name | None = None
    started: Name = ""


class FinishedManifestFile(ManifestFile):
    """manifest.json of this version."""

    run: Name
    finished: bool
    files: dict[Name, Name]
    sha256: Name


class _Facts(Strict):
    """:class:`~magdr_core.results.cell.Facts`"""

    task: Name
    generator: Name
    dataset: Name
    attack: Name
    slice_role: Name
    eps: Eps
    steps: Steps
    knowledge: Annotated[Name, Field(min_length=1)]
    role: Name
    component: Name
    seed: Integer
    noise: bool
    columns: dict[Name, Any] | None = None
    variant: Name | None = None
    data: Name | None = None
    baseline: bool = False
    seen_by_oracle: bool = False
    channel: Name = ""


class _Threat(Strict):
    """A threat card; only what is worked with has a type."""

    eps: Finite | Name | None = None
    step_size: Finite | Name | None = None


class _Brief(Strict):
    """A cell in brief."""

    facts: _Facts
    key: Name = ""
    error: Long | None = None
    forwards: Count | None = None
    seconds: Count | None = None
    thresholds: dict[Name, Finite] = Field(default_factory=dict)
    threat: _Threat | None = None
    worst: list[Name] = Field(default_factory=list)
    mse_o: dict[Name, Count] | None = None


class CellsFile(Strict):
    """cells.json"""

    cells: list[_Brief]


class _Check(Strict):
    """A sanity check of a row."""

    name: Name
    verdict: Verdict
    said: Long
    evidence: dict[str, Any] | None = None


class _CheckedRow(Strict):
    """A row of checks.json."""

    task: Name
    role: Name
    component: Name
    badge: Badge
    why: Long
    how: dict[str, Any]
    checks: list[_Check]


class _Effort(Strict):
    """How much was checked."""

    faces: Integer
    steps: Integer


class ChecksFile(Strict):
    """checks.json"""

    rows: list[_CheckedRow]
    settings: _Effort | None = None
