"""registry.toml -> a frozen :class:`Registry`. Imports no plugin; only the file's own structure is checked.

Tables `[kind.label]` are one component each. There is no inheritance and no expression: what the file says
is what runs.
"""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from magdr_core.errors import RegistryError, suggestion
from magdr_core.hookspecs import MAGDR_API
from magdr_core.objective import ObjectiveName
from magdr_core.params import ParameterError, validate
from magdr_core.specs import SPECS

_LABEL = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
Labels = tuple[str, ...]


class _Header(BaseModel):
    api: int = MAGDR_API
    name: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"


class _Plugins(BaseModel):
    local: dict[str, str] = {}
    block: Labels = ()
    use: Labels = ()


class _Component(BaseModel):
    use: str = ""
    params: dict[str, Any] = {}


class _Restoration(_Component):
    grid: dict[str, list[Any]] | None = None


class _Attack(_Component):
    objective: ObjectiveName | None = None


class _Generator(_Component):
    dataset: str = ""


class CalibrationPolicy(BaseModel):
    """How detectors and MagDR are calibrated; none of it ever touches the test split.

    The faces of these four never meet: `fit` clean ones standardise scores, `clean` ones set the
    false-positive threshold, `attacked` ones per attack teach detectors and Rec-Net, and as many again set
    the best-F1 threshold. Random noise of each attack's strength and the `benign` edits (labels of
    augmentations) of the same faces teach detectors what not to flag. Supervised baselines learn from `train`
    faces of the train split as well.
    """

    file: str = "auto"
    fit: Annotated[int, Field(ge=12)] = 512
    clean: Annotated[int, Field(ge=20)] = 1000
    attacked: Annotated[int, Field(ge=4)] = 128
    train: Annotated[int, Field(ge=4)] = 256
    attacks: Labels = ("pgd",)
    benign: Labels = ()
    fpr: Annotated[float, Field(gt=0, lt=1)] = 0.01
    seed: Annotated[int, Field(ge=0)] = 0


