"""GANimation: both published layouts, its two heads, and its conditions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from magdr_core.components.batch import Batch, Condition
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from magdr_core.runtime.samples import draw_samples

UNITS = "01 02 04 05 06 07 09 10 12 14 15 17 20 23 25 26 45"  # OpenFace's header
NAMES = tuple(f"AU{n}" for n in UNITS.split())
COLOUR, ATTENTION = "img_reg.0.weight", "attetion_reg.0.weight"
SMALL = {"width": 4, "blocks": 1}


def published(width=64):
    """State-dict keys and shapes of the authors' generator (conv_dim 64, c_dim 17, repeat_num 6)."""
    w, w2, w4 = width, 2 * width, 4 * width
    keys = {
        "main.0.weight": (w, 20, 7, 7),
        "main.3.weight": (w2, w, 4, 4),
        "main.6.weight": (w4, w2, 4, 4),
        "main.15.weight": (w4, w2, 4, 4),
        "main.18.weight": (w2, w, 4, 4),
        COLOUR: (3, w, 7, 7),
        ATTENTION: (1, w, 7, 7),
    }
    norms = {"main.1": w, "main.4": w2, "main.7": w4, "main.16": w2, "main.19": w}
    for i in range(9, 15):
        keys |= {f"main.{i}.main.0.weight": (w4, w4, 3, 3), f"main.{i}.main.3.weight": (w4, w4, 3, 3)}
        norms |= {f"main.{i}.main.1": w4, f"main.{i}.main.4": w4}
    for name, width in norms.items():
        keys |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return keys, norms


def random_state(width=64):
    """Published keys, with weights of the published initialisation (N(0, .02)) and all sorts of norms."""
    g = torch.Generator().manual_seed(0)
    keys, _ = published(width)
    return {
        k: torch.randn(shape, generator=g) * (0.02 if len(shape) == 4 else 0.3) + (len(shape) == 1) * 0.5
        for k, shape in keys.items()
    }


def with_statistics(state):
    """The keys that instance norms with `track_running_stats` add."""
    stale = {}
    for name in published()[1]:
        stale |= dict.fromkeys((f"{name}.running_mean", f"{name}.running_var"), state[f"{name}.bias"] + 2)
        stale[f"{name}.num_batches_tracked"] = torch.tensor(7)
    return state | stale


def vipermu(state):
    """The copy's state dict: its names of the heads, and the first 3, 9, 15, 21 layers once more."""
    renamed = {COLOUR: "im_reg.0.weight", ATTENTION: "im_att.0.weight"}
    result = {renamed.get(k, k): v for k, v in with_statistics(state).items()}
    for i, layers in enumerate((3, 9, 15, 21)):
        for key in [k for k in result if k.startswith("main.") and int(k.split(".")[1]) < layers]:
            result[f"debug{i + 1}.{key.removeprefix('main.')}"] = result[key].clone()
    return result


def reference(state, x, c):
    """The forward pass written from the published description, without modules. (colour, attention, output),
    all in [-1,1] but for the attention."""

    def norm(y, name):
        mean = y.mean((2, 3), keepdim=True)
        var = y.var((2, 3), keepdim=True, correction=0)
        scale, shift = state[f"{name}.weight"], state[f"{name}.bias"]
        return (y - mean) / (var + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]

    planes = torch.stack([torch.stack([v.expand(x.shape[2:]) for v in row]) for row in c])
    y = F.conv2d(torch.cat((x, planes), 1), state["main.0.weight"], padding=3)
    y = norm(y, "main.1").relu()
    for i in (3, 6):
        y = norm(F.conv2d(y, state[f"main.{i}.weight"], stride=2, padding=1), f"main.{i + 1}").relu()
    for i in range(9, 15):
        z = norm(F.conv2d(y, state[f"main.{i}.main.0.weight"], padding=1), f"main.{i}.main.1").relu()
        y = y + norm(F.conv2d(z, state[f"main.{i}.main.3.weight"], padding=1), f"main.{i}.main.4")
    for i in (15, 18):
        y = F.conv_transpose2d(y, state[f"main.{i}.weight"], stride=2, padding=1)
        y = norm(y, f"main.{i + 1}").relu()
    colour = F.conv2d(y, state[COLOUR], padding=3).tanh()
    attention = F.conv2d(y, state[ATTENTION], padding=3).sigmoid()
    return colour, attention, attention * x + (1 - attention) * colour


