"""Whether a fitted state is of the composition that is to load it: as many numbers as there are to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.errors import CalibrationError
from magdr_core.functional import PARTS
from magdr_core.magdr.standardise import POOLED


def check_standard(
    state: Any, criteria: int, processings: int, parts: int = len(PARTS), *, compared: int | None = None
) -> None:
    """A standardisation of `criteria` distances over `parts` regions and between `processings` outputs.

    Args:
        compared: distances between outputs, where there are others than `criteria`: twice as many, of the
            image and of the target.

    Raises:
        CalibrationError: names what is missing or of another size.
    """
    regions = _mapping(state, "regions")
    if POOLED not in regions:
        raise CalibrationError(f"regions.{POOLED} is missing")
    for name, figures in regions.items():
        for key in ("mean", "std", "count"):
            _numbers(figures, f"regions.{name}", key, (criteria, parts))
    pooled = [("processings", _mapping(state, "processings"))]
    per_edit = state.get("processings_per_edit")
    if per_edit is not None:
        named = _mapping(state, "processings_per_edit")
        pooled += [(f"processings_per_edit.{name}", figures) for name, figures in named.items()]
    for place, figures in pooled:
        for key in ("mean", "std"):
            _numbers(figures, place, key, (processings, criteria if compared is None else compared))
    for key in ("distortion", "consistency"):
        _numbers(_mapping(state, "scores"), "scores", key, (2,))


def check_learned(state: Any, features: int) -> None:
    """Weights and familiarity of so many features.

    Raises:
        CalibrationError: names what is missing or of another size.
    """
    logistic, familiarity = _mapping(state, "logistic"), _mapping(state, "familiarity")
    _numbers(logistic, "logistic", "weights", (features,))
    _numbers(logistic, "logistic", "bias", ())
    _numbers(familiarity, "familiarity", "mean", (features,))
    _numbers(familiarity, "familiarity", "whiten", (features, features))
    _numbers(familiarity, "familiarity", "limit", ())


def _mapping(state: Any, name: str) -> Mapping[str, Any]:
    found = state.get(name)
    if not isinstance(found, Mapping):
        raise CalibrationError(f"{name} is missing" if found is None else f"{name} is no table")
    return found


def _numbers(table: Any, place: str, key: str, shape: tuple[int, ...]) -> None:
    if not isinstance(table, Mapping) or key not in table:
        raise CalibrationError(f"{place}.{key} is missing")
    if not _has_shape(table[key], shape):
        size = "x".join(map(str, shape)) + " numbers" if shape else "one number"
        raise CalibrationError(f"{place}.{key}: expected {size}: it was made for another composition")


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return isinstance(value, int | float) and not isinstance(value, bool)
    fits = isinstance(value, list) and len(value) == shape[0]
    return fits and all(_has_shape(v, shape[1:]) for v in value)
