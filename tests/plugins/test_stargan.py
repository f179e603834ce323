"""StarGAN: the published layout, its weights, and its conditions."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from magdr_core.components.batch import Batch, Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS

PUBLIC = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")


def published():
    """State-dict keys and shapes of yunjey's generator (conv_dim 64, c_dim 5, repeat_num 6)."""
    keys = {
        "main.0.weight": (64, 8, 7, 7),
        "main.3.weight": (128, 64, 4, 4),
        "main.6.weight": (256, 128, 4, 4),
        "main.15.weight": (256, 128, 4, 4),
        "main.18.weight": (128, 64, 4, 4),
        "main.21.weight": (3, 64, 7, 7),
    }
    norms = {"main.1": 64, "main.4": 128, "main.7": 256, "main.16": 128, "main.19": 64}
    for i in range(9, 15):
        keys |= {f"main.{i}.main.0.weight": (256, 256, 3, 3), f"main.{i}.main.3.weight": (256, 256, 3, 3)}
        norms |= {f"main.{i}.main.1": 256, f"main.{i}.main.4": 256}
    for name, width in norms.items():
        keys |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return keys, norms


@pytest.fixture
def stargan(toolkit_from):
    """`stargan(**params)`: a guarded generator, random weights unless said otherwise."""

    def make(**params):
        params = {"weights": "random", **params}
        text = "\n".join(
            f"{k} = {list(v) if isinstance(v, tuple) else v!r}".replace("'", '"') for k, v in params.items()
        )
        return toolkit_from(f'[generator.g]\nuse = "stargan"\n[generator.g.params]\n{text}').generator("g")

    return make


SMALL = {"width": 4, "blocks": 1}


def batch_of(attributes, count=200):
    g = torch.Generator().manual_seed(0)
    values = {name: torch.randint(0, 2, (count,), generator=g).float() for name in attributes}
    hair = [name for name in attributes if name in HAIR]
    colour = torch.randint(0, len(hair) + 1, (count,), generator=g)  # the last: none of these
    values |= {name: (colour == i).float() for i, name in enumerate(hair)}
    return Batch(torch.zeros(count, 3, 8, 8), tuple(f"face-{i}" for i in range(count)), values)


def rng_of(batch, seed=0):
    return SampleRng(seed, "conditions", batch.ids)


# -- weights --------------------------------------------------------------------------------------------


def test_stargan_published_keys_and_shapes(stargan):
    net = stargan(width=64, blocks=6, attributes=PUBLIC, size=128).component
    keys, _ = published()
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == keys
    assert sum(v.numel() for v in net.state_dict().values()) == 8_430_528


def invented_state():
    """Values for the published keys that keep the output away from the ends of the tanh."""
    keys, _ = published()
    g = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in keys.items():
        scale = (1.0 / (shape[1] * shape[2] * shape[3])) ** 0.5 if len(shape) == 4 else 0.2
        state[name] = torch.randn(shape, generator=g) * scale
        if len(shape) == 1 and name.endswith("weight"):
            state[name] += 1
    return state


def reference(state, x, values):
    """The published generator written out as functions of its state dict; norms by each image's own
    statistics."""

    def norm(y, name):
        mean = y.mean((2, 3), keepdim=True)
        var = (y - mean).square().mean((2, 3), keepdim=True)
        gain, bias = state[f"{name}.weight"][:, None, None], state[f"{name}.bias"][:, None, None]
        return (y - mean) / (var + 1e-5).sqrt() * gain + bias

    planes = values[:, :, None, None] * torch.ones(1, 1, *x.shape[2:])
    y = torch.cat([x * 2 - 1, planes], 1)
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
    return (torch.tanh(F.conv2d(y, state["main.21.weight"], padding=3)) + 1) / 2


