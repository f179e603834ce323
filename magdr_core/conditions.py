"""Conditions from names: what a generator is told, from what pictures show and what shall change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from magdr_core.errors import DataError, suggestion
from magdr_core.guard import GuardedGenerator
from magdr_core.types import Condition


def condition_of(
    generator: GuardedGenerator,
    attributes: Mapping[str, float | Tensor],
    edits: Mapping[str, float | Tensor],
    *,
    count: int = 1,
) -> Condition:
    """The condition that sets some of a generator's conditions and leaves the others as they are.

    Args:
        attributes: what the pictures show, `[B]` tensors or numbers; what is not named counts as 0.
        edits: condition names with their new values. A hair colour takes the place of the others.
        count: the number of pictures, where `attributes` do not tell.

    Returns:
        `[B,C]`, on the CPU.

    Raises:
        DataError: an unknown condition name, no edit, or one that changes nothing.
    """
    names = generator.condition_names
    known_name(generator, edits)
    if not names:
        return Condition(torch.zeros(count, 0), torch.zeros(count, 0, dtype=torch.bool))
    columns = [torch.as_tensor(attributes.get(name, 0.0)).float().cpu().reshape(-1) for name in names]
    before = torch.stack(torch.broadcast_tensors(*columns), 1)
    if len(before) == 1:
        before = before.expand(count, -1)
    after = before.clone()
    colours = torch.tensor([n.endswith("_Hair") for n in names])
    for name, value in edits.items():
        new = torch.as_tensor(value).float().cpu().expand(len(after))
        if name.endswith("_Hair"):
            # Hair has one colour.
            after = after.masked_fill((new != 0)[:, None] & colours, 0.0)
        after[:, names.index(name)] = new
    if not bool((after != before).any(1).all()):
        raise DataError("the edit changes nothing on at least one picture")
    return Condition(after, after != before)


def known_name(generator: GuardedGenerator, given: Iterable[str]) -> None:
    """Raises DataError for the first name that is none of the generator's conditions."""
    names = generator.condition_names
    for name in given:
        if not names:
            raise DataError(f"the generator takes no condition, so {name!r} cannot be set")
        if name not in names:
            raise DataError(f"the generator has no condition {name!r}{suggestion(name, names)}")
