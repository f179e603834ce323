"""AttGAN: the published layout in its wrapped files, its numbers for attributes, and its conditions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from magdr_core.errors import RegistryError
from tests.plugins.layouts import (
    batch_normalised,
    condition,
    disturbed,
    faces,
    invented,
    norm_keys,
    pictures,
    rng_of,
    table,
)

NAMES = (
    *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male"),
    *("Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young"),
)
SMALL = {"width": 4, "size": 32}


@pytest.fixture
def attgan(toolkit_from):
    def make(**params):
        return toolkit_from(table("generator", "attgan", **{"weights": "random", **params})).generator("g")

    return make


def published(width=64, shortcut=1, inject=0, told=13):
    """State-dict keys and shapes of the public generator (5 layers each way)."""
    keys, before = {}, 3
    for i in range(5):
        after = width * 2**i
        keys[f"enc_layers.{i}.layers.0.weight"] = (after, before, 4, 4)
        keys |= norm_keys(f"enc_layers.{i}.layers.1", after)
        before = after
    before += told
    for i in range(4):
        after = width * 2 ** (4 - i)
        keys[f"dec_layers.{i}.layers.0.weight"] = (before, after, 4, 4)
        keys |= norm_keys(f"dec_layers.{i}.layers.1", after)
        before = after + (after // 2 if i < shortcut else 0) + (told if i < inject else 0)
    return keys | {"dec_layers.4.layers.0.weight": (before, 3, 4, 4), "dec_layers.4.layers.0.bias": (3,)}


def reference(state, x, a, shortcut=1, inject=0):
    """The published forward pass, `[B,3,H,W]` in [0,1], of the vector `a` that enters the network."""

    def planes(y):
        return torch.cat([y, a[:, :, None, None].repeat(1, 1, *y.shape[2:])], 1)

    kept, y = [], 2 * x - 1
    for i in range(5):
        y = F.conv2d(y, state[f"enc_layers.{i}.layers.0.weight"], stride=2, padding=1)
        y = batch_normalised(state, f"enc_layers.{i}.layers.1", y)
        y = torch.where(y > 0, y, 0.01 * y)
        kept.append(y)
    y = planes(y)
    for i in range(4):
        y = F.conv_transpose2d(y, state[f"dec_layers.{i}.layers.0.weight"], stride=2, padding=1)
        y = torch.relu(batch_normalised(state, f"dec_layers.{i}.layers.1", y))
        y = torch.cat([y, kept[3 - i]], 1) if i < shortcut else y
        y = planes(y) if i < inject else y
    last = "dec_layers.4.layers.0"
    y = F.conv_transpose2d(y, state[f"{last}.weight"], state[f"{last}.bias"], stride=2, padding=1)
    return (torch.tanh(y) + 1) / 2


PUBLISHED = {0: 43_352_707, 1: 43_459_203}


@pytest.mark.parametrize("inject", [0, 1])
def test_attgan_public_checkpoint_agrees_with_the_reference(attgan, tmp_path, inject):
    """Self-trained files hold the discriminator and optimisers as well, and `module.` from several GPUs."""
    keys = published(inject=inject)
    assert len(keys) == 56
    state = invented(keys)
    named = {f"module.{k}": v for k, v in state.items()} if inject else state
    beside = {"D": {"conv.0.layers.0.weight": torch.zeros(3)}, "optim_G": {"state": {}, "param_groups": [{}]}}
    torch.save({"G": named, **(beside if inject else {})}, tmp_path / "weights.199.pth")
    G = attgan(weights="weights.199.pth", inject=inject)
    assert G.condition_names == NAMES
    own = G.component.state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == keys
    assert sum(p.numel() for p in G.component.parameters()) == PUBLISHED[inject]
    x = pictures(2, 32, 64)
    shown = [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1]
    blond = [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1]
    older = [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0]
    c = condition(
        [blond, older], [[a != b for a, b in zip(row, shown, strict=True)] for row in (blond, older)]
    )
    # (2a - 1) / 2 of all, and of the one that was asked for twice as much; brown was switched off by blond.
    a = torch.tensor([blond, older]).float() - 0.5
    a[0, 3], a[1, 12] = 1.0, -1.0
    assert torch.equal(G.component.told(c), a)
    expected = reference(state, x, a, inject=inject)
    assert expected.std() > 0.05
    torch.testing.assert_close(G(x, c), expected, atol=1e-5, rtol=0)


def test_attgan_takes_a_plain_state_dict_too(attgan, tmp_path):
    state = attgan(**SMALL).component.state_dict()
    torch.save(state, tmp_path / "plain.pth")
    loaded = attgan(weights="plain.pth", **SMALL).component.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in loaded.items())


def test_attgan_other_files_are_refused_in_one_line(attgan, tmp_path):
    torch.save({"G": invented(published(width=4, shortcut=2, inject=1))}, tmp_path / "w.pth")
    with pytest.raises(RegistryError, match=r"The file was made with shortcut = 2, inject = 1$"):
        attgan(weights="w.pth", **SMALL)
    torch.save({"G": invented(published(width=8, told=40))}, tmp_path / "w.pth")
    with pytest.raises(RegistryError, match=r"made with width = 8, 40 attributes in place of 13$"):
        attgan(weights="w.pth", **SMALL)
    torch.save({"D": {"conv.0.layers.0.weight": torch.zeros(3)}}, tmp_path / "w.pth")
    with pytest.raises(RegistryError) as e:
        attgan(weights="w.pth", **SMALL)
    said = "w.pth does not hold a plain state dict, but D; nor one in an entry G"
    assert str(e.value) == f"bad.toml [generator.g]: {said}"
    torch.save({"G": {"conv.0.layers.0.weight": torch.zeros(3)}}, tmp_path / "w.pth")
    with pytest.raises(RegistryError, match="is it the discriminator's file"):
        attgan(weights="w.pth", **SMALL)


def test_attgan_norms_use_running_statistics_whatever_the_mode_and_the_batch(attgan):
    G = attgan(**SMALL)
    x = pictures(3)
    c = condition([[0] * 12 + [1]] * 3, [[0] * 12 + [1]] * 3)
    before = G(x, c)
    assert torch.equal(before[1:2], G(x[1:2], c[1:2]))
    G.component.train()
    assert torch.equal(G(x, c), before)
    assert disturbed(G, x, c).flatten(1).abs().amax(1).min() > 0
    assert [f.shape[2] for f in G.component.features(x, c)] == [16, 8, 4, 2, 1]
    with pytest.raises(Exception, match="multiples of 32, got"):
        G(pictures(1, 48, 32), c[:1])


def test_attgan_attributes_that_exclude_each_other(attgan):
    """What is switched on switches off what it excludes; switching something off does nothing else."""
    G = attgan(**SMALL)
    source = torch.tensor([[0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1.0]])
    c = condition([[0.0] * 13], [[False] * 13])
    flips = {NAMES[i]: one for i, one in enumerate(G.component.classes(type(c)(source, c.changed)))}

    def changes(name):
        return {NAMES[i]: int(flips[name].values[0, i]) for i in flips[name].changed[0].nonzero().flatten()}

    assert changes("Bald") == {"Bald": 1, "Bangs": 0}
    assert changes("Bangs") == {"Bangs": 0}
    assert changes("Brown_Hair") == {"Brown_Hair": 1, "Black_Hair": 0}
    assert changes("Black_Hair") == {"Black_Hair": 0}
    assert changes("Mustache") == {"Mustache": 1, "No_Beard": 0}
    assert changes("Eyeglasses") == {"Eyeglasses": 1}


def test_attgan_draw_flips_one_attribute_each_equally_likely(attgan):
    G = attgan(**SMALL)
    batch = faces(NAMES, 600)
    source = torch.stack([batch.attributes[name] for name in NAMES], 1)
    c = G.draw(batch, rng_of(batch))
    assert torch.equal(c.changed, c.values != source)
    asked = G.component.told(c).abs() > 0.5
    assert (asked.sum(1) == 1).all(), "one is edited, whatever it switches off"
    assert ((asked.float().mean(0) - 1 / 13).abs() < 0.04).all()
    part = batch[[5, 6]]
    assert torch.equal(G.draw(part, rng_of(part)).values, c.values[5:7])
    assert G.edited(c).any(1).all()
    few = faces([n for n in NAMES if n not in ("Bald", "Bangs", "Bushy_Eyebrows")], 2)
    with pytest.raises(Exception, match="AttGAN needs the attributes Bald, Bangs, Bushy_Eyebrows"):
        G.draw(few, rng_of(few))