@pytest.fixture
def ganimation(toolkit_from):
    """`ganimation(**params)`: a guarded generator, random weights unless said otherwise."""

    def make(**params):
        params = {"weights": "random", **params}
        text = "\n".join(f"{k} = {v!r}".replace("'", '"').replace("True", "true") for k, v in params.items())
        return toolkit_from(f'[generator.g]\nuse = "ganimation"\n[generator.g.params]\n{text}').generator("g")

    return make


def pictures(count=2, height=16, width=24):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def condition(count=2, seed=0):
    values = torch.rand(count, 17, generator=torch.Generator().manual_seed(seed))
    return Condition(values, values > 0)


# -- published checkpoints ------------------------------------------------------------------------------

FULL = {"width": 64, "blocks": 6, "size": 128}


def test_ganimation_published_keys_and_shapes(ganimation):
    net = ganimation(**FULL).component
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == published()[0]
    assert sum(v.numel() for v in net.state_dict().values()) == 8_471_296


@pytest.mark.parametrize(
    ("variant", "keys"), [("authors", 53), ("authors 0.3.1", 87), ("several cards", 53), ("vipermu", 320)]
)
def test_ganimation_published_checkpoint_equals_the_reference(ganimation, tmp_path, variant, keys):
    state = random_state()
    stored = {
        "authors": state,
        "authors 0.3.1": with_statistics(state),
        "several cards": {f"module.{key}": value for key, value in state.items()},
        "vipermu": vipermu(state),
    }[variant]
    if variant == "authors 0.3.1":  # that torch did not count batches
        stored = {k: v for k, v in stored.items() if not k.endswith("num_batches_tracked")}
    assert len(stored) == keys
    torch.save(stored, tmp_path / "net.pth")
    G = ganimation(weights="net.pth", **FULL)
    x, c = pictures(), condition()
    with torch.no_grad():
        colour, attention, output = reference(state, 2 * x - 1, c.values)
        assert attention.std() > 0.05, "a mask worth comparing"
        torch.testing.assert_close(2 * G(x, c) - 1, output, atol=1e-5, rtol=0)
        ours = G.component.features(x, c)[-2:]
    torch.testing.assert_close(2 * ours[0] - 1, colour, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1], attention, atol=1e-5, rtol=0)


def test_ganimation_debug_keys_that_are_no_copies_are_refused(ganimation, tmp_path):
    state = vipermu(random_state(width=4))
    counts = [sum(k.startswith(f"debug{i}.") for k in state) for i in range(1, 5)]
    assert counts == [6, 18, 90, 102]
    torch.save(state, tmp_path / "net.pth")
    ganimation(weights="net.pth", width=4, blocks=6)
    state["debug2.3.weight"] += 1
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(RegistryError) as e:
        ganimation(weights="net.pth", width=4, blocks=6)
    assert str(e.value) == (
        "bad.toml [generator.g]: net.pth: debug2.3.weight differs from main.3.weight, "
        "of which it should be a copy"
    )


def test_ganimation_unknown_keys_are_listed(ganimation, tmp_path):
    state = ganimation(**SMALL).component.state_dict()
    state["im_reg.0.weight"] = state[COLOUR]  # both names at once
    state["debug1.77.weight"] = torch.zeros(1)
    state["attention_reg.0.weight"] = state.pop(ATTENTION)  # spelt as nobody does
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(RegistryError) as e:
        ganimation(weights="w.pth", **SMALL)
    assert str(e.value) == (
        "bad.toml [generator.g]: w.pth does not fit GANimation: missing attetion_reg.0.weight; unexpected "
        "im_reg.0.weight; unexpected debug1.77.weight; unexpected attention_reg.0.weight"
    )


def test_ganimation_wrong_width_is_listed(ganimation, tmp_path):
    torch.save(random_state(width=8), tmp_path / "w.pth")
    with pytest.raises(
        RegistryError, match=r"main.0.weight is \(8, 20, 7, 7\), expected \(4, 20, 7, 7\)"
    ) as e:
        ganimation(weights="w.pth", width=4, blocks=6)
    assert "The file was made with width = 8" in str(e.value)


# -- the network ----------------------------------------------------------------------------------------


def set_head(G, name, bias):
    """A head that says the same everywhere: no weights, a constant in its place."""
    head = getattr(G.component, name)
    head[0].weight.data.zero_()
    head[0].register_forward_hook(lambda module, args, output: output + bias)