@pytest.mark.parametrize(("size", "counted", "expected_keys"), [(128, True, 103), (256, False, 86)])
def test_stargan_public_checkpoint_agrees_with_the_reference(stargan, tmp_path, size, counted, expected_keys):
    """Files of torch before 0.4.1 hold no `num_batches_tracked`; running statistics are never used."""
    _, norms = published()
    state = invented_state()
    stale = {}
    for name, width in norms.items():
        stale |= {f"{name}.running_mean": torch.full((width,), 9.0), f"{name}.running_var": torch.ones(width)}
        if counted:
            stale[f"{name}.num_batches_tracked"] = torch.tensor(7)
    assert len(state | stale) == expected_keys
    torch.save(state | stale, tmp_path / "200000-G.ckpt", _use_new_zipfile_serialization=False)
    G = stargan(weights="200000-G.ckpt", width=64, blocks=6, attributes=PUBLIC, size=size)
    assert G.size == size
    assert all(torch.equal(v, state[k]) for k, v in G.component.state_dict().items())
    # Fully convolutional: a small picture goes through the same arithmetic as one of 128 or 256.
    x = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    expected = reference(state, x, condition(2).values)
    assert expected.std() > 0.05
    assert torch.allclose(G(x, condition(2)), expected, atol=1e-5, rtol=0)


def test_stargan_attribute_that_is_listed_twice_is_refused(stargan):
    with pytest.raises(RegistryError, match="parameter 'attributes' of stargan: 'Young' is listed twice"):
        stargan(attributes=["Young", "Male", "Young"])


def test_stargan_wrong_checkpoint_lists_the_keys(stargan, tmp_path):
    state = stargan(**SMALL).component.state_dict()
    del state["main.1.bias"]
    state["main.99.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "w.ckpt")
    with pytest.raises(RegistryError) as e:
        stargan(weights="w.ckpt", **SMALL)
    said = (
        "bad.toml [generator.g]: w.ckpt does not fit StarGAN: missing main.1.bias; unexpected main.99.weight"
    )
    assert str(e.value) == said


def test_stargan_uses_instance_statistics_and_is_frozen(stargan):
    G = stargan(**SMALL)
    x, c = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), condition(2)
    before = G(x, c)
    G.component.train()
    assert torch.equal(G(x, c), before), "the mode changes nothing"
    assert not any(p.requires_grad for p in G.component.parameters())


# -- the network ----------------------------------------------------------------------------------------


def condition(count, values=(1.0, 0.0, 0.0, 1.0, 0.0)):
    values = torch.tensor([values]).expand(count, -1)
    return Condition(values, values > 0)


