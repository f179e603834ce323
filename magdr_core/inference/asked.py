"""What a caller wants the generator to do, as the condition that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, VectorCondition
from magdr_core.errors import DataError
from magdr_core.guards import GuardedGenerator
from magdr_core.inference.shown import Conditions, Keeping
from magdr_core.runtime.conditions import condition_of, known_name

Edits = Mapping[str, float | Tensor]
Has = Mapping[str, float | Tensor] | Iterable[str]


def condition_asked(
    generator: GuardedGenerator,
    count: int,
    c: Condition | None = None,
    edits: Edits | None = None,
    has: Has = (),
) -> Condition:
    """The condition of `count` images, `[count,C]`, from what a caller said.

    Args:
        c: a ready condition of `count` rows, or of one for all.
        edits: the generator's condition names with their new values, a number or `[count]` each.
        has: what the pictures show: names, or names with values as in `edits`.

    Raises:
        DataError: nothing was said, or both a condition and edits; an unknown name; an edit that changes
            nothing; another number of rows than of images.
    """
    names = generator.condition_names
    if edits is not None and not isinstance(edits, Mapping):
        raise DataError(f"edits are {{NAME: VALUE}}, got a {type(edits).__name__}")
    if c is None:
        if names and not edits:
            known = ", ".join(names)
            raise DataError(f"say what the generator shall do: edits={{NAME: VALUE}} with {known}")
        before = _as_mapping(has)
        known_name(generator, before)
        c = condition_of(generator, before, edits or {}, count=count)
    elif not isinstance(c, Condition):
        raise DataError(f"a {type(c).__name__} is no Condition; give edits={{NAME: VALUE}} or a Condition")
    elif edits or has:
        raise DataError("give a Condition or edits (with has), not both")
    elif not _finite(c):
        raise DataError("the condition holds NaN or infinite values")
    if isinstance(c, VectorCondition) and c.values.shape[1] != len(names):
        raise DataError(
            f"the condition has {c.values.shape[1]} entries, the generator takes {len(names)}"
            f"{': ' + ', '.join(names) if names else ''}"
        )
    c = c.repeat(count) if len(c) == 1 else c
    if len(c) != count:
        raise DataError(f"{len(c)} conditions for {count} images")
    return c


def conditions_asked(
    generator: GuardedGenerator,
    c: Condition | None = None,
    edits: Edits | None = None,
    has: Has = (),
) -> Conditions:
    """The condition of each of any number of pictures, from what a caller said; what was not said is kept as
    each picture shows it.

    Raises:
        DataError: as of :func:`condition_asked`, for one picture.
    """
    condition = condition_asked(generator, 1, c, edits, has)
    if c is None and edits:
        return Keeping(generator, edits, _as_mapping(has))
    return lambda x: condition.repeat(len(x)).to(x.device)


def _as_mapping(has: Has) -> Mapping[str, float | Tensor]:
    """What the pictures show, by name.

    Raises:
        DataError: no names.
    """
    if isinstance(has, Mapping):
        return has
    if isinstance(has, str) or not isinstance(has, Iterable):
        raise DataError(f"has is a list of names, or names with values; got {has!r:.40}")
    return dict.fromkeys(has, 1.0)


def _finite(c: Condition) -> bool:
    """Whether all numbers of a condition are; one read of a GPU for all of its parts."""
    parts = [part.isfinite().all() for part in c.key() if part is not None]
    return not parts or bool(torch.stack(parts).all())
