"""What a calibration may hold: JSON without surprises, and entries of the right form.

Files come from anywhere and fitted states from any plugin, so both are looked through to the last number
before anything believes them. What a state means is the business of the component that loads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from magdr_core.errors import CalibrationError

DEEPEST = 64
"""Levels of a calibration; components' states have about six."""

LARGEST_INTEGER = 2**63 - 1
"""What fits into a tensor."""

Number = Annotated[float, Field(allow_inf_nan=False)]


class Thresholds(BaseModel):
    """Operating points, in units of the detector's score."""

    model_config = ConfigDict(strict=True)
    fpr: Number
    f1: Number


class CleanScores(BaseModel):
    """What the threshold for a false-positive rate was set on.

    Attributes:
        n: number of scores.
        fpr: the rate that was wanted.
    """

    model_config = ConfigDict(strict=True)
    n: Annotated[int, Field(ge=1)]
    mean: Number
    std: Annotated[Number, Field(ge=0)]
    fpr: Annotated[Number, Field(gt=0, lt=1)]


class CalibrationEntry(BaseModel):
    """A calibrated component of a task; further keys are ignored."""

    model_config = ConfigDict(strict=True)
    kind: Literal["detector", "defense", "attack"]
    label: str
    task: str
    state: dict[str, Any]
    thresholds: Thresholds | None = None
    clean: CleanScores | None = None

    @model_validator(mode="after")
    def _detectors_decide(self) -> CalibrationEntry:
        if self.kind == "detector" and self.thresholds is None:
            raise ValueError("a detector without `thresholds`")
        return self


class Content(BaseModel):
    """A calibration file; who made it of what is for readers alone."""

    model_config = ConfigDict(strict=True)
    schema_version: Annotated[Literal[1], Field(alias="schema")]
    entries: dict[str, CalibrationEntry]
    provenance: dict[str, Any] = {}


def parsed(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        CalibrationError: no JSON, nested too deeply, or an object with a key that stands twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except CalibrationError:
        raise
    except RecursionError:
        raise CalibrationError("is nested too deeply") from None
    except ValueError as e:  # also an integer of more than 4300 digits
        raise CalibrationError(f"is no JSON: {e}") from None


def checked_entries(data: Any) -> dict[str, Any]:
    """The entries of a calibration file's content, as they are.

    Raises:
        CalibrationError: names the field that is wrong.
    """
    _check(Content, data)
    entries: dict[str, Any] = data["entries"]
    return entries


def checked_entry(data: Any) -> dict[str, Any]:
    """An entry, as it is.

    Raises:
        CalibrationError: names the field that is wrong.
    """
    _check(CalibrationEntry, data)
    entry: dict[str, Any] = data
    return entry


def entry_or_none(data: Any, kind: str) -> dict[str, Any] | None:
    """What a store holds under a key, if it is an entry of that kind; else it counts as absent."""
    try:
        entry = checked_entry(data)
    except CalibrationError:
        return None
    return entry if entry["kind"] == kind else None


def kept_as_json(state: Any) -> dict[str, Any]:
    """A fitted state through JSON and back: a fresh one and a stored one are the same to the last bit.

    Raises:
        CalibrationError: no mapping, or something in it that JSON cannot keep; names the place.
    """
    if not isinstance(state, Mapping):
        raise CalibrationError(f"expected a mapping, got a {type(state).__name__}")
    if fault := fault_in(state):
        raise CalibrationError(fault)
    try:
        kept: dict[str, Any] = json.loads(json.dumps(dict(state)))
    except (TypeError, ValueError, RecursionError) as e:
        raise CalibrationError(f"is no JSON: {e}") from None
    return kept


def fault_in(value: Any) -> str:
    """The first thing in a value that JSON cannot keep, or that no state should hold; else an empty text.

    Text begins with the place, such as `logistic.bias: nan is not a finite number`.
    """
    seen: set[int] = set()
    waiting: list[tuple[_Place, Any, int]] = [((), value, 0)]
    while waiting:
        place, one, depth = waiting.pop()
        if isinstance(one, Mapping | list | tuple):
            if id(one) in seen:
                continue
            seen.add(id(one))
            if depth == DEEPEST:
                return f"{_said(place)[:80]}...: is nested more than {DEEPEST} levels deep"
            if type(one) is list and _all_sound(one):
                continue
            inner = one.items() if isinstance(one, Mapping) else enumerate(one)
            for name, each in reversed(list(inner)):
                if isinstance(name, str) and not _encodable(name):
                    return f"{_said(place) or 'it'}: a key that is not Unicode text: {ascii(name)[:80]}"
                waiting.append(((place, name), each, depth + 1))
        elif fault := _fault_of(one):
            return f"{_said(place)}: {fault}" if place else fault
    return ""


_Place = tuple[Any, ...]
"""Where something stands: that of what it is in, and its name there; empty for the whole. It is made a text
where there is a fault: a file has thousands of numbers, and is read whenever something is calibrated."""


def _said(place: _Place) -> str:
    names = []
    while place:
        place, name = place
        names.append(str(name) if not isinstance(name, str) or _plain(name) else ascii(name)[:80])
    return ".".join(reversed(names))


def _all_sound(values: list[Any]) -> bool:
    """Whether a list is of numbers without a fault and of one type, as most are: told without a loop in
    Python."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return all(map(math.isfinite, values))
    return kinds == {int} and min(values) >= -LARGEST_INTEGER and max(values) <= LARGEST_INTEGER


def _fault_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "" if _encodable(value) else "text that is not Unicode"
    if isinstance(value, int):
        return "" if abs(value) <= LARGEST_INTEGER else "an integer of more than 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a finite number"
    remedy = " (`pack_tensors` makes text of tensors)" if isinstance(value, Tensor) else ""
    return f"a {type(value).__name__} is no JSON{remedy}"


def _check(model: type[BaseModel], data: Any) -> None:
    try:
        model.model_validate(data)
    except ValidationError as e:
        _raise(e)
    if fault := fault_in(data):
        raise CalibrationError(fault)


def _raise(error: ValidationError) -> NoReturn:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    parts = [str(p) if _plain(str(p)) else ascii(p)[:80] for p in first["loc"]]
    place = ".".join(parts)
    told = "is missing" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
    raise CalibrationError(f"{place}: {told}" if place else f"is not a calibration: {told}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise CalibrationError(f"has the key {ascii(name)[:80]} twice in one object")
        made[name] = value
    return made


def _plain(name: str) -> bool:
    return len(name) <= 80 and name.isprintable()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
