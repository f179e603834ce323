"""A cell of a benchmark as a value, and what the store must hold before a run takes it for its own.

In files, and for observers, a cell is JSON: `CellResult.from_json` and `as_json` go between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

LARGEST = 1e15
"""No figure of a benchmark is larger; what is would overflow where figures are added or drawn."""

CLEAN, ATTACK, NOISE, BENIGN, SWEEP, ADAPTIVE = "clean", "attack", "noise", "benign", "sweep", "adaptive"
"""What the images of a cell are (`slice_role`)."""

NOISE_L2 = "noise-l2"
"""The same of noise with the L2 norm of an attack's perturbations; the attack `noise-l2:NAME` says whose."""

FORGED = "forged:"
"""How the attack of forged pictures begins: `forged:swap`. No attack made them."""

RESTORED_BY = "restored by "
"""How the variant ends of pictures that a defense has restored: its label follows."""

IDENTITY = "identity"
"""The defense that does nothing: the undefended row."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Facts:
    """What a cell is about.

    Attributes:
        task, generator, dataset, attack, eps, steps, knowledge, role, component, seed: as in results.csv; a
            benign edit is the attack `benign:LABEL`.
        slice_role: what its images are: clean, attack, noise, noise-l2, benign, sweep, adaptive.
        noise: whether the attack is random noise.
        seen_by_oracle: whether the component was given the exact masks of synthetic faces.
        data: a fingerprint of the pictures; runs are compared on the same ones only.
        baseline: whether a defense is one to beat. These three are None where the cell failed before they
            were known, or an earlier version did not say.
        columns: of results.csv that are not what is said here; None of most scenarios.
        variant: what the column `variant` says besides; None of most scenarios.
        channel: label of what its images went through between attack and defense; empty of most scenarios.
        also: another role whose figures the cell gives: with no defense, what an attack does to it says
            what the attack can do at all. None of most cells.
    """

    task: str
    generator: str
    dataset: str
    attack: str
    slice_role: str
    eps: float
    steps: int
    knowledge: str
    role: str
    component: str
    seed: int
    noise: bool = False
    columns: Mapping[str, Any] | None = None
    variant: str | None = None
    seen_by_oracle: bool | None = None
    data: str | None = None
    baseline: bool | None = None
    also: str | None = None
    channel: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Facts:
        """Of a file's cell; keys that are not known are passed over."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})

    def as_json(self) -> dict[str, Any]:
        """As files have it: what is not known is left out."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.columns is not None:
            told["columns"] = dict(self.columns)
        if not self.channel:
            del told["channel"]
        return {name: value for name, value in told.items() if value is not None}

    @property
    def images(self) -> str:
        """What its images are to other cells of the component: `slice_role`, or noise, whoever made it."""
        return NOISE if self.noise else self.slice_role

    @property
    def of_attack(self) -> bool:
        """Whether it is what the attack by itself does, which is a role of its own."""
        return self.role == "attack"

    @property
    def beside(self) -> str:
        """The one attack that its images stand beside; empty of those that stand beside any."""
        return self.attack.removeprefix(f"{NOISE_L2}:") if self.slice_role == NOISE_L2 else ""

    @property
    def besides(self) -> str:
        """What the column `variant` says besides what the figure says: a sweep's point, a harmless edit."""
        edit = self.attack.removeprefix("benign:") if self.slice_role == BENIGN else ""
        return self.variant or edit


