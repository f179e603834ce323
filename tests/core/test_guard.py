"""Core's wrapper refuses what a component must not do, and says who did it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from magdr_core import guards as guard
from magdr_core.components.batch import Batch, Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import ComponentError, DataError, one_line
from magdr_core.functional import PARTS

WHERE = "restoration bad of acme (local file)"


def global_torch(x):
    torch.rand(1)
    return x.clone()


def global_numpy(x):
    np.random.rand()
    return x.clone()


def global_random(x):
    random.random()
    return x.clone()


def edits(x):
    x.mul_(0.5)
    return x


def edits_through_numpy(x):
    x.numpy()[0, 0, 0, 0] += 0.25
    return torch.zeros_like(x)


def edits_and_restores(x):
    x.add_(1).sub_(1)
    return x.clone()


def with_nan(x):
    y = x.clone()
    y[0, 0, 0, 0] = torch.nan
    return y


BAD_MAPS = {
    "no tensor": (lambda x: x.numpy(), "returned a ndarray, expected a tensor"),
    "nothing": (lambda x: None, "returned a NoneType, expected a tensor"),
    "shape": (lambda x: x[..., 1:], r"returned shape (2, 3, 16, 15), expected (2, 3, 16, 16)"),
    "batch": (lambda x: x[:1], r"returned shape (1, 3, 16, 16), expected (2, 3, 16, 16)"),
    "dtype": (lambda x: x.double(), "returned torch.float64 on cpu, expected torch.float32 on cpu"),
    "nan": (with_nan, "returned NaN or infinite values"),
    "inf": (lambda x: x / 0, "returned NaN or infinite values"),
    "above": (lambda x: 1.01 - 0 * x, "returned values in [1.01, 1.01], expected [0, 1]"),
    "below": (lambda x: 0 * x - 0.5, "returned values in [-0.5, -0.5], expected [0, 1]"),
    "edits": (edits, "edits its input in place"),
    "edits through numpy": (edits_through_numpy, "edits its input in place"),
    "edits and restores": (edits_and_restores, "edits its input in place"),
    "torch rng": (global_torch, "draws from the global random generator"),
    "numpy rng": (global_numpy, "draws from the global random generator"),
    "python rng": (global_random, "draws from the global random generator"),
    "exception": (lambda x: x @ torch.zeros(3), "failed on 2x3x16x16 on cpu: RuntimeError: "),
}


@pytest.mark.parametrize("case", BAD_MAPS)
def test_guard_image_map_violations(case, images):
    bad, message = BAD_MAPS[case]
    with pytest.raises(ComponentError) as e:
        guard.GuardedImageMap(bad, WHERE)(images(2))
    assert str(e.value).startswith(f"{WHERE}: {message}")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("case", [c for c in BAD_MAPS if c not in ("no tensor", "nothing")])
def test_guard_defense_and_undo_are_held_to_the_same(case, images, conditions):
    bad, message = BAD_MAPS[case]
    with pytest.raises(ComponentError, match="bad of acme") as e:
        guard.GuardedDefense(lambda x, c, G: bad(x), WHERE)(images(2), conditions(2), None)
    assert message in str(e.value)
    undone = type("Map", (), {"__call__": lambda self, x: x, "undo": lambda self, x: bad(x)})()
    with pytest.raises(ComponentError, match="bad of acme") as e:
        guard.GuardedImageMap(undone, WHERE).undo(images(2))
    assert message.removeprefix("returned") in str(e.value)


def test_guard_lets_good_components_pass(images, conditions):
    x = images(2)
    assert torch.equal(guard.GuardedImageMap(lambda x: x, WHERE)(x), x)
    assert torch.equal(guard.GuardedImageMap(lambda x: 1 - x, WHERE).undo(x), x), "no undo: as it is"
    slack = guard.GuardedImageMap(lambda x: torch.ones_like(x) + 5e-5, WHERE)
    assert slack(x).max() > 1, "float noise is allowed"
    assert guard.GuardedImageMap(lambda x: x.clone(), WHERE)(x[:0]).shape == (0, 3, 16, 16)
    defense = guard.GuardedDefense(lambda x, c, G: x.clone(), WHERE)
    assert torch.equal(defense(x, conditions(2), None), x)
    with torch.inference_mode():
        assert guard.GuardedImageMap(lambda x: x.clone(), WHERE)(images(2)).shape == x.shape


def test_guard_keeps_gradients(images):
    x = images(2).requires_grad_()
    guard.GuardedImageMap(lambda x: x * x, WHERE)(x).sum().backward()
    assert torch.equal(x.grad, 2 * x.detach())


def test_guard_own_errors_pass_through_and_say_whose_they_are(images):
    def refuses(x):
        raise DataError("too small")

    def asks(x):
        return guard.GuardedImageMap(refuses, WHERE)(x)

    with pytest.raises(DataError, match="too small") as caught:
        guard.GuardedImageMap(asks, "another")(images(1))
    assert one_line(caught.value) == f"too small [{WHERE}]"


def test_guard_training_mode(images):
    net = nn.Sequential(nn.Identity(), nn.Dropout(0.5)).eval()

    class Flips:
        def __init__(self):
            self.net = net

        def __call__(self, x):
            self.net[1].train()
            return x.clone()

    guarded = guard.GuardedImageMap(Flips(), WHERE)
    for _ in range(2):
        with pytest.raises(ComponentError, match="changes the training mode of a network"):
            guarded(images(1))
    assert not net[1].training, "and it is put back"


def test_guard_freezes_networks():
    net = nn.Linear(2, 2)
    guard.GuardedImageMap(net, WHERE)
    assert not any(p.requires_grad for p in net.parameters())


def test_guard_stochastic_components_get_rng_and_only_they(images, conditions):
    def noisy(x, *, rng):
        return rng.uniform(*x.shape[1:])

    x, rng = images(2), SampleRng(0, "x", ["a", "b"])
    stochastic = guard.GuardedImageMap(noisy, WHERE, stochastic=True)
    assert stochastic(x, rng=rng).shape == x.shape
    with pytest.raises(ComponentError, match="is stochastic and was called without rng"):
        stochastic(x)
    calm = guard.GuardedImageMap(lambda x: x, WHERE)
    assert torch.equal(calm(x, rng=rng), x), "others are not given one"
    for make in (
        lambda f: guard.GuardedDefense(lambda x, c, G, rng: f(x, rng=rng), WHERE, stochastic=True),
        lambda f: guard.GuardedDetector(
            lambda x, c, G, rng: f(x, rng=rng).mean((1, 2, 3)), WHERE, stochastic=True
        ),
    ):
        with pytest.raises(ComponentError, match="without rng"):
            make(noisy)(x, conditions(2), None)
        assert len(make(noisy)(x, conditions(2), None, rng=rng)) == 2


# -- metrics and detectors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda a, b, m: m.mean((1, 2, 3)), "returned (2,), expected shape (2, 4)"),
        (lambda a, b, m: 0.5, "returned float, expected shape (2, 4)"),
        (lambda a, b, m: m.mean((2, 3)) / 0, "returned NaN or infinite values"),
        (lambda a, b, m: m.clone().mul_(2).mean((2, 3)) + m.zero_().sum(), "edits its input in place"),
        (lambda a, b, m: b.copy_(a).mean() + m.mean((2, 3)), "edits its input in place"),
        (lambda a, b, m: a @ m, "failed on 2x3x16x16, 2x3x16x16, 2x4x16x16 on cpu: RuntimeError"),
    ],
)
def test_guard_metric_violations(bad, message, images):
    masks = torch.full((2, 4, 16, 16), 0.25)
    with pytest.raises(ComponentError) as e:
        guard.GuardedMetric(bad, WHERE)(images(2), images(2, seed=9), masks)
    assert str(e.value).startswith(f"{WHERE}: {message}")


def test_guard_metric_orientation(images):
    masks = torch.full((2, 4, 16, 16), 0.25)
    similar = guard.GuardedMetric(
        lambda a, b, m: m.mean((2, 3)), WHERE, higher_is_better=True, to_distance=lambda v: 1 - v
    )
    assert (similar(images(2), images(2), masks) == 0.25).all()
    assert (similar.distance(images(2), images(2), masks) == 0.75).all()
    plain = guard.GuardedMetric(lambda a, b, m: m.mean((2, 3)), WHERE)
    assert (plain.distance(images(2), images(2), masks) == 0.25).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda x, c, G: x.mean((2, 3)), "returned (2, 3), expected shape (2,)"),
        (lambda x, c, G: x.mean(), "returned (), expected shape (2,)"),
        (lambda x, c, G: x.mean((1, 2, 3)) / 0, "returned NaN or infinite values"),
        (lambda x, c, G: edits(x).mean((1, 2, 3)), "edits its input in place"),
        (lambda x, c, G: global_torch(x).mean((1, 2, 3)), "draws from the global random generator"),
    ],
)
def test_guard_detector_violations(bad, message, images, conditions):
    with pytest.raises(ComponentError) as e:
        guard.GuardedDetector(bad, WHERE)(images(2), conditions(2), None)
    assert str(e.value).startswith(f"{WHERE}: {message}")


def test_guard_defense_output(images, conditions):
    x, c = images(2), conditions(2)

    class Acts:
        def __call__(self, x, c, G):
            return x.clone()

        def output(self, x, c, G):
            return 1 - G(x, c)

    plain = guard.GuardedDefense(lambda x, c, G: x.clone(), WHERE)
    assert torch.equal(plain.output(x / 2, x, c, lambda x, c: x / 2), x / 4), "G(T(x), c)"
    acting = guard.GuardedDefense(Acts(), WHERE)
    assert torch.equal(acting.output(x / 2, x, c, lambda x, c: x / 2), 1 - x / 2)
    with pytest.raises(ComponentError, match="output returned values in"):
        acting.output(x, x, c, lambda x, c: x + 2)

    class Follows(Acts):
        def output_on(self, restored, x, c, G):
            return 0.5 * (restored + G(x, c))

    following = guard.GuardedDefense(Follows(), WHERE)
    assert torch.equal(following.output(x / 4, x, c, lambda x, c: x / 2), 0.5 * (x / 4 + x / 2))
    with pytest.raises(ComponentError, match="output_on returned values in"):
        following.output(x, x, c, lambda x, c: x + 2)


# -- attacks --------------------------------------------------------------------------------------------


def attack(f, eps=6 / 255):
    return guard.GuardedAttack(f, WHERE, eps=eps, objective="untargeted", stochastic=False)


def test_guard_attack_leaving_its_ball(images):
    with pytest.raises(ComponentError, match=r"left its eps ball: a pixel moved by 0.0275, eps is 0.0235"):
        attack(lambda x, objective: (x + 7 / 255).clamp(0, 1))(images(2), None)


@pytest.mark.parametrize(
    "case", ["shape", "dtype", "nan", "above", "edits", "edits through numpy", "torch rng"]
)
def test_guard_attack_violations(case, images):
    bad, message = BAD_MAPS[case]
    with pytest.raises(ComponentError) as e:
        attack(lambda x, objective: bad(x), eps=1.0)(images(2), None)
    assert message in str(e.value)


@pytest.mark.parametrize("eps", [0.0, 0.025, 6 / 255, 1.0])
def test_guard_attack_is_rounded_toward_the_clean_image(eps, images):
    x = images(2)
    for sign in (1, -1):
        x_hat = attack(lambda x, objective, s=sign: (x + s * eps).clamp(0, 1), eps)(x, None)
        levels = x_hat * 255
        assert torch.equal(levels.round() / 255, x_hat), "8-bit levels"
        assert (x_hat - x).abs().max() <= eps + 2e-6
        moved = ((x_hat - x) * 255).round()
        inside = (x + sign * eps >= 0) & (x + sign * eps <= 1)
        assert (moved[inside] == sign * int(eps * 255 + 1e-3)).all()


def test_guard_attack_returns_no_graph(images):
    weight = torch.zeros(1, requires_grad=True)
    assert not attack(lambda x, objective: x + 0 * weight)(images(1), None).requires_grad


# -- parsers and generators -----------------------------------------------------------------------------


def parser_of(f):
    return guard.GuardedParser(f, "parser bad of acme")


def test_guard_parser(images):
    even = torch.full((1, len(PARTS), 16, 16), 1 / len(PARTS))
    assert parser_of(lambda x: even.expand(len(x), -1, -1, -1))(images(3)).shape == (3, len(PARTS), 16, 16)
    minus = even.clone()
    minus[:, 0] -= 0.5
    minus[:, 1] += 0.5
    for masks, message in [
        (even * 0.99, "returned masks that do not sum to 1 at each pixel"),
        (minus, "returned negative masks"),
        (even[:, 1:], "expected shape (3, 12, 16, 16)"),
        (even / 0, "returned NaN or infinite values"),
    ]:
        with pytest.raises(ComponentError) as e:
            parser_of(lambda x, m=masks: m.expand(len(x), -1, -1, -1))(images(3))
        assert message in str(e.value)


class Net(nn.Module):
    size = 16
    condition_names = ("a", "b")

    def __init__(self, f=lambda x, c: x.clone()):
        super().__init__()
        self.f = f
        self.batches = []

    def forward(self, x, c):
        self.batches.append(len(x))
        return self.f(x, c)

    def edited(self, c):
        return torch.zeros(len(c), len(PARTS), dtype=torch.bool)

    def draw(self, batch, rng):
        changed = torch.tensor([[True, False]] * len(batch))
        return Condition(changed.float(), changed)


def generator_of(f=lambda x, c: x.clone()):
    return guard.GuardedGenerator(Net(f), "generator bad of acme")


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in BAD_MAPS
        if "rng" not in c and c not in ("edits through numpy", "no tensor", "nothing", "batch", "exception")
    ],
)
def test_guard_generator_violations(case, images, conditions):
    bad, message = BAD_MAPS[case]
    with pytest.raises(ComponentError) as e:
        generator_of(lambda x, c: bad(x))(images(2), conditions(2))
    assert str(e.value).startswith(f"generator bad of acme: {message}")


def test_guard_generator_exceptions_are_attributed(images, conditions):
    with pytest.raises(
        ComponentError, match=r"generator bad of acme: failed on 2x3x16x16 on cpu: RuntimeError: "
    ):
        generator_of(lambda x, c: x @ c.values)(images(2), conditions(2))


@pytest.mark.parametrize(("batch", "width"), [(3, 2), (2, 3), (2, 1), (0, 2)])
def test_guard_generator_conditions_of_wrong_width(images, conditions, batch, width):
    with pytest.raises(ComponentError) as e:
        generator_of()(images(2), conditions(batch, width))
    assert f"got 2 images and conditions ({batch}, {width}), expected [2,2]" in str(e.value)


def test_guard_generator_counts_passes(images, conditions):
    G = generator_of()
    G(images(3), conditions(3))
    G(images(2), conditions(2))
    assert G.take_passes() == 5
    assert G.take_passes() == 0


def test_guard_generator_edited_and_draw(images):
    G = generator_of()
    batch = Batch(images(2), ("a", "b"))
    rng = SampleRng(0, "x", batch.ids)
    c = G.draw(batch, rng)
    assert G.edited(c).shape == (2, len(PARTS))
    G.component.edited = lambda c: torch.zeros(len(c), len(PARTS))
    with pytest.raises(ComponentError, match="edited returned"):
        G.edited(c)
    G.component.draw = lambda batch, rng: Condition(c.values, c.changed & torch.tensor([[True], [False]]))
    with pytest.raises(ComponentError, match="drew a condition that changes nothing"):
        G.draw(batch, rng)
    G.component.draw = lambda batch, rng: Condition(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool))
    assert len(G.draw(batch, rng)) == 2, "a generator without conditions"


def test_guard_pieces_are_powers_of_two_and_cover_the_batch(images, conditions):
    for n in range(21):
        G = generator_of(lambda x, c: x + 0 * c.values[:, :1, None, None])
        x = images(n) if n else images(1)[:0]
        assert torch.equal(G(x, conditions(n)), x)
        assert sum(G.component.batches) == n + n % 2, "an odd one goes in twice"
        assert all(size in (2, 4, 8) for size in G.component.batches if n)
        assert G.take_passes() == n, "logical passes are counted"


def same_bits(f, n=20):
    """`f(idx)` over a batch of 20 gives an image the same bits for every batch size and order."""
    with torch.no_grad():
        alone = torch.cat([f(torch.tensor([i])) for i in range(n)])
        assert alone.std() > 0.01
        for size in range(1, n + 1):
            assert torch.equal(f(torch.arange(size)), alone[:size]), f"a batch of {size}"
        back = torch.arange(n - 1, -1, -1)
        assert torch.equal(f(back), alone[back]), "another order"


def test_guard_pieces_give_the_same_bits_for_every_batch_size(toolkit_from, images):
    kit = toolkit_from("[generator.g]\nuse = 'stargan'\nparams = { weights = 'random' }")
    G = kit.generator("g")
    values = torch.rand(20, len(G.condition_names), generator=torch.Generator().manual_seed(1)).round()
    c, x = Condition(values, values > 0), images(20, side=32)
    same_bits(lambda idx: G(x[idx], c[idx]))


def test_guard_pieces_give_a_parser_s_image_the_same_bits(toolkit_from, images):
    kit = toolkit_from("[parser.p]\nuse = 'unet'\nparams = { weights = 'random' }")
    parser, x = kit.build("parser", "p"), images(20, side=32)
    same_bits(lambda idx: parser(x[idx]))


def test_guard_pieces_give_the_same_gradient_for_every_batch_size(toolkit_from, images):
    kit = toolkit_from("[generator.g]\nuse = 'stargan'\nparams = { weights = 'random' }")
    G = kit.generator("g")
    values = torch.rand(7, len(G.condition_names), generator=torch.Generator().manual_seed(1)).round()
    c, x = Condition(values, values > 0), images(7, side=32)

    def gradient(idx):
        leaf = x[idx].requires_grad_()
        return torch.autograd.grad(G(leaf, c[idx]).square().sum(), leaf)[0]

    whole = gradient(torch.arange(7))
    assert whole.abs().max() > 0
    for size in (1, 2, 3, 5):
        assert torch.equal(gradient(torch.arange(size)), whole[:size]), f"a batch of {size}"


@pytest.mark.cuda
def test_guard_sees_draws_from_the_cuda_generator():
    x = torch.rand(1, 3, 8, 8, device="cuda")
    with pytest.raises(ComponentError, match="global random generator"):
        guard.GuardedImageMap(lambda x: torch.rand_like(x), WHERE)(x)