class Transfer(BaseModel):
    """An attack by somebody who lacks something of the defended task.

    `surrogate` is the generator that perturbations are made on instead (a `[generator.LABEL]` table with the
    same conditions); with `condition = "unknown"` they are made for another condition than the defender's.
    `generators` are the tasks that it applies to, all of the profile if empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    attack: str
    surrogate: str = ""
    condition: Literal["known", "unknown"] = "known"
    generators: Labels = ()

    @model_validator(mode="after")
    def _lacks_something(self) -> Transfer:
        if not self.surrogate and self.condition == "known":
            raise ValueError('say surrogate = "LABEL" or condition = "unknown"')
        return self


class Sweep(BaseModel):
    """Detectors on checkpoints of one long run of each attack, after so many steps (the paper's Figure 3).

    Of the tasks `generators` (all of the profile if empty), on the first `samples` of its images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    attacks: Annotated[Labels, Field(min_length=1)]
    steps: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    generators: Labels = ()
    samples: Annotated[int, Field(ge=1)] | None = None


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


class Adaptive(BaseModel):
    """Attacks that know the whole pipeline: each of `attacks` once more, aimed at each detector and defense.

    `others` are attacks whose images join the pool (the paper's Eq. 3). `behind` puts a detector before each
    defense too: what it flags has failed. `steps` and `restarts` are of each mode, `queries` of the random
    search, `penalties` the weights of the trade-off curve.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    attacks: Annotated[Labels, Field(min_length=1)]
    detectors: Labels = ()
    defenses: Labels = ()
    others: Labels = ()
    behind: str = ""
    steps: Annotated[int, Field(ge=1)] = 50
    restarts: Annotated[int, Field(ge=1)] = 1
    penalties: tuple[Annotated[float, Field(ge=0)], ...] = (0.1, 0.3, 1.0, 3.0)
    queries: Annotated[int, Field(ge=0)] = 100


class Profile(BaseModel):
    """A benchmark: which components on how many samples, from index `first` of the split on.

    `dataset` takes the place of the ones that generators' tables name. `benign` are augmentations that
    detectors must not flag; `ensemble` are augmentations over which every
    defense's output is averaged, undone, as a further variant of its row. `transfer` and `sweep` add attacks
    with less knowledge and with growing effort, `adaptive` such that know everything. `checks` are sanity
    checks of attacks and rows.
    """

    note: str = ""
    dataset: str | None = None
    split: Literal["test", "calibration"] = "test"
    samples: Annotated[int, Field(ge=1)] = 16
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    generators: Labels | None = None
    attacks: Labels = ()
    detectors: Labels = ()
    defenses: Labels = ()
    benign: Labels = ()
    ensemble: Labels = ()
    first: Annotated[int, Field(ge=0)] = 0
    pictures: Annotated[int, Field(ge=0, le=16)] = 6
    transfer: tuple[Transfer, ...] = ()
    sweep: Sweep | None = None
    adaptive: Adaptive | None = None
    checks: Annotated[Checks, BeforeValidator(_switch)] = Checks(faces=0)

    @property
    def checked(self) -> Checks | None:
        """The checks that a run makes; None if it makes none."""
        return self.checks if self.checks.faces else None


@dataclass(frozen=True)
class Instance:
    """One `[kind.label]` table.

    Attributes:
        grid: of a restoration, instead of its own.
        objective: of an attack; the generator's if None.
        dataset: of a generator, the label of the faces that it is for; empty where any will do.
    """

    kind: str
    label: str
    use: str
    params: Mapping[str, Any]
    grid: Mapping[str, list[Any]] | None = None
    objective: ObjectiveName | None = None
    dataset: str = ""

    @property
    def table(self) -> str:
        return f"[{self.kind}.{self.label}]"


@dataclass(frozen=True)
class Registry:
    """A parsed registry.

    Attributes:
        path: the file.
        text: its content, which every run folder keeps.
        composition: the `[magdr]` table: defaults for what MagDR's components need.
    """

    path: Path
    text: str
    name: str
    seed: int
    device: str
    local: Mapping[str, str]
    block: Labels
    use: Labels
    instances: Mapping[tuple[str, str], Instance]
    composition: Mapping[str, Any]
    calibration: CalibrationPolicy
    profiles: Mapping[str, Profile]

    def labels(self, kind: str) -> list[str]:
        """The labels of a kind that have a table, in the order of the file."""
        return [label for k, label in self.instances if k == kind]

    def instance(self, kind: str, label: str) -> Instance:
        """The table of a label; a label without one means the component of that name with its defaults."""
        return self.instances.get((kind, label)) or Instance(kind, label, label, MappingProxyType({}))

    def tasks(self, profile: Profile | None = None) -> list[str]:
        """The labels of the generators that are defended: all but those that are only attackers' surrogates.

        Args:
            profile: its `generators` if it names some.
        """
        if profile is not None and profile.generators:
            return list(profile.generators)
        spare = _only_surrogates(self.profiles.values())
        if profile is not None:
            spare |= _only_surrogates([profile])
        return [label for label in self.labels("generator") if label not in spare]

    def dataset_of(self, task: str) -> str:
        """The label of the faces that a task's generator is for: its table's, else the first there is."""
        labels = self.labels("dataset")
        return self.instance("generator", task).dataset or (labels[0] if labels else "procedural-faces")

    def profile(self, name: str) -> Profile:
        """Raises RegistryError if there is none of that name."""
        if name not in self.profiles:
            raise RegistryError(f"{self.path.name}: no profile {name!r}{suggestion(name, self.profiles)}")
        return self.profiles[name]


def _only_surrogates(profiles: Iterable[Profile]) -> set[str]:
    """Generators that perturbations are made on and that none of these profiles calls a task."""
    surrogates, named = set[str](), set[str]()
    for profile in profiles:
        surrogates |= {t.surrogate for t in profile.transfer}
        named |= {*(profile.generators or ()), *(label for t in profile.transfer for label in t.generators)}
    return surrogates - named


def default_registry() -> Path:
    """`./registry.toml` if there is one, else the copy in the package."""
    here = Path("registry.toml")
    return here if here.is_file() else packaged_registry()


def packaged_registry() -> Path:
    return Path(str(importlib.resources.files("magdr_core"))) / "data" / "registry.toml"


def read_registry(path: Path | str) -> Registry:
    """Read and check a registry file.

    Raises:
        RegistryError: missing file, not TOML, unknown table or key, wrong type; one line with the place.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RegistryError(f"registry {str(path)!r} does not exist") from None
    except (OSError, UnicodeDecodeError) as e:
        raise RegistryError(f"registry {str(path)!r} cannot be read: {e}") from None
    return parse_registry(text, path)


def parse_registry(text: str, path: Path) -> Registry:
    """The registry in a text; `path` is where relative paths start and what errors name."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RegistryError(f"{path.name}: is not valid TOML: {e}") from None
    return _Reader(path).registry(text, data)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, table: str, message: str) -> RegistryError:
        return RegistryError(f"{self.path.name} {table}: {message}")

    def registry(self, text: str, data: dict[str, Any]) -> Registry:
        known = {"registry", "plugins", "magdr", "calibration", "profile", *SPECS}
        for name, table in data.items():
            if name not in known:
                raise RegistryError(f"{self.path.name}: unknown table [{name}]{suggestion(name, known)}")
            if not isinstance(table, dict):
                raise RegistryError(f"{self.path.name}: {name!r} must be a table, got {table!r}")
        header = self.table(_Header, "[registry]", data.get("registry", {}))
        if header["api"] != MAGDR_API:
            raise self.fail("[registry]", f"api = {header['api']}, this magdr speaks {MAGDR_API}")
        plugins = self.table(_Plugins, "[plugins]", data.get("plugins", {}))
        instances = {
            (kind, label): self.instance(kind, label, table)
            for kind in SPECS
            for label, table in data.get(kind, {}).items()
        }
        calibration = self.table(CalibrationPolicy, "[calibration]", data.get("calibration", {}))
        profiles = {
            name: Profile(**self.table(Profile, f"[profile.{name}]", table))
            for name, table in data.get("profile", {}).items()
        }
        return Registry(
            path=self.path,
            text=text,
            name=header["name"] or self.path.stem,
            seed=header["seed"],
            device=header["device"],
            local=MappingProxyType(plugins["local"]),
            block=plugins["block"],
            use=plugins["use"],
            instances=MappingProxyType(instances),
            composition=MappingProxyType(data.get("magdr", {})),
            calibration=CalibrationPolicy(**calibration),
            profiles=MappingProxyType(profiles),
        )

    def instance(self, kind: str, label: str, table: Any) -> Instance:
        place = f"[{kind}.{label}]"
        if not _LABEL.fullmatch(label):
            raise self.fail(place, "a label takes letters, digits and single . _ -")
        schemas: dict[str, type[BaseModel]] = {
            "restoration": _Restoration,
            "attack": _Attack,
            "generator": _Generator,
        }
        values = self.table(schemas.get(kind, _Component), place, table)
        values["use"] = values["use"] or label
        return Instance(kind=kind, label=label, **values)

    def table(self, schema: type[BaseModel], place: str, values: Any) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise self.fail(place, f"must be a table, got {values!r}")
        try:
            return validate(schema, values, "this table", noun="key")
        except ParameterError as e:
            raise self.fail(place, str(e)) from None