@dataclass(frozen=True, eq=False)
class CellResult:
    """What was measured of one component on one slice of one task with one seed.

    Attributes:
        key: of its result in the store; empty of a failed cell.
        ids: stable names of the samples, n.
        identities: `[n]`, whose pictures they are; intervals are over these.
        values: `[n]` by name, a variant's as `variant/name`.
        forwards: generator passes per image.
        seconds: that it took when it was computed.
        error: why it failed, or None.
        thresholds, fpr: of a detector, by operating point (`fpr`, `f1`), and the rate of the first.
        threat: the card of what the attacker may do and knows.
        worst: ids of a defense's images with the largest error, worst first.
        mse_o: output error by id; in run folders, which have no `values`.
        which: of an adaptive attack, the mode that each image of the pool is from.
        curve, probed, bad_gradients, attack_forwards: of an adaptive attack, too.
        reused: whether the store held it.
        schema: of its values.
        more: what else a role keeps with its cells.
    """

    facts: Facts
    key: str = ""
    ids: Sequence[str] = ()
    identities: Sequence[Any] | Array = ()
    values: Mapping[str, Sequence[float] | Array] = field(default_factory=dict)
    forwards: float | None = None
    seconds: float = 0.0
    error: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    fpr: float | None = None
    threat: Mapping[str, Any] | None = None
    worst: Sequence[str] | None = None
    mse_o: Mapping[str, float] | None = None
    which: Sequence[str] | None = None
    curve: Mapping[str, str] | None = None
    probed: Mapping[str, Any] | None = None
    bad_gradients: Mapping[str, float] | None = None
    attack_forwards: float | None = None
    reused: bool = False
    schema: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellResult:
        """Of the store, of a run folder, or of a run."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data and name != "more"}
        more = {name: value for name, value in data.items() if name not in known}
        return cls(**known | {"facts": Facts.from_json(data["facts"]), "more": more})

    def as_json(self) -> dict[str, Any]:
        """As the store, and observers, have it; a copy as far down as core writes."""
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        unsaid = (
            {"schema", "identities", "forwards", "thresholds", "reused"} if self.error is not None else set()
        )
        kept = {
            name: value
            for name, value in told.items()
            if not (value is None or name in unsaid or (name in ("thresholds", "reused") and not value))
        }
        del kept["more"]
        if self.error is None:
            kept["identities"] = np.asarray(self.identities).tolist()
        values = {name: np.asarray(value).tolist() for name, value in self.values.items()}
        return kept | {"facts": self.facts.as_json(), "ids": list(self.ids), "values": values, **self.more}

    def brief(self) -> dict[str, Any]:
        """As cells.json has it, without the values per sample; what else it says of a finished cell the role
        knows."""
        whole = {"threat": None, **self.as_json()}
        return {name: whole[name] for name in _BRIEF if name in whole}

    @property
    def failed(self) -> bool:
        return self.error is not None

    def __repr__(self) -> str:
        about = self.facts
        place = f"{about.task} / {about.attack} / {about.role} {about.component} (seed {about.seed})"
        if self.error is not None:
            return f"<CellResult {place}: failed, {self.error}>"
        return f"<CellResult {place}: {len(self.ids)} images; {', '.join(self.values)}>"

    def array(self, name: str) -> Array | None:
        """Values per sample, float64 `[n]`; None if there are none of this name."""
        return self._arrays.get(name)

    @cached_property
    def _arrays(self) -> Mapping[str, Array]:
        return {name: np.asarray(values, dtype=np.float64) for name, values in self.values.items()}

    @cached_property
    def of_identities(self) -> Array:
        """`identities` as an array."""
        return np.asarray(self.identities)

    @cached_property
    def variants(self) -> list[str]:
        """What the values are of: an empty text for the component's own, then variants and modes by name."""
        return sorted({name.rpartition("/")[0] for name in self.values})


_BRIEF = (
    *("key", "facts", "error", "forwards", "thresholds", "seconds", "threat", "worst"),
    *("curve", "probed", "bad_gradients", "attack_forwards"),
)


def as_cells(cells: Iterable[CellResult | Mapping[str, Any]]) -> list[CellResult]:
    """Cells, of which some may still be JSON."""
    return [cell if isinstance(cell, CellResult) else CellResult.from_json(cell) for cell in cells]


# -- what files must hold --------------------------------------------------------------------------------

Finite = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Count = Annotated[float, Field(allow_inf_nan=False, ge=0, le=LARGEST)]
Name = Annotated[str, Field(max_length=2000)]
"""A label, a sample's id, a variant."""

M = TypeVar("M", bound=BaseModel)
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Strict(BaseModel):
    """No text for a number, no number for a text; fields that are not listed may be there."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Cell(Strict):
    schema_: Integer = Field(alias="schema")
    key: str
    facts: dict[str, Any]
    ids: Annotated[list[str], Field(min_length=1)]
    identities: list[Integer]
    values: Annotated[dict[str, list[Finite]], Field(min_length=1)]
    forwards: Count
    seconds: Count
    thresholds: dict[str, Finite] = Field(default_factory=dict)
    fpr: Finite = 0.0
    worst: list[str] = Field(default_factory=list)


class _Queries(Strict):
    forward: Count
    backward: Count


class _Check(Strict):
    name: str
    verdict: str
    said: str
    evidence: dict[str, Any]


class _Checks(Strict):
    how: dict[str, Any]
    checks: list[_Check]
    passes: Count


def check_cell(data: Mapping[str, Any], key: str, schema: int) -> None:
    """A cell as it was computed under this key, with one value per sample everywhere.

    Raises:
        ValueError: it is not; the message goes on from the file's name.
    """
    cell = fitting(_Cell, data)
    if (cell.key, cell.schema_) != (key, schema):
        raise ValueError(f"holds cell {cell.key[:80]!r} in format {cell.schema_}")
    if "error" in data:
        raise ValueError("holds a cell that failed")
    n = len(cell.ids)
    if len(set(cell.ids)) != n:
        raise ValueError("holds a sample twice")
    measured: dict[str, list[Any]] = {"identities": list(cell.identities), **cell.values}
    for name, values in measured.items():
        if len(values) != n:
            raise ValueError(f"holds {len(values)} values of {name[:80]!r} for {n} samples")
    if not set(cell.worst) <= set(cell.ids):
        raise ValueError("names a worst image that is none of its samples")


def check_queries(data: Mapping[str, Any]) -> None:
    """Raises ValueError if these are not the passes of an attack."""
    fitting(_Queries, data)


def check_checks(data: Mapping[str, Any]) -> None:
    """Raises ValueError if these are not the sanity checks of a row."""
    fitting(_Checks, data)


def fitting(model: type[M], data: Any) -> M:
    """The data as a model of it.

    Raises:
        ValueError: it does not fit; the message begins with the field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as e:
        raise ValueError(_fault(e)) from None


def _fault(error: ValidationError) -> str:
    """The first fault, as `facts.eps: Input should be a valid number`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return f"{place.lstrip('.') or 'content'}: {first['msg']}"