def test_stargan_output_and_condition(stargan):
    G = stargan(width=8, blocks=2)
    assert G.size == 64
    assert G.condition_names == ("Black_Hair", "Blond_Hair", "Brown_Hair", "Smiling", "Eyeglasses")
    x = torch.rand(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    y = G(x, condition(2))
    assert y.shape == x.shape
    assert 0 <= y.min() < y.max() <= 1
    assert not torch.allclose(y, G(x, condition(2, (0.0, 1.0, 0.0, 1.0, 0.0)))), "the condition matters"
    for side in (18, 22):
        with pytest.raises(Exception, match="multiples of 4"):
            G(torch.rand(1, 3, side, 16), condition(1))


def test_stargan_features(stargan):
    net = stargan(**SMALL).component
    x = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    maps = net.features(x, condition(2))
    shapes = [tuple(f.shape) for f in maps]
    assert len(shapes) == 3
    assert shapes[-1] == (2, 16, 4, 6)
    assert all(a[2] >= b[2] for a, b in itertools.pairwise(shapes)), "finest first"
    y = maps[-1]
    for layer in list(net.main)[-8:]:
        y = layer(y)
    assert torch.allclose((y + 1) / 2, net(x, condition(2)), atol=1e-6), "the last one is what is decoded"
    assert all((f >= 0).all() for f in maps[:-1]), "after the ReLU"
    leaf = x.clone().requires_grad_()
    sum(f.sum() for f in net.features(leaf, condition(2))).backward()
    assert leaf.grad.abs().max() > 0


# -- conditions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [PUBLIC, ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Smiling"), ("Smiling", "Eyeglasses")],
)
def test_stargan_draw_always_changes_something_sensible(stargan, attributes):
    G = stargan(attributes=attributes, **SMALL)
    batch = batch_of(attributes)
    source = torch.stack([batch.attributes[name] for name in attributes], 1)
    c = G.draw(batch, rng_of(batch))
    hair = torch.tensor([name in HAIR for name in attributes])
    assert set(c.values.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(c.changed, c.values != source)
    assert c.changed.any(1).all()
    assert (c.values[:, hair].sum(1) <= 1).all(), "hair colours exclude each other"
    edits_hair = c.changed[:, hair].any(1)
    assert (c.values[edits_hair][:, hair].sum(1) == 1).all(), "another colour, not none"
    others = c.changed[:, ~hair].sum(1)
    assert torch.equal(others, (~edits_hair).long()), "one edit at a time"
    # Every entry that would change something is equally likely: a present hair colour would not.
    possible = (~(hair & (source > 0.5))).float()
    chosen = torch.where(hair, c.changed & (c.values > 0.5), c.changed).float()
    expected = (possible / possible.sum(1, keepdim=True)).mean(0)
    assert ((chosen.mean(0) - expected).abs() < 0.12).all(), "each edit equally likely"


def test_stargan_draw_is_per_image_and_per_seed(stargan):
    G = stargan(**SMALL)
    batch = batch_of(G.condition_names, 20)
    c = G.draw(batch, rng_of(batch))
    part = Batch(batch.images[5:7], batch.ids[5:7], {k: v[5:7] for k, v in batch.attributes.items()})
    assert torch.equal(G.draw(part, rng_of(part)).values, c.values[5:7])
    assert not torch.equal(G.draw(batch, rng_of(batch, 1)).values, c.values)


def test_stargan_draw_needs_its_attributes(stargan):
    G = stargan(**SMALL)
    batch = batch_of(("Smiling", "Black_Hair", "Blond_Hair"), 2)
    with pytest.raises(
        Exception, match="StarGAN needs the attributes Brown_Hair, Eyeglasses, the dataset lacks"
    ):
        G.draw(batch, rng_of(batch))


REGIONS = {
    "Black_Hair": "hair",
    "Blond_Hair": "hair",
    "Brown_Hair": "hair",
    "Gray_Hair": "hair",
    "Bangs": "hair skin",
    "Bald": "hair skin",
    "Smiling": "mouth",
    "Mouth_Slightly_Open": "mouth",
    "Mustache": "mouth skin",
    "No_Beard": "mouth skin",
    "Eyeglasses": "eyes brows glasses",
    "Wearing_Hat": "hat hair",
    "Pale_Skin": "skin nose mouth eyes brows ears neck",
    "Young": "skin nose mouth eyes brows ears neck hair",
    "Male": "skin brows eyes nose mouth hair neck",
    "Unheard_Of": " ".join(PARTS),
}


def test_stargan_edited_regions(stargan):
    G = stargan(attributes=tuple(REGIONS), **SMALL)
    n = len(REGIONS)
    edited = G.edited(Condition(torch.zeros(n, n), torch.eye(n, dtype=torch.bool)))
    for row, (name, parts) in zip(edited, REGIONS.items(), strict=True):
        assert {PARTS[i] for i in row.nonzero().flatten().tolist()} == set(parts.split()), name
    both = torch.zeros(1, n, dtype=torch.bool)
    both[0, [0, 6]] = True
    assert torch.equal(G.edited(Condition(both.float(), both))[0], edited[0] | edited[6]), "a union"
    nothing = Condition(torch.ones(1, n), torch.zeros(1, n, dtype=torch.bool))
    assert not G.edited(nothing).any(), "`changed` counts, not the values"
