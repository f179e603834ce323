"""The inpainting network: what it is not shown, what it leaves alone, what it says that it changes."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.batch import Batch, Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError
from magdr_core.functional import PARTS, to_8bit


@pytest.fixture
def G(toolkit_from):
    return toolkit_from(
        "[generator.g]\nuse = 'inpaint'\nparams = { weights = 'random', width = 8, blocks = 1 }"
    ).generator("g")


def filling(*names):
    values = torch.tensor([[float(name in names) for name in ("Fill_Eyes", "Fill_Mouth", "Fill_Half")]])
    return Condition(values, values > 0)


def noise(seed=0, rows=1):
    return to_8bit(torch.rand(rows, 3, 64, 64, generator=torch.Generator().manual_seed(seed)))


def test_outside_of_the_rectangle_the_output_is_the_input(G):
    x, c = noise(), filling("Fill_Mouth")
    y, hole = G(x, c), G.component.missing(c, 64)[0, 0] > 0
    assert torch.equal(y[..., ~hole], x[..., ~hole])
    assert (y[..., hole] != x[..., hole]).float().mean() > 0.9
    # .56 to .88 of 64 rows, .24 to .76 of 64 columns, by pixels' centres.
    assert hole.sum() == (56 - 36) * (49 - 15)
    assert hole[36, 15]
    assert not hole[35, 15]
    assert not hole[36, 14]


def test_what_is_behind_the_rectangle_is_not_seen(G):
    x, c = noise(), filling("Fill_Eyes")
    hole = G.component.missing(c, 64)
    other = torch.where(hole > 0, noise(1), x)
    assert torch.equal(G(x, c), G(other, c))
    around = torch.where(hole > 0, x, noise(1))
    assert not torch.equal((G(x, c) * hole), G(around, c) * hole)


def test_several_rectangles_and_none(G):
    x = noise()
    assert torch.equal(G(x, filling()), x)
    both = G.component.missing(filling("Fill_Eyes", "Fill_Mouth"), 64)
    each = [G.component.missing(filling(name), 64) for name in ("Fill_Eyes", "Fill_Mouth")]
    assert torch.equal(both, torch.maximum(*each))
    parts = {part for part, there in zip(PARTS, G.edited(filling("Fill_Mouth"))[0], strict=True) if there}
    assert parts == {"skin", "nose", "mouth"}


def test_each_rectangle_is_drawn_equally_often_for_pictures_of_which_nothing_is_known(G):
    ids = tuple(f"p{i}" for i in range(300))
    c = G.draw(Batch(noise().expand(300, -1, -1, -1), ids), SampleRng(0, "draw", ids))
    assert torch.equal(c.values > 0, c.changed)
    assert c.values.sum(1).eq(1).all()
    assert (c.values.sum(0) > 75).all()


def test_a_side_that_it_cannot_halve_twice_is_told(G):
    with pytest.raises(DataError, match="squares whose side is a multiple of 4"):
        G(noise()[..., :62, :62], filling("Fill_Eyes"))
