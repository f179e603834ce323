"""What holds tensors and tables is shown in a line: shapes, ranges and sizes in place of entries."""

from __future__ import annotations

import doctest
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from magdr_core import short_repr
from magdr_core.short_repr import in_short, one_line_repr


@dataclass(frozen=True, eq=False)
class Held:
    images: torch.Tensor
    name: str = "none"
    masks: torch.Tensor | None = None
    notes: tuple[str, ...] = ()
    hidden: str = field(default="", repr=False)

    __repr__ = one_line_repr


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.tensor([[0.25, 1.0], [0.5, 0.75]]), "[2,2] 0.25 to 1"),
        (torch.tensor([0, 255], dtype=torch.uint8), "[2] 0 to 255"),
        (torch.tensor([True, False, True]), "[3] 2 true"),
        (torch.zeros(0, 3), "[0,3] empty"),
        (torch.tensor([1.0, torch.nan]), "[2] nan to nan"),
        (torch.tensor(3.0), "[] all 3"),
        (np.array([-1.5, 2.0]), "[2] -1.5 to 2"),
        (0.123456, "0.1235"),
        ("a" * 100, repr("a" * 57 + "...")),
        (("a", "b"), "['a', 'b']"),
        (["restoration"] * 100, "100 entries"),
        ({"a": 1, "b": 0.5}, "{a: 1, b: 0.5}"),
        ({str(i): i for i in range(100)}, "100 entries"),
    ],
    ids=str,
)
def test_values_in_short(value, words):
    assert in_short(value) == words


def test_repr_leaves_out_defaults_and_what_is_hidden():
    held = Held(torch.zeros(2, 3), hidden="secret")
    assert repr(held) == "Held(images=[2,3] all 0)"
    assert str(held) == repr(held)
    told = repr(Held(torch.ones(1), "faces", torch.zeros(1), ("turned",)))
    assert told == "Held(images=[1] all 1, name='faces', masks=[1] all 0, notes=['turned'])"


def test_documented_example():
    assert doctest.testmod(short_repr).failed == 0
