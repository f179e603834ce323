"""AGGAN: StarGAN's layout with a mask; its published keys, its weights, what it computes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from magdr_core.errors import RegistryError
from tests.plugins.layouts import condition, disturbed, instance_normalised, invented, pictures, rng_of, table
from tests.plugins.test_stargan import PUBLIC, batch_of
from tests.plugins.test_stargan import published as stargan_keys

SMALL = {"width": 4, "blocks": 1, "size": 16}


@pytest.fixture
def aggan(toolkit_from):
    def make(**params):
        return toolkit_from(table("generator", "aggan", **{"weights": "random", **params})).generator("g")

    return make


def published():
    """State-dict keys and shapes of the multi-domain AGGAN (conv_dim 64, c_dim 5, repeat_num 6)."""
    keys, norms = stargan_keys()
    return keys | {"main.21.weight": (4, 64, 7, 7)}, norms


def reference(state, x, values):
    """(colour, attention, output) as published, from the state dict; all in [-1,1] units but the mask."""

    def norm(y, name):
        gain, bias = state[f"{name}.weight"][:, None, None], state[f"{name}.bias"][:, None, None]
        return instance_normalised(y) * gain + bias

    sym = x * 2 - 1
    y = torch.cat([sym, values[:, :, None, None].repeat(1, 1, *x.shape[2:])], 1)
    for conv, stride, padding in ((0, 1, 3), (3, 2, 1), (6, 2, 1)):
        y = F.conv2d(y, state[f"main.{conv}.weight"], stride=stride, padding=padding)
        y = F.relu(norm(y, f"main.{conv + 1}"))
    for block in range(9, 15):
        z = F.conv2d(y, state[f"main.{block}.main.0.weight"], padding=1)
        z = F.conv2d(F.relu(norm(z, f"main.{block}.main.1")), state[f"main.{block}.main.3.weight"], padding=1)
        y = y + norm(z, f"main.{block}.main.4")
    for conv in (15, 18):
        y = F.conv_transpose2d(y, state[f"main.{conv}.weight"], stride=2, padding=1)
        y = F.relu(norm(y, f"main.{conv + 1}"))
    y = F.conv2d(y, state["main.21.weight"], padding=3)
    attention, colour = 1 / (1 + torch.exp(-y[:, :1])), y[:, 1:]
    return colour, attention, colour * attention + sym * (1 - attention)


def test_aggan_public_checkpoint_agrees_with_the_reference(aggan, tmp_path):
    keys, norms = published()
    state = invented(keys)
    stale = {}
    for name, width in norms.items():
        stale |= {f"{name}.running_mean": torch.full((width,), 9.0), f"{name}.running_var": torch.ones(width)}
        stale[f"{name}.num_batches_tracked"] = torch.tensor(7)
    assert len(state | stale) == 103
    torch.save(state | stale, tmp_path / "200000-G.ckpt")
    G = aggan(weights="200000-G.ckpt")
    own = G.component.state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == keys
    assert sum(v.numel() for v in own.values()) == 8_433_664
    x = pictures(2, 24, 32)
    c = condition([[1, 0, 0, 1, 0], [0, 1, 0, 0, 1]], [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]])
    colour, attention, expected = reference(state, x, c.values)
    assert 0.05 < attention.mean() < 0.95
    expected = (expected + 1) / 2
    inside = (expected > 0) & (expected < 1)
    assert 0.5 < inside.float().mean() < 1, "most is shown as computed, some is cut"
    torch.testing.assert_close(G(x, c), expected.clamp(0, 1), atol=1e-5, rtol=0)
    heads = G.component.heads(x, c)
    torch.testing.assert_close(heads[0], (colour + 1) / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(heads[1], attention, atol=1e-5, rtol=0)


def test_aggan_and_stargan_files_are_told_apart(aggan, toolkit_from, tmp_path):
    starred, _ = stargan_keys()
    torch.save(invented(starred), tmp_path / "star.ckpt")
    with pytest.raises(RegistryError) as e:
        aggan(weights="star.ckpt")
    assert str(e.value) == (
        "bad.toml [generator.g]: star.ckpt does not fit AGGAN: main.21.weight is (3, 64, 7, 7), expected "
        '(4, 64, 7, 7). It is a StarGAN\'s file: use = "stargan"'
    )
    keys, _ = published()
    torch.save(invented(keys), tmp_path / "ag.ckpt")
    with pytest.raises(RegistryError, match='It is an AGGAN\'s file: use = "aggan"'):
        toolkit_from(
            table("generator", "stargan", weights="ag.ckpt", width=64, blocks=6, attributes=PUBLIC)
        ).generator("g")
    with pytest.raises(RegistryError, match="made with width = 64, blocks = 6"):
        aggan(weights="ag.ckpt", width=32, blocks=4)


def test_aggan_gradients_and_independence_of_the_mode(aggan):
    G = aggan(**SMALL)
    x, c = pictures(2, 16, 16), condition([[1, 0, 0, 1, 0]] * 2, [[1, 0, 0, 0, 0]] * 2)
    assert disturbed(G, x, c).flatten(1).abs().amax(1).min() > 0
    before = G(x, c)
    G.component.train()
    assert torch.equal(G(x, c), before)


def test_aggan_copies_the_input_where_its_attention_is_nothing(aggan):
    G = aggan(**SMALL)
    x, c = pictures(2, 16, 16), condition([[1, 0, 0, 1, 0]] * 2, [[1, 0, 0, 0, 0]] * 2)
    _, attention = G.component.heads(x, c)
    forced = G.component.main[-1].register_forward_hook(lambda m, i, y: y.index_fill(1, torch.tensor(0), -99))
    assert torch.equal(G(x, c), x)
    forced.remove()
    assert attention.max() > 0.1
    assert not torch.equal(G(x, c), x)


def test_aggan_draws_as_stargan_does(aggan):
    G = aggan(attributes=PUBLIC, **SMALL)
    batch = batch_of(PUBLIC)
    c = G.draw(batch, rng_of(batch))
    assert c.changed.any(1).all()
    assert G.edited(c).any(1).all()
    maps = G.component.features(pictures(200, 16, 16), c)
    assert [f.shape[1] for f in maps] == [4, 8, 16, 3, 1]
