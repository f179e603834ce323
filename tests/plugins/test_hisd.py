"""HiSD: the published layout in its wrapped files, styles that are drawn or another picture's, conditions."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from magdr_core.components.condition import CodedCondition
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from tests.plugins.layouts import condition, disturbed, faces, invented, pictures, rng_of, table

NAMES = (
    *("Bangs_with", "Bangs_without", "Eyeglasses_with", "Eyeglasses_without"),
    *("HairColor_black", "HairColor_blond", "HairColor_brown"),
)
TAGS = (2, 2, 3)
SMALL = {"width": 4, "layers": 1, "extractor": (4, 8), "style": 8, "noise": 4, "size": 16}
EXTRACTORS = {256: (32, 64, 128, 256, 512, 512, 512), 128: (64, 128, 256, 512, 1024, 2048)}
PUBLISHED = {256: (263, 19_043_939), 128: (258, 48_245_891)}


@pytest.fixture
def hisd(toolkit_from):
    def make(**params):
        return toolkit_from(table("generator", "hisd", **{"weights": "random", **params})).generator("g")

    return make


def published(extractor=EXTRACTORS[256], width=64, layers=7, style=256, noise=32):
    """State-dict keys and shapes of the public generator."""
    keys = {}

    def conv(name, before, after, side, bias=True):
        keys[f"{name}.weight"] = (after, before, side, side)
        if bias:
            keys[f"{name}.bias"] = (after,)

    def linear(name, before, after):
        keys[f"{name}.weight"], keys[f"{name}.bias"] = (after, before), (after,)

    def block(name, before, middle, after, norms=()):
        conv(f"{name}.conv1", before, middle, 3)
        conv(f"{name}.conv2", middle, after, 3)
        conv(f"{name}.sc", before, after, 1, bias=False)
        for i, channels in enumerate(norms, 1):
            keys[f"{name}.in{i}.weight"] = keys[f"{name}.in{i}.bias"] = (1, channels, 1)

    features = 4 * width
    conv("encoder.0", 3, width, 1)
    for i in (0, 1):
        before = width * 2**i
        block(f"encoder.{i + 1}", before, before, 2 * before, (before, before))
        before = features // 2**i
        block(f"decoder.{i}", before, before // 2, before // 2, (before, before // 2))
    conv("decoder.2", width, 3, 1)
    conv("extractors.model.0", 3, extractor[0], 1)
    for i in range(1, len(extractor)):
        block(f"extractors.model.{i}", extractor[i - 1], extractor[i - 1], extractor[i])
    conv(f"extractors.model.{len(extractor) + 1}", extractor[-1], 3 * style, 1)
    for t, attributes in enumerate(TAGS):
        conv(f"translators.{t}.model.0", features, width, 1)
        for i in range(1, layers + 1):
            block(f"translators.{t}.model.{i}", width, width, width)
        linear(f"translators.{t}.style_to_params", style, layers * 4 * width)
        conv(f"translators.{t}.features.0", width, features, 1)
        conv(f"translators.{t}.masks.0", width, features, 1)
        linear(f"mappers.{t}.pre_model.0", noise, style)
        for i in (1, 2):
            linear(f"mappers.{t}.pre_model.{i}.linear", style, style)
        for j in range(attributes):
            for i in (0, 1):
                linear(f"mappers.{t}.post_models.{j}.{i}.linear", style, style)
            linear(f"mappers.{t}.post_models.{j}.2", style, style)
    return keys


# -- the published arithmetic, from a state dict ------------------------------------------------------------


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def pooled(x):
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def normed(x, weight, bias):
    mean, std = x.flatten(2).mean(-1), x.flatten(2).std(-1)  # of n - 1
    y = (x - mean[..., None, None]) / (std[..., None, None] + 1e-5)
    return y * weight.reshape(-1, x.shape[1], 1, 1) + bias.reshape(-1, x.shape[1], 1, 1)


def conv(state, name, x, padding=0):
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), padding=padding)


def instance(state, name, x):
    return normed(x, state[f"{name}.weight"], state[f"{name}.bias"])


def down(state, name, x, norms=True):
    y = instance(state, f"{name}.in1", x) if norms else x
    y = pooled(conv(state, f"{name}.conv1", leaky(y), 1))
    y = instance(state, f"{name}.in2", y) if norms else y
    y = conv(state, f"{name}.conv2", leaky(y), 1)
    return (pooled(conv(state, f"{name}.sc", x)) + y) / math.sqrt(2)


def up(state, name, x):
    y = doubled(leaky(instance(state, f"{name}.in1", x)))
    y = instance(state, f"{name}.in2", conv(state, f"{name}.conv1", y, 1))
    y = conv(state, f"{name}.conv2", leaky(y), 1)
    return (doubled(conv(state, f"{name}.sc", x)) + y) / math.sqrt(2)


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def mapped(state, z, t, j):
    y = linear(state, f"mappers.{t}.pre_model.0", z)
    for name in (
        *(f"mappers.{t}.pre_model.{i}.linear" for i in (1, 2)),
        *(f"mappers.{t}.post_models.{j}.{i}.linear" for i in (0, 1)),
    ):
        y = linear(state, name, torch.relu(y))
    return linear(state, f"mappers.{t}.post_models.{j}.2", y)


def translated(state, e, s, t):
    params = linear(state, f"translators.{t}.style_to_params", s)
    y, at = conv(state, f"translators.{t}.model.0", e), 0
    for i in range(1, 8):
        name, x = f"translators.{t}.model.{i}", y
        for half in ("conv1", "conv2"):
            n = y.shape[1]
            bias, weight = params[:, at : at + n], params[:, at + n : at + 2 * n] + 1
            y, at = conv(state, f"{name}.{half}", leaky(normed(y, weight, bias)), 1), at + 2 * n
        y = (conv(state, f"{name}.sc", x) + y) / math.sqrt(2)
    assert at == params.shape[1]
    mask = torch.sigmoid(conv(state, f"translators.{t}.masks.0", y))
    return conv(state, f"translators.{t}.features.0", y) * mask + e * (1 - mask)


def encoded(state, x):
    y = conv(state, "encoder.0", 2 * x - 1)
    return down(state, "encoder.2", down(state, "encoder.1", y))


def decoded(state, e):
    y = up(state, "decoder.1", up(state, "decoder.0", e))
    return ((conv(state, "decoder.2", y) + 1) / 2).clamp(0, 1)


def extracted(state, x, blocks=6):
    y = conv(state, "extractors.model.0", 2 * x - 1)
    for i in range(1, blocks + 1):
        y = down(state, f"extractors.model.{i}", y, norms=False)
    y = conv(state, f"extractors.model.{blocks + 2}", y.mean((2, 3), keepdim=True))
    return y.reshape(len(x), 3, -1)


# -- weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [256, 128])
def test_hisd_published_keys_and_shapes(hisd, size):
    net = hisd(size=size, extractor=EXTRACTORS[size]).component
    keys = published(EXTRACTORS[size])
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == keys
    assert (len(keys), sum(p.numel() for p in net.parameters())) == PUBLISHED[size]
    assert net.condition_names == NAMES


def test_hisd_public_checkpoint_agrees_with_the_reference(hisd, tmp_path):
    """Of the two networks in a file the moving average counts."""
    state = invented(published())
    other = {k: torch.zeros_like(v) for k, v in state.items()}
    torch.save({"gen": other, "gen_test": state}, tmp_path / "checkpoint_256_celeba-hq.pt")
    G = hisd(weights="checkpoint_256_celeba-hq.pt")
    assert all(torch.equal(v, state[k]) for k, v in G.component.state_dict().items())
    x = pictures(3, 16, 24)
    e = encoded(state, x)
    rows = torch.eye(7)[[1, 2, 6]]
    drawn = torch.randn(3, 32, generator=torch.Generator().manual_seed(3))
    styles = G.component.mapped(drawn, rows.bool())
    expected = []
    for i, (t, j) in enumerate([(0, 1), (1, 0), (2, 2)]):
        s = mapped(state, drawn[i : i + 1], t, j)
        torch.testing.assert_close(styles[i : i + 1, t], s, atol=1e-5, rtol=1e-5)
        expected.append(decoded(state, translated(state, e[i : i + 1], s, t)))
    expected = torch.cat(expected)
    c = CodedCondition(rows, rows.bool(), code=styles)
    assert (expected - decoded(state, e)).abs().mean() > 0.02, "it is an edit"
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.5
    torch.testing.assert_close(G(x, c), expected, atol=1e-5, rtol=0)
    source = pictures(3, 64, 64, seed=5)
    from_picture = G.with_source(c, source)
    torch.testing.assert_close(from_picture.code, extracted(state, source), atol=1e-5, rtol=1e-5)


def test_hisd_edits_are_chained_and_nothing_asked_changes_no_feature(hisd):
    G = hisd(**SMALL).component
    x = pictures(2, 16, 16)
    both = condition([[1, 0, 0, 0, 0, 1, 0]] * 2, [[True] * 7] * 2)
    first = condition([[1, 0, 0, 0, 0, 0, 0]] * 2, [[True] * 7] * 2)
    second = condition([[0, 0, 0, 0, 0, 1, 0]] * 2, [[True] * 7] * 2)
    nothing = condition([[0] * 7] * 2, [[True] * 7] * 2)
    unchanged = condition([[1, 0, 0, 0, 0, 1, 0]] * 2, [[False] * 7] * 2)
    assert torch.equal(G(x, nothing), G(x, unchanged))
    made = [G(x, c) for c in (both, first, second, nothing)]
    for i, one in enumerate(made):
        assert all(not torch.equal(one, other) for other in made[i + 1 :])
    mixed = type(both)(torch.stack([first.values[0], nothing.values[0]]), torch.ones(2, 7, dtype=torch.bool))
    assert torch.equal(G(x, mixed), torch.stack([made[1][0], made[3][1]])), "each picture its own"


def test_hisd_other_files_are_refused_in_one_line(hisd, tmp_path):
    torch.save({"gen": hisd(**SMALL).component.state_dict()}, tmp_path / "w.pt")
    assert hisd(weights="w.pt", **SMALL)
    with pytest.raises(RegistryError) as e:
        hisd(weights="w.pt", **(SMALL | {"extractor": (8, 8, 8), "width": 8}))
    assert str(e.value).endswith(". The file was made with width = 4; extractor = [4, 8]")
    assert "\n" not in str(e.value)
    with pytest.raises(RegistryError, match=r"tags of 2, 2, 3 attributes$"):
        hisd(weights="w.pt", **(SMALL | {"attributes": NAMES[:4]}))
    torch.save({"dis": {}, "opt": {}}, tmp_path / "w.pt")
    with pytest.raises(RegistryError, match=r"w\.pt does not hold a plain state dict, but dis; opt"):
        hisd(weights="w.pt", **SMALL)
    for names, said in (
        (("Bangs", "Bangs_with"), "names are TAG_ATTRIBUTE"),
        (("A_x", "B_x", "A_y"), "attributes of one tag must follow each other"),
        (("A_x", "A_x"), "'A_x' is listed twice"),
    ):
        with pytest.raises(RegistryError, match=said):
            hisd(attributes=names, **SMALL)


def test_hisd_gradients_of_flat_pictures_are_finite_and_the_mode_is_of_no_account(hisd):
    G = hisd(**SMALL)
    c = condition([[1, 0, 0, 0, 0, 0, 0]] * 3, [[1, 0, 0, 0, 0, 0, 0]] * 3)
    x = pictures(3, 16, 16)
    x[2] = 0.5
    gradient = disturbed(G, x, c)
    assert gradient.isfinite().all()
    assert gradient[:2].flatten(1).abs().amax(1).min() > 0
    before = G(x, c)
    G.component.train()
    assert torch.equal(G(x, c), before)


# -- conditions ---------------------------------------------------------------------------------------------


def test_hisd_draw_gives_each_picture_a_style_of_its_own(hisd):
    G = hisd(**SMALL)
    batch = faces(("Bangs", "Eyeglasses", "Black_Hair", "Blond_Hair", "Brown_Hair"), 300)
    c = G.draw(batch, rng_of(batch))
    assert isinstance(c, CodedCondition)
    assert (c.changed.sum(1) == 1).all()
    shown = {"Bangs_with": ("Bangs", 1), "Bangs_without": ("Bangs", 0), "HairColor_blond": ("Blond_Hair", 1)}
    for name, (attribute, value) in shown.items():
        asked = c.changed[:, NAMES.index(name)]
        assert asked.any()
        assert (batch.attributes[attribute][asked] != value).all(), "nothing is asked for that is there"
    assert c.code.unique(dim=0).shape[0] == 300
    part = batch[[5, 6]]
    again = G.draw(part, rng_of(part))
    assert torch.equal(again.code, c.code[5:7])
    assert not again.differs(c[5:7]).any()
    assert not torch.equal(G.draw(batch, rng_of(batch, 1)).code, c.code)
    x = pictures(2, 16, 16)
    assert torch.equal(G(x, again), G(x, c[5:7])), "a function of picture and condition"


def test_hisd_regions_and_classes(hisd):
    G = hisd(**SMALL)
    c = condition([[1, 0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0, 0]], [[True] * 7] * 2)
    named = [{PARTS[i] for i in row.nonzero().flatten().tolist()} for row in G.edited(c)]
    assert named == [{"hair", "skin"}, {"eyes", "brows", "glasses"}]
    assert len(G.classes(c)) == 7
