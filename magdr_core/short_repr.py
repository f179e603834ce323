"""Objects that hold tensors and tables, shown in one line that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

LONGEST = 60
"""Characters of a text, or of a collection written out; what is longer is described by its size."""


def one_line_repr(self: object) -> str:
    """A `__repr__` for dataclasses: fields that differ from their defaults, each by its shape and range or
    its size. A class takes it with `__repr__ = one_line_repr`."""
    told = [
        f"{f.name}={in_short(getattr(self, f.name))}"
        for f in fields(self)  # type: ignore[arg-type]
        if f.repr and not _is_default(f, getattr(self, f.name))
    ]
    return f"{type(self).__name__}({', '.join(told)})"


def _is_default(field: Field[object], value: object) -> bool:
    if value is None:
        return field.default is None
    if hasattr(value, "shape"):
        return False  # a comparison would be one of every entry
    if field.default is not MISSING:
        return bool(value == field.default)
    return isinstance(value, list | tuple | dict) and not value


def in_short(value: object) -> str:
    """A value in a few words.

    Of a tensor or array its shape with the range of its values, or how many are true; of a long text its
    beginning; of a collection its entries, or how many there are.

    >>> import torch
    >>> in_short(torch.linspace(0, 1, 12).reshape(3, 4)), in_short(torch.tensor([True, False]))
    ('[3,4] 0 to 1', '[2] 1 true')
    >>> in_short({"images": torch.zeros(2, 3), "name": "a"}), in_short(list(range(1000)))
    ("{images: [2,3] all 0, name: 'a'}", '1000 entries')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST else f"{value[: LONGEST - 3]}...")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        told = ", ".join(f"{name}: {in_short(entry)}" for name, entry in list(value.items())[:LONGEST])
        return f"{{{told}}}" if len(told) <= 2 * LONGEST else f"{len(value)} entries"
    if isinstance(value, list | tuple):
        told = ", ".join(in_short(entry) for entry in value[:LONGEST])
        return f"[{told}]" if len(value) <= LONGEST and len(told) <= LONGEST else f"{len(value)} entries"
    told = repr(value)
    return told if len(told) <= 2 * LONGEST else f"{told[: 2 * LONGEST - 3]}..."


def _array(array: Any) -> str:
    """`[3,3,64,64] 0 to 1`: shape and range; NaN where there is any; of booleans how many are true."""
    shape = f"[{','.join(map(str, array.shape))}]"
    if "bool" in str(array.dtype):
        return f"{shape} {int(array.sum())} true"
    if 0 in array.shape:
        return f"{shape} empty"
    low, high = float(array.min()), float(array.max())
    return f"{shape} all {low:.4g}" if low == high else f"{shape} {low:.4g} to {high:.4g}"
