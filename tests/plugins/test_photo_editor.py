"""The editor of photographs: what it leaves alone, what it is asked for, and a StarGAN's weights in it."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.batch import Batch, Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS, to_8bit

NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Smiling", "Eyeglasses")


@pytest.fixture
def editor(toolkit_from):
    """`editor(use, **params)`: a guarded generator, small unless said otherwise."""

    def make(use="photo-editor", **params):
        params = {"weights": "random", "width": 8, "blocks": 1, **params}
        text = "\n".join(f"{k} = {v!r}" for k, v in params.items())
        return toolkit_from(f"[generator.g]\nuse = {use!r}\n[generator.g.params]\n{text}").generator("g")

    return make


def told(values, changed):
    return Condition(torch.tensor([values], dtype=torch.float32), torch.tensor([changed], dtype=torch.bool))


def noise(rows=1, size=32):
    return to_8bit(torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(0)))


def test_only_what_is_changed_and_not_zero_is_asked_for(editor):
    G, x = editor(), noise()
    blond = G(x, told([0, 1, 0, 0, 0], [0, 1, 0, 0, 0]))
    assert torch.equal(blond, G(x, told([0, 1, 0, 1, 0], [1, 1, 0, 0, 0]))), "black before, and smiling"
    assert not torch.equal(blond, G(x, told([0, 1, 0, 1, 0], [0, 1, 0, 1, 0]))), "a smile as well"
    nothing = G(x, told([0, 0, 0, 0, 0], [0, 0, 0, 0, 0]))
    assert torch.equal(nothing, G(x, told([0, 0, 0, 1, 0], [0, 0, 0, 0, 0])))
    assert torch.equal(nothing, G(x, told([0, 0, 0, 0, 0], [0, 0, 0, 1, 0]))), "0 takes nothing away"


def test_where_the_mask_is_one_the_pixel_is_the_inputs(editor):
    G, x = editor(), noise(size=64)
    c = told([0, 1, 0, 0, 0], [0, 1, 0, 0, 0])
    with torch.no_grad():
        G.component.attention.weight.mul_(12)
    colour, attention = G.component.heads(x, c)
    kept, made = (attention == 1).expand_as(x), (attention == 0).expand_as(x)
    assert 0.02 < kept.float().mean() < 0.98
    y = G(x, c)
    assert torch.equal(y[kept], x[kept])
    assert made.any()
    assert torch.allclose(y[made], colour[made], atol=1e-5)
    between = ~(kept | made)
    assert not torch.isclose(y[between], x[between]).all()


def test_a_stargans_weights_load_and_are_blended_half_and_half(editor, tmp_path):
    star = editor("stargan")
    torch.save(star.component.state_dict(), tmp_path / "star.ckpt")
    G = editor(weights="star.ckpt")
    x, c = noise(), told([0, 1, 0, 0, 0], [0, 1, 0, 0, 0])
    assert torch.allclose(G(x, c), (x + star(x, c)) / 2, atol=1e-6)
    with pytest.raises(RegistryError, match="made with width = 8"):
        editor(weights="star.ckpt", width=4)


def test_features_end_with_what_the_heads_say(editor):
    G, x = editor(), noise()
    c = told([0, 1, 0, 1, 0], [0, 1, 0, 0, 0])
    *_, colour, attention = maps = G.component.features(x, c)
    assert len(maps) == 5
    assert maps[2].shape == (1, 32, 8, 8)
    assert torch.allclose(attention * x + (1 - attention) * colour, G(x, c), atol=1e-5)


def batch_of(count=300, **attributes):
    known = {name: torch.full((count,), float(value)) for name, value in attributes.items()}
    return Batch(torch.zeros(count, 3, 8, 8), tuple(f"face-{i}" for i in range(count)), known)


def drawn(G, batch):
    c = G.draw(batch, SampleRng(0, "conditions", batch.ids))
    asked = G.component.requested(c).values
    assert (asked.sum(1) == 1).all(), "one thing each"
    return c, asked.mean(0)


def test_every_addition_is_equally_likely_where_nothing_is_known(editor):
    c, share = drawn(editor(), batch_of())
    assert (share - 0.2).abs().max() < 0.08
    assert torch.equal(c.changed, c.values > 0)


def test_what_a_face_shows_is_not_added_again(editor):
    c, share = drawn(editor(), batch_of(Black_Hair=1, Smiling=1))
    assert share[0] == share[3] == 0
    recoloured = c.values[:, 1:3].any(1)
    assert (c.values[recoloured, 0] == 0).all(), "hair has one colour"
    assert c.changed[recoloured, 0].all()
    assert (c.values[:, 3] == 1).all(), "the condition says that it smiles, as those of other editors do"


def test_no_hair_is_coloured_where_there_is_none(editor):
    _, share = drawn(editor(), batch_of(Bald=1))
    assert (share[:3] == 0).all()
    c, share = drawn(editor(), batch_of(Bald=1, Smiling=1, Eyeglasses=1))
    assert share[:3].sum() == pytest.approx(1), "for want of anything else"
    assert c.changed.any(1).all()


def test_the_edited_parts_are_those_of_what_is_added(editor):
    c = told([0, 1, 0, 0, 0], [1, 1, 0, 1, 0])
    target = editor().edited(c)[0]
    assert [part for part, on in zip(PARTS, target, strict=True) if on] == ["hair"]


def test_classes_add_each_attribute_alone(editor):
    G = editor()
    c = told([0, 1, 0, 1, 0], [1, 1, 0, 0, 0])  # black before, and smiling
    asked = [G.component.requested(one).values[0].tolist() for one in G.classes(c)]
    eye = torch.eye(5).tolist()
    assert asked == [[0] * 5, eye[1], eye[2], [0] * 5, eye[4]]


def test_gradients_of_all_that_is_not_cut_are_exact(editor):
    G = editor().component.double()
    x = noise(size=16).double().requires_grad_(True)
    c = told([0, 1, 0, 0, 0], [0, 1, 0, 0, 0])
    c = Condition(c.values.double(), c.changed)
    assert torch.autograd.gradcheck(lambda t: G(t, c), x, atol=1e-4, fast_mode=True)
