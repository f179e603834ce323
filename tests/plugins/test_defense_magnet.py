"""MagNet's reformer: the published layers, fitted on clean faces alone, the same every time."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.defenses.magnet import AutoEncoder, Reformer

from magdr_core.api import Condition, FitData, Samples
from magdr_core.guards import GuardedDefense


def faces(n, seed=0, size=16):
    g = torch.Generator().manual_seed(seed)
    x = F.interpolate(torch.rand(n, 3, 3, 3, generator=g), (size, size), mode="bicubic").clamp(0, 1)
    c = Condition(torch.zeros(n, 2), torch.ones(n, 2, dtype=torch.bool))
    return Samples((x * 255).round() / 255, c, tuple(f"{seed}-{i}" for i in range(n)))


def data(clean=None, attacked=None, trained=None):
    clean = faces(16) if clean is None else clean
    trained = faces(16, seed=1) if trained is None else trained
    attacked = trained.with_images(1 - trained.images) if attacked is None else attacked
    return FitData(clean=clean, attacked={"pgd": (attacked, trained)},
                   training=lambda: {"pgd": (attacked, trained), "cw": (attacked, trained)})  # fmt: skip


@cache
def fitted(structure):
    reformer = Reformer(structure=structure, filters=8, steps=200)
    reformer.load(json.loads(json.dumps(reformer.fit(data(), None))))
    return reformer


@pytest.mark.parametrize(
    ("structure", "layers"),
    [
        ("pool", ["3-7", "pool", "7-7", "7-7", "up", "7-7", "7-3"]),
        ("flat", ["3-7", "7-7", "7-3"]),
    ],
)
def test_the_layers_are_the_published_ones(structure, layers):
    """Encoder and its mirror image: 3x3 convolutions, each followed by a sigmoid."""
    found, modules = [], list(AutoEncoder(structure, 7).layers)
    for module, following in zip(modules, [*modules[1:], None], strict=True):
        if isinstance(module, torch.nn.Conv2d):
            assert module.kernel_size == (3, 3)
            assert isinstance(following, torch.nn.Sigmoid)
            found.append(f"{module.in_channels}-{module.out_channels}")
        elif not isinstance(module, torch.nn.Sigmoid):
            found.append("pool" if isinstance(module, torch.nn.AvgPool2d) else "up")
    assert found == layers
    y = AutoEncoder(structure, 3)(torch.rand(2, 3, 9, 14))
    assert y.shape == (2, 3, 9, 14)


@pytest.mark.parametrize("structure", ["pool", "flat"])
def test_it_learns_to_give_back_faces(structure):
    reformer = fitted(structure)
    unseen = faces(8, seed=2).images
    with torch.no_grad():
        error = (reformer(unseen, None, None) - unseen).square().mean()
    assert error < 0.3 * unseen.var()


def test_it_never_looks_at_attacked_faces():
    reformer, trained = Reformer(steps=5), faces(16, seed=1)
    nothing = trained.with_images(torch.full_like(trained.images, torch.nan))
    state = reformer.fit(data(), None)
    assert reformer.fit(data(attacked=nothing, trained=trained), None) == state
    assert reformer.fit(data(trained=faces(16, seed=3)), None) != state, "but at the clean train faces"
    assert reformer.fit(data(clean=faces(16, seed=4)), None) != state


def test_fitting_leaves_the_component_and_the_global_generator_alone():
    reformer = Reformer(steps=3)
    before = [p.clone() for p in reformer.net.parameters()]
    random = torch.get_rng_state()
    samples = data()
    with torch.no_grad():
        state = reformer.fit(samples, None)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(p, q) for p, q in zip(reformer.net.parameters(), before, strict=True))
    assert reformer.fit(samples, None) == state, "the same every time"


def test_an_unfitted_one_says_so():
    with pytest.raises(AssertionError, match="load"):
        Reformer()(faces(1).images, None, None)


def test_an_image_gets_the_same_bits_in_every_batch():
    guarded = GuardedDefense(fitted("pool"), "reformer")
    x = faces(5, seed=5).images
    with torch.no_grad():
        whole = guarded(x, None, None)
        for ids in ([0], [4, 1], [4, 3, 2, 1, 0]):
            assert torch.equal(guarded(x[ids], None, None), whole[ids])


def test_its_gradient_equals_finite_differences():
    net = AutoEncoder("pool", 3).double()
    x = torch.rand(1, 3, 6, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(net, (x,), fast_mode=True)
