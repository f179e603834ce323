"""Criteria beyond pixels and SSIM: smoothed L-infinity, image gradients, deep features."""

from __future__ import annotations

import math

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError

NAMES = ["linf", "gradient", "deep", "deep-cosine", "generator-deep", "generator-cosine"]

# An encoder that can be computed by hand: the image itself, and its means over 4x4 pixels.
ENCODER = '''
"""A parser whose features are plain."""
import torch
from magdr_core.api import ParserSpec, hookimpl
from magdr_core.functional import PARTS

MAGDR_API = 1


class Plain:
    def features(self, x):
        return [x, torch.nn.functional.avg_pool2d(x, 4, ceil_mode=True)]

    def __call__(self, x):
        return torch.full((len(x), len(PARTS), *x.shape[2:]), 1 / len(PARTS))


class Blind:
    def __call__(self, x):
        return torch.full((len(x), len(PARTS), *x.shape[2:]), 1 / len(PARTS))


def plain():
    """Plain features."""
    return Plain()


def blind():
    """No features."""
    return Blind()


@hookimpl
def magdr_parsers():
    return [ParserSpec(name="plain", build=plain), ParserSpec(name="blind", build=blind)]
'''


@pytest.fixture
def kit(toolkit_from):
    return toolkit_from(
        '[parser.faces]\nuse = "unet"\n[generator.editing]\nuse = "stargan"\n'
        'params = { weights = "random", width = 4, blocks = 1, attributes = ["Smiling", "Male"] }\n'
    )


class Through:
    """A conditional criterion with one generator and the same condition for every image."""

    higher_is_better = False

    def __init__(self, metric, G):
        self.metric, self.G = metric, G

    def given(self, n):
        c = Condition(torch.tensor([[1.0, 0.0]]).repeat(n, 1), torch.tensor([[True, False]]).repeat(n, 1))
        return self.metric.given(c, self.G)

    def __call__(self, a, b, masks):
        return self.given(len(a))(a, b, masks)

    def distance(self, a, b, masks):
        return self.given(len(a)).distance(a, b, masks)


def criterion(kit, name):
    metric = kit.build("metric", name)
    return Through(metric, kit.generator("editing")) if metric.conditional else metric


@pytest.fixture
def plain(tmp_path, toolkit_from):
    """`plain(metric table)`: a toolkit whose parser has the features above."""
    (tmp_path / "enc.py").write_text(ENCODER, encoding="utf-8")

    def make(text="", parser="plain"):
        return toolkit_from(
            f'[plugins]\nlocal = {{ enc = "./enc.py" }}\n[parser.p]\nuse = "enc/{parser}"\n{text}'
        )

    return make


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(0)
    a = torch.rand(3, 3, 24, 24, generator=g)
    b = (a + 0.1 * torch.randn(a.shape, generator=g)).clamp(0, 1)
    masks = torch.rand(3, 4, 24, 24, generator=g).softmax(1)
    return a, b, masks


def whole(a):
    return torch.ones(len(a), 1, *a.shape[2:])


# -- values by hand -----------------------------------------------------------------------------------------


def test_linf_on_hand_computed_images(toolkit_from):
    metric = toolkit_from("[metric.m]\nuse = 'linf'\nparams = { power = 4 }\n").build("metric", "m")
    a = torch.zeros(1, 3, 2, 2)
    b = a.clone()
    b[0, 0] = torch.tensor([[0.1, 0.2], [0.0, 0.4]])
    b[0, 1] = torch.tensor([[0.3, 0.0], [0.0, 0.0]])  # the largest channel counts: .3 .2 0 .4
    masks = torch.tensor([[[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.5], [0.0, 0.0]]]])
    expected = [
        ((0.3**4 + 0.2**4 + 0.4**4) / 4) ** 0.25,
        ((0.3**4 + 0.1**4) / (1 + 0.5**4)) ** 0.25,
    ]
    assert metric(a, b, masks)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_linf_is_the_maximum_in_the_limit_and_scales(kit, toolkit_from, pair):
    a, b, masks = pair
    sharp = toolkit_from("[metric.m]\nuse = 'linf'\nparams = { power = 64 }\n").build("metric", "m")
    largest = (a - b).abs().amax((1, 2, 3))
    assert torch.allclose(sharp(a, b, whole(a))[:, 0], largest, rtol=0.15)
    metric = kit.build("metric", "linf")
    assert (metric(a, b, whole(a)) < sharp(a, b, whole(a))).all()
    values = metric(a, b, masks)
    for scale in (1e-3, 0.25):  # no temperature: a weak difference is measured like a strong one
        near = metric(a, a + scale * (b - a), masks)
        assert torch.allclose(near / scale, values, rtol=2e-3)
    shared = metric(a * 0.5, a * 0.5 + 0.125, masks)
    assert torch.allclose(shared, torch.tensor(0.125), rtol=1e-4)