def test_ganimation_attention_of_one_copies_the_input(ganimation):
    G, x = ganimation(**SMALL), pictures()
    set_head(G, "attetion_reg", 50.0)
    assert torch.equal(G(x, condition()), x)


def test_ganimation_attention_of_zero_shows_the_colour_image(ganimation):
    G, x = ganimation(**SMALL), pictures()
    set_head(G, "attetion_reg", -50.0)
    colour = G.component.features(x, condition())[-2]
    assert colour.std() > 0.01
    torch.testing.assert_close(G(x, condition()), colour)


@pytest.mark.parametrize("mask", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_ganimation_saturation_is_the_authors_and_off_by_default(ganimation, mask):
    logit = torch.tensor(mask).logit(1e-6).item()
    expected = min(max(0.55 * float(torch.tensor(3 * (mask - 0.5)).tanh()) + 0.5, 0.0), 1.0)
    for saturate, value in ((True, expected), (False, mask)):
        G = ganimation(**SMALL, **({"saturate": True} if saturate else {}))
        set_head(G, "attetion_reg", logit)
        attention = G.component.features(pictures(), condition())[-1]
        torch.testing.assert_close(attention, torch.full_like(attention, value), atol=1e-5, rtol=0)


def test_ganimation_features(ganimation):
    net = ganimation(**SMALL).component
    x = pictures()
    maps = net.features(x, condition())
    assert [tuple(f.shape) for f in maps] == [
        (2, 4, 16, 24),
        (2, 8, 8, 12),
        (2, 16, 4, 6),
        (2, 3, 16, 24),
        (2, 1, 16, 24),
    ]
    colour, attention = maps[-2:]
    assert 0 <= colour.min() < colour.max() <= 1
    torch.testing.assert_close(attention * x + (1 - attention) * colour, net(x, condition()))
    leaf = x.clone().requires_grad_()
    sum(f.sum() for f in net.features(leaf, condition())).backward()
    assert leaf.grad.abs().max() > 0


def test_ganimation_condition_size_and_sides(ganimation):
    G = ganimation(**SMALL)
    assert G.size == 64
    assert G.condition_names == NAMES
    x = pictures(height=20, width=28)
    y = G(x, condition())
    assert y.shape == x.shape
    assert not torch.allclose(y, G(x, condition(seed=1))), "the condition matters"
    with pytest.raises(Exception, match="multiples of 4"):
        G(pictures(height=18), condition())


def test_ganimation_uses_instance_statistics_and_is_frozen(ganimation):
    G, x = ganimation(**SMALL), pictures()
    before = G(x, condition())
    G.component.train()
    assert torch.equal(G(x, condition()), before), "the mode changes nothing"
    torch.testing.assert_close(G(x[1:], condition()[1:]), before[1:])
    assert not any(p.requires_grad for p in G.component.parameters())


# -- conditions -----------------------------------------------------------------------------------------

PARTS_OF = {"brows skin": NAMES[:3], "eyes skin": (*NAMES[3:6], NAMES[16]), "nose skin": NAMES[6:7]}
PARTS_OF["mouth skin"] = NAMES[7:16]


def test_ganimation_edited_regions(ganimation):
    G = ganimation(**SMALL)
    edited = G.edited(Condition(torch.zeros(17, 17), torch.eye(17, dtype=torch.bool)))
    expected = {name: set(parts.split()) for parts, names in PARTS_OF.items() for name in names}
    for row, name in zip(edited, NAMES, strict=True):
        assert {PARTS[i] for i in row.nonzero().flatten().tolist()} == expected[name], name
    both = torch.zeros(1, 17, dtype=torch.bool)
    both[0, [0, 8]] = True
    assert torch.equal(G.edited(Condition(both.float(), both))[0], edited[0] | edited[8]), "a union"
    nothing = Condition(torch.ones(1, 17), torch.zeros(1, 17, dtype=torch.bool))
    assert not G.edited(nothing).any(), "`changed` counts, not the values"


def faces(count=300, known=True):
    """Faces with all sorts of expressions, extreme ones included."""
    g = torch.Generator().manual_seed(0)
    units = torch.rand(count, 17, generator=g) * (torch.rand(count, 1, generator=g) * 1.5).clamp(max=1.0)
    units[: count // 3] = (units[: count // 3] > 0.3).float()
    ids = tuple(f"face-{i}" for i in range(count))
    return Batch(torch.zeros(count, 3, 8, 8), ids, action_units=units if known else None)


def rng_of(batch, seed=0):
    return SampleRng(seed, "conditions", batch.ids)


@pytest.mark.parametrize("known", [True, False])
def test_ganimation_draw_always_moves_the_mouth_visibly(ganimation, known):
    G, batch = ganimation(**SMALL), faces(known=known)
    c = G.draw(batch, rng_of(batch))
    source = batch.action_units if known else torch.zeros(300, 17)
    assert c.values.min() >= 0
    assert c.values.max() <= 1
    mouth = slice(6, 16)
    assert ((c.values - source)[:, mouth].abs().amax(1) > 0.3).all()
    assert torch.equal(c.changed, (c.values - source).abs() > 0.05)
    for units in ([0, 1, 2], [3, 4, 5, 16]):  # brows, eyes: they join in for about half of the faces
        moved = c.changed[:, units].any(1).float().mean()
        assert 0.35 < moved < 0.65
        kept = ~c.changed[:, units].any(1)
        assert (c.values - source)[kept][:, units].abs().max() <= 0.05
    patterns = {tuple((row > 0.25).tolist()) for row in c.values[:, mouth]}
    assert len(patterns) > 6, "many expressions"


def test_ganimation_draw_is_per_image_and_per_seed(ganimation):
    G, batch = ganimation(**SMALL), faces(20)
    c = G.draw(batch, rng_of(batch))
    part = Batch(batch.images[5:7], batch.ids[5:7], action_units=batch.action_units[5:7])
    again = G.draw(part, rng_of(part))
    assert torch.equal(again.values, c.values[5:7])
    assert torch.equal(again.changed, c.changed[5:7])
    assert not torch.equal(G.draw(batch, rng_of(batch, 1)).values, c.values)


def test_ganimation_draw_takes_seventeen_units(ganimation):
    batch = faces(2)
    short = Batch(batch.images, batch.ids, action_units=batch.action_units[:, :16])
    with pytest.raises(Exception, match="GANimation takes 17 action units, the dataset has 16"):
        ganimation(**SMALL).draw(short, rng_of(short))


# -- the shipped weights --------------------------------------------------------------------------------


@pytest.fixture
def scenes(toolkit_from):
    """16 test faces with another expression each, and exactly how they look with it."""
    table = '[dataset.faces]\nuse = "procedural-faces"\n[generator.g]\nuse = "ganimation"'
    toolkit = toolkit_from(table)
    split, G = toolkit.build("dataset", "faces").split("test"), toolkit.generator("g")
    indices = list(range(500, 516))
    samples = draw_samples(split, G, first=500, count=16, seed=0)[0]
    return toolkit, G, samples, split.reenacted(indices, samples.conditions.values)


def test_shipped_ganimation_moves_the_face_and_keeps_the_rest(scenes):
    _, G, samples, target = scenes
    x = samples.images
    with torch.no_grad():
        y = G(x, samples.conditions)
    changed = ((target - x).abs().amax(1, keepdim=True) > 0.05).float()
    made, copied = ((y - target).square() * changed).sum(), ((x - target).square() * changed).sum()
    assert made / copied < 0.35, "a network that copies its input has 1"
    assert -10 * (y - target).square().mean().log10() > 28


def test_shipped_ganimation_is_disrupted_where_it_moves_but_not_by_noise(scenes):
    toolkit, G, samples, target = scenes
    few, moved = samples[:6], (target[:6] - samples.images[:6]).abs().amax(1, keepdim=True) > 0.05
    pgd = toolkit.sibling("attack", "pgd", eps=6 / 255, steps=12)
    noise = toolkit.sibling("attack", "noise", eps=6 / 255)
    objective = build_objective("untargeted", G, few.images, few.conditions)
    caused = {}
    for name, attack in (("pgd", pgd), ("noise", noise)):
        attacked = attack(few.images, objective, rng=toolkit.rng("test", few.ids))
        with torch.no_grad():
            error = 4 * (G(attacked, few.conditions) - objective.reference).square()
        caused[name] = float(error[moved.expand_as(error)].mean())
    assert caused["pgd"] > 0.003
    assert caused["pgd"] > 8 * caused["noise"]
