"""What the store's results must hold, beyond the checksum, before a run takes them for its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LARGEST = 1e15
"""No figure of a benchmark is larger; what is would overflow where figures are added or drawn."""

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
