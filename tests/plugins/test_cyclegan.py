"""CycleGAN's generator: the published layout, its weights, and its lack of a condition."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from magdr_core.components.batch import Batch, Condition
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from magdr_core.guards.output_cache import OutputMemory

SMALL = {"width": 4, "blocks": 1}
PUBLISHED = {9: (48, 11_378_179), 6: (36, 7_837_699)}
"""Blocks: entries and parameters of a published state dict (`resnet_9blocks`, `resnet_6blocks`)."""


def published(blocks, dropout=False):
    """State-dict shapes of junyanz's generator (3 -> 3 channels, ngf 64, instance norm, so biases)."""
    first_up = 10 + blocks
    shapes = {
        "model.1": (64, 3, 7, 7),
        "model.4": (128, 64, 3, 3),
        "model.7": (256, 128, 3, 3),
        f"model.{first_up}": (256, 128, 3, 3),
        f"model.{first_up + 3}": (128, 64, 3, 3),
        f"model.{first_up + 7}": (3, 64, 7, 7),
    }
    for i in range(10, first_up):
        for j in (1, 6 if dropout else 5):
            shapes[f"model.{i}.conv_block.{j}"] = (256, 256, 3, 3)
    keys = {}
    for name, shape in shapes.items():
        upsamples = name in (f"model.{first_up}", f"model.{first_up + 3}")
        keys |= {f"{name}.weight": shape, f"{name}.bias": (shape[1] if upsamples else shape[0],)}
    return keys