def test_linf_hardly_sees_through_a_thin_mask(kit, pair):
    """A region whose mask leaks 1e-6 onto a strong pixel elsewhere must not report that pixel."""
    a = torch.full((1, 3, 16, 16), 0.5)
    b = a + 0.01
    b[..., 8:, :] = 1
    masks = torch.full((1, 1, 16, 16), 1e-6)
    masks[..., :8, :] = 1
    assert kit.build("metric", "linf")(a, b, masks).item() == pytest.approx(0.01, rel=1e-3)


def test_gradient_on_a_hand_computed_image(kit):
    a = torch.zeros(1, 3, 2, 3)
    b = torch.tensor([[0.0, 0.3, 0.3], [0.0, 0.3, 0.9]]).expand(1, 3, 2, 3)
    masks = torch.ones(1, 2, 2, 3)
    masks[0, 1] = torch.tensor([[1.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    # Across: .3 0 / .3 .6, down: 0 0 .6; seven differences. In the second region: .3 weight 1, 0 weight .5.
    expected = [(0.3 + 0.3 + 0.6 + 0.6) / 7, 0.3 / 1.5]
    assert kit.build("metric", "gradient")(a, b, masks)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_gradient_ignores_a_constant_and_the_sides_of_a_region(kit, pair):
    a, _, _ = pair
    metric = kit.build("metric", "gradient")
    assert (metric(a, a + 0.25, whole(a)) < 1e-6).all()
    left = whole(a)
    left[..., 12:] = 0
    b = a.clone()
    b[..., 12:] += 0.3
    values = metric(a, b, torch.cat([left, 1 - left], 1))
    assert (values < 1e-6).all(), "the step lies between the regions, inside neither"


def test_deep_on_plain_features(plain, pair):
    a, b, masks = pair
    d = a - b
    kit = plain("[metric.fine]\nuse = 'deep'\nparams = { layer = 0 }\n[metric.deep]\n")
    fine = kit.build("metric", "fine")(a, b, masks)
    assert torch.allclose(fine, kit.build("metric", "l2")(a, b, masks), atol=1e-6)
    # Layer 1: cells of 4x4 pixels, masks by the same means.
    cells = torch.nn.functional.avg_pool2d(d, 4).square().mean(1, keepdim=True)
    weights = masks.reshape(3, 4, 6, 4, 6, 4).mean((3, 5))
    expected = ((cells * weights).sum((2, 3)) / weights.sum((2, 3))).sqrt()
    assert torch.allclose(kit.build("metric", "deep")(a, b, masks), expected, atol=1e-6)


def test_deep_cosine_on_plain_features(plain):
    kit = plain("[metric.m]\nuse = 'deep-cosine'\nparams = { layer = 0 }\n")
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    a[0, :, 0, 0], a[0, :, 0, 1] = torch.tensor([0.2, 0.4, 0.0]), torch.tensor([0.4, 0.2, 0.0])
    b[0, :, 0, 0], b[0, :, 0, 1] = torch.tensor([0.0, 0.0, 0.6]), torch.tensor([0.6, 0.0, 0.0])
    masks = torch.tensor(
        [[[[1.0, 0.0], [0, 0]], [[1.0, 1.0], [0, 0]], [[0.5, 1.0], [0, 0]], [[0, 0], [1, 1]]]]
    )
    means = [(0.6, 0.6, 0.0), (0.6, 0.0, 0.6)], [(0.5, 0.4, 0.0), (0.6, 0.0, 0.3)]

    def cosine(u, v):
        dot = sum(p * q for p, q in zip(u, v, strict=True))
        return dot / math.sqrt(sum(p * p for p in u) * sum(q * q for q in v))

    expected = [1.0, 1 - cosine(*means[0]), 1 - cosine(*means[1]), 0.0]
    assert kit.build("metric", "m")(a, b, masks)[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert kit.build("metric", "m")(a, 2 * a, masks)[0].tolist() == pytest.approx([0] * 4, abs=1e-6)


def test_deep_uses_the_deepest_layer_and_says_what_is_missing(plain, pair):
    a, b, masks = pair
    kit = plain("[metric.last]\nuse = 'deep'\nparams = { layer = -1 }\n[metric.far]\nuse = 'deep'\n"
                "params = { layer = 7 }\n")  # fmt: skip
    assert torch.equal(kit.build("metric", "last")(a, b, masks), kit.build("metric", "deep")(a, b, masks))
    with pytest.raises(MagdrError, match="layer 7: this parser's encoder has 2"):
        kit.build("metric", "far")(a, b, masks)
    with pytest.raises(MagdrError, match="no features"):
        plain(parser="blind").build("metric", "deep")


def test_deep_takes_the_shipped_parser_where_none_is_declared(toolkit_from, plain):
    assert toolkit_from().resolve("metric", "deep").needs == {"parser": "unet"}
    assert plain().resolve("metric", "deep").needs != {"parser": "unet"}
    assert hasattr(toolkit_from().build("metric", "deep"), "distance")


def test_generator_features_are_compared_layer_by_layer(kit, pair):
    a, b, masks = pair
    G = kit.generator("editing")
    c = Condition(torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[True, False]] * 3))
    left, right = G.component.features(a, c)[1], G.component.features(b, c)[1]
    pooled = masks.reshape(3, 4, 12, 2, 12, 2).mean((3, 5))
    square = (left - right).square().mean(1, keepdim=True)
    expected = ((square * pooled).sum((2, 3)) / pooled.sum((2, 3))).sqrt()
    passes = G.passes
    values = kit.build("metric", "generator-deep").given(c, G)(a, b, masks)
    assert torch.allclose(values, expected, atol=1e-5)
    assert G.passes - passes == 6  # two images per pair


def test_generator_features_need_a_generator(kit, pair):
    a, b, masks = pair
    metric = kit.build("metric", "generator-deep")
    with pytest.raises(MagdrError, match="called without one"):
        metric(a, b, masks)


def test_a_layer_that_the_generator_lacks_is_named(toolkit_from, kit, pair):
    far = toolkit_from("[metric.m]\nuse = 'generator-deep'\nparams = { layer = 9 }\n").build("metric", "m")
    with pytest.raises(MagdrError, match="3 layers of features, there is no layer 9"):
        Through(far, kit.generator("editing"))(*pair)


# -- what all criteria keep ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linf", "gradient"])
def test_criterion_regions_are_separate(kit, pair, name):
    a, _, _ = pair
    left = whole(a)
    left[..., 12:] = 0
    b = a.clone()
    b[..., :6] = 1 - b[..., :6]
    values = kit.build("metric", name).distance(a, b, torch.cat([left, 1 - left], 1))
    assert (values[:, 0] > 0.1).all()
    assert (values[:, 1] < 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
def test_criterion_is_a_distance(kit, pair, name):
    a, b, masks = pair
    metric = criterion(kit, name)
    assert not metric.higher_is_better
    assert (metric(a, a, masks).abs() < 2e-6).all()
    near, far = metric(a, (a + b) / 2, masks), metric(a, b, masks)
    assert (near > 1e-6).all()
    assert (far > near).all()
    assert torch.allclose(far, metric(b, a, masks), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size"),
    # StarGAN takes multiples of 4.
    [(n, s) for n in NAMES for s in [(24, 24), (21, 30)] if s == (24, 24) or not n.startswith("generator")],
)
def test_criterion_is_per_image_to_the_bit(kit, name, size):
    g = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 5, 3, *size, generator=g)
    masks = torch.rand(5, 4, *size, generator=g).softmax(1)
    metric = criterion(kit, name)
    values = metric(a, b, masks)
    assert values.shape == (5, 4)
    for i in range(5):
        assert torch.equal(metric(a[i : i + 1], b[i : i + 1], masks[i : i + 1]), values[i : i + 1])
    assert torch.equal(metric(a.flip(0), b.flip(0), masks.flip(0)), values.flip(0))


@pytest.mark.parametrize("name", NAMES)
def test_criterion_of_an_empty_region_is_zero_and_gradients_are_finite(kit, pair, name):
    a, b, masks = pair
    masks[:, 0] = 0
    metric = criterion(kit, name)
    assert (metric(a, b, masks)[:, 0].abs() < 2e-6).all()
    for other in (b, a):
        leaf = other.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(metric.distance(a, leaf, masks).sum(), leaf)
        assert gradient.isfinite().all()
        assert other is a or (gradient != 0).any()


@pytest.mark.parametrize("name", ["linf", "gradient"])
def test_criterion_gradients_equal_finite_differences(kit, pair, name):
    a, b, masks = (t[:1, :, :6, :7].double() for t in pair)
    b = b.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: kit.build("metric", name)(a, x, masks), (b,), fast_mode=True)


@pytest.mark.parametrize("name", ["deep", "deep-cosine"])
def test_deep_gradients_descend(kit, pair, name):
    a, b, masks = pair
    metric = kit.build("metric", name)
    leaf = b.clone().requires_grad_()
    value = metric(a, leaf, masks).sum()
    (gradient,) = torch.autograd.grad(value, leaf)
    step = 1e-3 * gradient / gradient.abs().max()
    assert metric(a, b - step, masks).sum() < value.detach()
