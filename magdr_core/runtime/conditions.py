"""Conditions from names: what a generator is told, from what pictures show and what shall change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import VectorCondition
from magdr_core.errors import DataError, suggestion
from magdr_core.guards import GuardedGenerator


def condition_of(
    generator: GuardedGenerator,
    attributes: Mapping[str, float | Tensor],
    edits: Mapping[str, float | Tensor],
    *,
    count: int = 1,
) -> VectorCondition:
    """The condition that sets some of a generator's conditions and leaves the others as they are.

    Args:
        attributes: what the pictures show, `[B]` tensors or numbers; what is not named counts as 0.
        edits: condition names with their new values. A hair colour takes the place of the others.
        count: the number of pictures, where `attributes` do not tell.

    Returns:
        `[B,C]`, on the CPU.

    Raises:
        DataError: an unknown condition name, a value that is no number from 0 to 1, another number of values
            than of pictures, two hair colours, no edit, or one that changes nothing; of a generator that only
            adds (`additive`), something that pictures show and that is to go.
    """
    names = generator.condition_names
    known_name(generator, edits)
    _one_hair_colour(edits)
    if not names:
        return VectorCondition(torch.zeros(count, 0), torch.zeros(count, 0, dtype=torch.bool))
    columns = [_values(name, attributes.get(name, 0.0)) for name in names]
    new_values = {name: _values(name, value, edit=True) for name, value in edits.items()}
    lengths = [(name, len(v)) for name, v in (*zip(names, columns, strict=True), *new_values.items())]
    rows = next((n for _, n in lengths if n != 1), 1) if count == 1 else count
    for name, n in lengths:
        if n not in (1, rows):
            raise DataError(f"{name!r} has {n} values for {rows} images")
    before = torch.stack([column.expand(rows) for column in columns], 1)
    after = before.clone()
    colours = torch.tensor([n.endswith("_Hair") for n in names])
    for name, value in new_values.items():
        new = value.expand(rows)
        if name.endswith("_Hair"):
            # Hair has one colour.
            after = after.masked_fill((new != 0)[:, None] & colours, 0.0)
        after[:, names.index(name)] = new
    if not bool((after != before).any(1).all()):
        raise DataError("the edit changes nothing on at least one picture")
    if getattr(generator, "additive", False):
        _only_added(names, new_values, before, after)
    return VectorCondition(after, after != before)


def _only_added(names: Sequence[str], edits: Iterable[str], before: Tensor, after: Tensor) -> None:
    for name in edits:
        i = names.index(name)
        if bool(((after[:, i] == 0) & (before[:, i] != 0)).any()):
            raise DataError(
                f"the generator only adds: {name!r} = 0 leaves it as it is, and takes nothing away"
            )


def _values(name: str, value: Any, *, edit: bool = False) -> Tensor:
    """`[B]` or `[1]` float32 on the CPU.

    Args:
        edit: a wish, for which True is no value: it may be meant as an index or a mask.

    Raises:
        DataError: no number, or one outside 0 to 1.
    """
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = None
    if found is None or found.is_complex() or (edit and found.dtype == torch.bool):
        shown = f"{value!r:.40}" if isinstance(value, str | bool) else f"a {type(value).__name__}"
        raise DataError(f"{name!r} is set to {shown}; give a number from 0 to 1, or a tensor of them")
    if found.ndim > 1:
        raise DataError(f"{name!r} has values of shape {tuple(found.shape)}; give a number, or one per image")
    found = found.detach().float().cpu().reshape(-1)
    wrong = found[~((found >= 0) & (found <= 1))]  # NaN is neither
    if len(wrong):
        raise DataError(f"{name!r} is set to {float(wrong[0]):g}; values are from 0 to 1")
    return found


def _one_hair_colour(edits: Mapping[str, float | Tensor]) -> None:
    wished = [
        name
        for name, value in edits.items()
        if name.endswith("_Hair") and bool(_values(name, value, edit=True).any())
    ]
    if len(wished) > 1:
        raise DataError(f"hair has one colour, and {' and '.join(wished)} are set")


def known_name(generator: GuardedGenerator, given: Iterable[str]) -> None:
    """Raises DataError for the first name that is none of the generator's conditions."""
    names = generator.condition_names
    for name in given:
        if not names:
            raise DataError(f"the generator takes no condition, so {name!r} cannot be set")
        if not isinstance(name, str):
            raise DataError(f"{name!r} is no name of a condition; known: {', '.join(names)}")
        if name not in names:
            raise DataError(f"the generator has no condition {name!r}{suggestion(name, names)}")