def state_of(keys, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {k: 0.05 * torch.randn(shape, generator=g) for k, shape in keys.items()}


def normalised(x):
    """Zero mean, unit (biased) variance of each image's channels; epsilon 1e-5."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def mirrored(x, n):
    """The border of width `n` filled by reflection, the edge itself not repeated."""
    for dim in (2, 3):
        size = x.shape[dim]
        index = torch.tensor([abs(i) if i < size else 2 * (size - 1) - i for i in range(-n, size + n)])
        x = x.index_select(dim, index)
    return x


def reference(state, x, blocks, dropout=False):
    """The published forward pass, written from its description: `[B,3,H,W]` in [0,1]."""

    def conv(name, h, **how):
        return F.conv2d(h, state[f"{name}.weight"], state[f"{name}.bias"], **how)

    h = torch.relu(normalised(conv("model.1", mirrored(2 * x - 1, 3))))
    for name in ("model.4", "model.7"):
        h = torch.relu(normalised(conv(name, h, stride=2, padding=1)))
    for i in range(10, 10 + blocks):
        r = torch.relu(normalised(conv(f"model.{i}.conv_block.1", mirrored(h, 1))))
        h = h + normalised(conv(f"model.{i}.conv_block.{6 if dropout else 5}", mirrored(r, 1)))
    for i in (10 + blocks, 13 + blocks):
        weight, bias = state[f"model.{i}.weight"], state[f"model.{i}.bias"]
        h = F.conv_transpose2d(h, weight, bias, stride=2, padding=1, output_padding=1)
        h = torch.relu(normalised(h))
    return (torch.tanh(conv(f"model.{17 + blocks}", mirrored(h, 3))) + 1) / 2


@pytest.fixture
def cyclegan(toolkit_from):
    """`cyclegan(**params)`: a guarded generator, random weights unless said otherwise."""

    def make(**params):
        params = {"weights": "random", **params}
        text = "\n".join(f"{k} = {v!r}".replace("'", '"').replace("True", "true") for k, v in params.items())
        return toolkit_from(f'[generator.g]\nuse = "cyclegan"\n[generator.g.params]\n{text}').generator("g")

    return make


def pictures(count=2, height=16, width=24):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def empty(count):
    return Condition(torch.zeros(count, 0), torch.zeros(count, 0, dtype=torch.bool))


# -- weights --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "dropout"), [(9, False), (6, False), (6, True)])
def test_cyclegan_loads_a_published_checkpoint_and_computes_what_it_describes(
    cyclegan, tmp_path, blocks, dropout
):
    keys = published(blocks, dropout)
    state = state_of(keys)
    assert (len(state), sum(v.numel() for v in state.values())) == PUBLISHED[blocks]
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    params = {"dropout": True} if dropout else {}
    G = cyclegan(weights="latest_net_G_A.pth", width=64, blocks=blocks, size=256, **params)
    own = G.component.state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == keys
    assert all(torch.equal(v, state[k]) for k, v in own.items())
    x = pictures(2, 24, 32)
    with torch.no_grad():
        y = G(x, empty(2))
    torch.testing.assert_close(y, reference(state, x, blocks, dropout), atol=1e-5, rtol=0)
    assert y.std() > 0.05, "not a constant picture"


def test_cyclegan_old_checkpoint_loads_without_its_stale_keys(cyclegan, tmp_path):
    state = state_of(published(9))
    stale = {}
    for name, width in {"model.2": 64, "model.5": 128, "model.10.conv_block.2": 256}.items():
        stale |= {f"{name}.running_mean": torch.ones(width), f"{name}.running_var": torch.ones(width)}
        stale[f"{name}.num_batches_tracked"] = torch.tensor(7)
    torch.save(state | stale, tmp_path / "old.pth")
    net = cyclegan(weights="old.pth", width=64, blocks=9).component
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_cyclegan_wrong_checkpoint_lists_the_keys(cyclegan, tmp_path):
    state = cyclegan(**SMALL).component.state_dict()
    del state["model.1.bias"]
    state["model.2.weight"] = torch.zeros(4)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(RegistryError) as e:
        cyclegan(weights="w.pth", **SMALL)
    said = (
        "bad.toml [generator.g]: w.pth does not fit CycleGAN: missing model.1.bias; unexpected model.2.weight"
    )
    assert str(e.value) == said


def test_cyclegan_weights_trained_with_dropout_need_that_to_be_said(cyclegan, tmp_path):
    torch.save(cyclegan(dropout=True, **SMALL).component.state_dict(), tmp_path / "w.pth")
    with pytest.raises(RegistryError, match=r"unexpected model\.10\.conv_block\.6\.weight") as e:
        cyclegan(weights="w.pth", **SMALL)
    assert str(e.value).endswith("The file was made with dropout = true")
    torch.save(cyclegan(**SMALL).component.state_dict(), tmp_path / "w.pth")
    with pytest.raises(RegistryError, match=r"made with width = 4, blocks = 1, dropout = false$"):
        cyclegan(weights="w.pth", width=8, blocks=2, dropout=True)


@pytest.mark.parametrize("dropout", [False, True])
def test_cyclegan_uses_instance_statistics_and_is_frozen(cyclegan, dropout):
    G = cyclegan(dropout=True, **SMALL) if dropout else cyclegan(**SMALL)
    x = pictures(3)
    before = G(x, empty(3))
    assert torch.allclose(before[1:2], G(x[1:2], empty(1)), atol=1e-6), "an image does not see its batch"
    G.component.train()
    assert torch.equal(G(x, empty(3)), before), "the mode changes nothing"
    assert not any(p.requires_grad for p in G.component.parameters())


# -- the network ----------------------------------------------------------------------------------------


def test_cyclegan_sides(cyclegan):
    G = cyclegan(**SMALL)
    assert G.size == 64
    for side in (8, 20):
        y = G(pictures(1, side, 28), empty(1))
        assert y.shape == (1, 3, side, 28)
        assert 0 <= y.min() < y.max() <= 1
    for side in (4, 18):
        with pytest.raises(Exception, match="multiples of 4 from 8 on"):
            G(pictures(1, side, 16), empty(1))


def test_cyclegan_features(cyclegan):
    net = cyclegan(**SMALL).component
    x = pictures()
    maps = net.features(x, empty(2))
    assert [tuple(f.shape) for f in maps] == [(2, 4, 16, 24), (2, 8, 8, 12), (2, 16, 4, 6)]
    assert all(a.shape[2] > b.shape[2] for a, b in itertools.pairwise(maps)), "finest first"
    y = maps[-1]
    for layer in list(net.model)[-9:]:
        y = layer(y)
    assert torch.allclose((y + 1) / 2, net(x, empty(2)), atol=1e-6), "the last one is what is decoded"
    assert all((f >= 0).all() for f in maps[:-1]), "after the ReLU"
    leaf = x.clone().requires_grad_()
    sum(f.sum() for f in net.features(leaf, empty(2))).backward()
    assert leaf.grad.abs().max() > 0


# -- no condition ---------------------------------------------------------------------------------------


def test_cyclegan_draws_an_empty_condition_that_every_wrapper_takes(cyclegan):
    G = cyclegan(**SMALL)
    batch = Batch(pictures(3, 16, 16), ("a", "b", "c"))
    c = G.draw(batch, SampleRng(0, "conditions", batch.ids))
    assert c.values.shape == c.changed.shape == (3, 0)
    assert c.changed.dtype == torch.bool
    assert G.condition_names == ()
    assert len(c[1:]) == 2
    assert len(Condition.cat([c, c.repeat(2)])) == 9
    G.memory = OutputMemory(10**6)
    with torch.no_grad():
        first = G(batch.images, c)
        assert torch.equal(G(batch.images.flip(0), c), first.flip(0)), "remembered per image"


@pytest.mark.parametrize("kind", ["untargeted", "towards-input"])
def test_cyclegan_can_be_attacked_without_a_condition(cyclegan, toolkit_from, kind):
    G = cyclegan(width=8, blocks=1)
    x = (pictures(2, 16, 16) * 255).round() / 255
    c = empty(2)
    pgd = toolkit_from('[attack.pgd]\nparams = { eps = "8/255", steps = 5 }').build("attack", "pgd")
    objective = build_objective(kind, G, x, c)
    attacked = pgd(x, objective, rng=SampleRng(0, "attack", ["a", "b"]))
    assert (objective.evaluate(attacked)[0] > objective.evaluate(x)[0]).all()
    if kind == "towards-input":
        nearer = (G(attacked, c) - x).square().mean((1, 2, 3)) < (G(x, c) - x).square().mean((1, 2, 3))
        assert nearer.all(), "the output comes nearer to the input"


def test_cyclegan_edits_the_face(cyclegan):
    edited = cyclegan(**SMALL).edited(empty(2))
    kept = {"background", "neck", "cloth", "hair", "hat"}
    for row in edited:
        assert {part for part, inside in zip(PARTS, row.tolist(), strict=True) if not inside} == kept


# -- the shipped weights --------------------------------------------------------------------------------


@pytest.fixture
def frames(toolkit_from):
    """16 test frames of person A, and the exact pictures with B's face."""
    table = '[dataset.a]\nuse = "procedural-faces"\nparams = { identity = "A" }'
    split = toolkit_from(table).build("dataset", "a").split("test")
    indices = list(range(500, 516))
    return split[indices].images, split.replaced(indices)


def test_shipped_cyclegan_replaces_the_face_and_keeps_the_rest(cyclegan, frames):
    x, target = frames
    with torch.no_grad():
        y = cyclegan(weights="builtin:cyclegan-faces64")(x, empty(len(x)))
    changed = ((target - x).abs().amax(1, keepdim=True) > 0.05).float()
    made, copied = ((y - target).square() * changed).sum(), ((x - target).square() * changed).sum()
    assert made / copied < 0.1
    assert -10 * (y - target).square().mean().log10() > 25
    # A face that is B's already stays.
    with torch.no_grad():
        again = cyclegan(weights="builtin:cyclegan-faces64")(target, empty(len(x)))
    assert ((again - target).square() * changed).sum() / copied < 0.1


def test_shipped_cyclegan_can_be_kept_from_replacing_but_not_by_noise(cyclegan, frames, toolkit_from):
    x, _ = frames
    x, c = x[:6], empty(6)
    G = cyclegan(weights="builtin:cyclegan-faces64")
    tables = (
        '[attack.pgd]\nparams = { eps = "6/255", steps = 12 }\n[attack.noise]\nparams = { eps = "6/255" }'
    )
    toolkit = toolkit_from(tables)
    objective = build_objective("towards-input", G, x, c)
    to_input = {"clean": -objective.evaluate(x)[0].median()}
    for label in ("pgd", "noise"):
        attacked = toolkit.build("attack", label)(x, objective, rng=toolkit.rng("test", list("abcdef")))
        to_input[label] = -objective.evaluate(attacked)[0].median()
    assert to_input["pgd"] < 0.7 * to_input["clean"]
    assert to_input["noise"] > 0.9 * to_input["clean"]
