"""What a registry's `[profile.NAME]`, `[calibration]` and `[engine]` tables may say: how much of what is run.

:mod:`magdr_core.registry.read` reads them; nothing here knows a component.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_serializer

from magdr_core.registry.scenario_tables import Adaptive, Labels, Sweep, Transfer, once

Globs = tuple[str, ...]
"""Names or patterns of plugins."""

Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(once)]

FACES = 1_000_000
"""Faces of one part of a calibration at most: more than any dataset of faces that fits a memory."""


class CalibrationPolicy(BaseModel):
    """How detectors and MagDR are calibrated; none of it ever touches the test split.

    The faces of these four never meet: `fit` clean ones standardise scores, `clean` ones set the
    false-positive threshold, `attacked` ones per attack teach detectors and Rec-Net, and as many again set
    the best-F1 threshold. Random noise of each attack's strength and the `benign` edits (labels of
    augmentations) of the same faces teach detectors what not to flag. Supervised baselines learn from `train`
    faces of the train split as well.
    """

    file: str = "auto"
    fit: Annotated[int, Field(ge=12, le=FACES)] = 512
    clean: Annotated[int, Field(ge=20, le=FACES)] = 1000
    attacked: Annotated[int, Field(ge=4, le=FACES)] = 128
    train: Annotated[int, Field(ge=4, le=FACES)] = 256
    attacks: Labels = ("pgd",)
    benign: Labels = ()
    fpr: Annotated[float, Field(gt=0, lt=1)] = 0.01
    seed: Annotated[int, Field(ge=0)] = 0
    reals: str = ""


class EngineSettings(BaseModel):
    """What a worker of `magdr bench --engine ray` takes of the cluster; the local engine has no use for it.

    Results do not depend on any of it, but for last digits on the number of threads, as everywhere; no
    result's key holds it.
    """

    gpus: Annotated[float, Field(gt=0, le=1)] = 1.0
    cpus: Annotated[int, Field(ge=1)] = 1
    workers: Annotated[int, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 2


def _switch(value: Any) -> Any:
    """`checks = true` and `checks = false` as tables."""
    return {} if value is True else {"faces": 0} if value is False else value


class Checks(BaseModel):
    """Sanity checks of a run's attacks and rows: how much of them.

    Attributes:
        faces: of the profile's first ones; 0 for no checks.
        steps: gradient steps of the checks' own attacks; one of them takes ten times as many.
        draws: samples of a random component's randomness per step.
        passes: generator passes that the checks of one row may take on a CPU, 20 times as many on a GPU;
            dear components get fewer steps and faces.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    faces: Annotated[int, Field(ge=0, le=64)] = 16
    steps: Annotated[int, Field(ge=2, le=1000)] = 10
    draws: Annotated[int, Field(ge=1, le=200)] = 4
    passes: Annotated[int, Field(ge=100)] = 8000


class Identity(BaseModel):
    """Outputs compared by who they show, in the eyes of `encoders` (`[identity_encoder.LABEL]` tables).

    An attack succeeds by this rule where every one of them finds the output on the attacked image and the
    clean output less alike than `below`, a cosine. How alike two pictures of one person are depends on the
    encoder; .3 is where published ArcFace networks tell persons apart.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    encoders: Annotated[Labels, Field(min_length=1)]
    below: Annotated[float, Field(gt=-1, lt=1)] = 0.3


class ProfileTable(BaseModel):
    """A benchmark: which components on how many samples, from index `first` of the split on.

    `dataset` takes the place of the ones that generators' tables name. `benign` are augmentations that
    detectors must not flag, `noise_l2` attacks (as tables call them) beside which detectors also see noise of
    the same L2 norm; `ensemble` are augmentations over which every defense's output is averaged, undone, as a
    further variant of its row. `transfer` and `sweep` add attacks with less knowledge and with growing
    effort, `adaptive` such that know everything. `oracle` says whether the tables have the best candidate by
    the true error, which tries every candidate on every image. `checks` are sanity checks of attacks and
    rows. With `identity` outputs are compared by who they show, too. `ours` are the components (as `use`
    names them) whose rows are the method that the tables are about, and no baselines.
    """

    note: str = ""
    dataset: str | None = None
    split: Literal["test", "calibration"] = "test"
    samples: Annotated[int, Field(ge=1)] = 16
    seeds: Annotated[Seeds, Field(min_length=1)] | None = None
    generators: Labels | None = None
    attacks: Labels = ()
    detectors: Labels = ()
    defenses: Labels = ()
    benign: Labels = ()
    noise_l2: Labels = ()
    ensemble: Labels = ()
    first: Annotated[int, Field(ge=0)] = 0
    pictures: Annotated[int, Field(ge=0, le=16)] = 6
    transfer: tuple[Transfer, ...] = ()
    sweep: Sweep | None = None
    adaptive: Adaptive | None = None
    oracle: bool = True
    checks: Annotated[Checks, BeforeValidator(_switch)] = Checks(faces=0)
    identity: Identity | None = None
    ours: Labels = ("magdr",)

    @property
    def checked(self) -> Checks | None:
        """The checks that a run makes; None if it makes none."""
        return self.checks if self.checks.faces else None


class Profile(ProfileTable):
    """A benchmark as a value.

    Attributes:
        extra: what the table says besides: keys of plugins' roles and scenarios.
    """

    extra: Mapping[str, Any] = {}

    @model_serializer(mode="wrap")
    def _as_table(self, plain: Any) -> dict[str, Any]:
        """As the file has it: plugins' keys beside the others."""
        told: dict[str, Any] = plain(self)
        further = told.pop("extra")
        return {**told, **further}


QUICK = Profile(
    note="Demonstration size: a few images, wide intervals.",
    samples=8,
    attacks=("pgd", "noise"),
    detectors=("magdr",),
    defenses=("magdr", "fixed-chain"),
    oracle=False,
)
"""What `--profile quick` is in a registry without any profile: MagDR and the best fixed chain of filters."""
