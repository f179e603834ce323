"""The diffusion model and its samplers against closed forms and a sampler written out; noise and votes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.ndimage
import torch
from magdr_plugins.defenses.diffusion_purifier import diffusion_purifier
from magdr_plugins.networks import edm as network
from magdr_plugins.networks.edm import noise_levels, reverse
from magdr_plugins.restorations.edm import EDM

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import to_8bit


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def net(**settings):
    """An untrained model whose network does something."""
    model = seeded(lambda: EDM(6, **settings)).eval().requires_grad_(False)
    model.head.weight *= 20
    return model


def purifier(**settings):
    made = seeded(lambda: diffusion_purifier(weights=None, width=6, **settings))
    made.net.requires_grad_(False)
    made.net.head.weight *= 20
    return made


def pictures(n=3, side=16):
    return 0.2 + 0.6 * torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def streams(n=3, seed=0):
    return SampleRng(seed, "test", [str(i) for i in range(n)])


def gaussian(u, s):
    """The exact denoiser of pictures that are Gaussian noise of deviation one half."""
    return u * (0.25 / (0.25 + s.square()))[:, None, None, None]


def test_preconditioning_is_that_of_table_1(monkeypatch):
    model, u, s = net(), 2 * pictures() - 1, torch.tensor([0.02, 0.1, 0.5])
    seen = []

    def network(given, level):
        seen.append((given, level))
        return torch.ones_like(given[:, :3])

    monkeypatch.setattr(model, "_net", network)
    got = model.denoise(u, s)
    for row, sigma in enumerate(s.tolist()):
        skip = 0.5**2 / (sigma**2 + 0.5**2)
        out = sigma * 0.5 / math.sqrt(sigma**2 + 0.5**2)
        assert torch.allclose(got[row], skip * u[row] + out, atol=1e-6)
        assert torch.allclose(seen[0][0][row, :3], u[row] / math.sqrt(sigma**2 + 0.5**2), atol=1e-6)
    assert torch.equal(seen[0][1], s)


def test_the_network_is_told_the_noise_level():
    model, shown = net(), pictures(1).repeat(1, 2, 1, 1)
    model.films.weight *= 10
    low, high = (model._net(shown, torch.tensor([s])) for s in (0.05, 0.3))
    assert (low - high).abs().max() > 1e-3


def test_fine_detail_is_shown_in_units_of_the_noise():
    """What a mean of 3x3 pixels takes away, by SciPy; borders repeat."""
    u = 2 * pictures(1, 8) - 1
    flat = np.stack([scipy.ndimage.uniform_filter(p.double().numpy(), 3, mode="nearest") for p in u[0]])
    assert np.abs(network._detail(u)[0].numpy() - (u[0].double().numpy() - flat)).max() < 1e-6


def test_noise_levels_are_on_karras_grid():
    levels = noise_levels(0.4, 5)
    t = np.linspace(0, 1, 5)
    expected = (0.4 ** (1 / 7) + t * (0.02 ** (1 / 7) - 0.4 ** (1 / 7))) ** 7
    assert np.allclose(levels[:-1], expected)
    assert levels[-1] == 0
    assert noise_levels(0.4, 1) == [0.4, 0.0]


def test_the_ode_of_gaussian_pictures_is_solved():
    """Its trajectories are u(s) = u(0) sqrt(1 + 4 s^2)."""
    u = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = u / math.sqrt(1 + 4 * 0.5**2)
    errors = [float((reverse(gaussian, u, 0.5, k) - expected).abs().max()) for k in (4, 16, 64)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01 * u.abs().max()
    assert torch.allclose(reverse(gaussian, u, 0.5, 1), gaussian(u, u.new_full((2,), 0.5)))


def test_churn_is_algorithm_2_step_by_step():
    u = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noises = [
        torch.randn(u.shape, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
        for k in range(9)
    ]
    given = iter(noises)
    got = reverse(gaussian, u, 0.4, 3, churn=0.6, noise=lambda: next(given))

    x, levels, used = u.numpy(), noise_levels(0.4, 3), iter(noises)
    for now, then in pairwise(levels):
        hat = min(now * (1 + 0.6 / 3), 0.5)
        x = x + math.sqrt(hat**2 - now**2) * next(used).numpy()
        slope = (x - x * 0.25 / (0.25 + hat**2)) / hat
        x = x + (then - hat) * slope
    assert np.allclose(got.numpy(), x)
    assert len(list(given)) == len(noises) - 3


def test_the_model_is_never_asked_about_more_noise_than_it_knows():
    asked = []

    def denoise(u, s):
        asked.append(float(s[0]))
        return 0.9 * u

    reverse(denoise, torch.zeros(1, 3, 4, 4), 0.5, 4, churn=10.0, noise=lambda: torch.zeros(1, 3, 4, 4))
    assert max(asked) == 0.5


@pytest.mark.parametrize("settings", [{}, {"churn": 1.0}, {"noise": "fixed"}], ids=["ode", "sde", "fixed"])
def test_the_gradient_is_that_of_the_plain_graph(settings, monkeypatch):
    """Steps are computed again on the way back; nothing else may differ."""
    d, x = purifier(steps=3, **settings), pictures()
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(3))

    def gradient():
        leaf = x.clone().requires_grad_()
        (g,) = torch.autograd.grad((d(leaf, None, None, rng=streams()) * weights).sum(), leaf)
        return g

    again = gradient()
    monkeypatch.setattr(network, "checkpoint", lambda f, *given, **settings: f(*given))
    plain = gradient()
    assert plain.abs().max() > 0.1
    assert torch.equal(again, plain)


def test_checkpoints_keep_less_than_the_plain_graph(monkeypatch):
    def kept():
        total = 0

        def pack(t):
            nonlocal total
            total += t.numel()
            return t

        model, x = net(steps=6), pictures().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            model(x)
        return total

    checkpointed = kept()
    monkeypatch.setattr(network, "checkpoint", lambda f, *given, **settings: f(*given))
    assert checkpointed < 0.2 * kept()


def test_the_gradient_equals_finite_differences():
    model = net(steps=2).double()
    x = pictures(2, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(model, (x,), fast_mode=True)


def test_fresh_noise_is_a_pictures_own():
    d, x = purifier(sigma=0.1), pictures()
    x = x[:1].repeat(3, 1, 1, 1)
    together = d(x, None, None, rng=streams())
    assert (together[0] - together[1]).abs().max() > 0.01
    alone = d(x[1:2], None, None, rng=streams().select([1]))
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    assert not torch.equal(together, d(x, None, None, rng=streams(seed=1)))


def test_fixed_noise_is_known_beforehand():
    d, x = purifier(noise="fixed"), pictures(1).repeat(3, 1, 1, 1)
    y = d(x, None, None, rng=streams())
    assert torch.equal(y, d(x, None, None, rng=streams(seed=1)))
    assert torch.allclose(y[0], y[2], atol=1e-6)
    other = purifier(noise="fixed", seed=1)(x, None, None, rng=streams())
    assert not torch.allclose(y, other, atol=1e-3)


def test_noise_has_the_level_that_is_asked_for(monkeypatch):
    d, x = purifier(sigma=0.05, steps=1), torch.full((4, 3, 32, 32), 0.5)
    monkeypatch.setattr(d.net, "denoise", lambda u, s: u)
    assert float((d(x, None, None, rng=streams(4)) - x).std()) == pytest.approx(0.05, rel=0.03)


class Doubled:
    """A generator that is far from linear."""

    def __call__(self, x, c):
        return (x - c.values[:, :1, None, None]).square()


def condition():
    return Condition(torch.tensor([[0.1], [0.5], [0.9]]), torch.ones(3, 1, dtype=torch.bool))


def test_copies_vote_by_their_outputs():
    x, c, G, n = pictures(), condition(), Doubled(), 5
    mean, medoid = (purifier(sigma=0.1, copies=n, vote=v) for v in ("mean", "medoid"))
    copies = mean.each(x, streams())
    assert copies.shape == (3, n, 3, 16, 16)
    assert torch.allclose(mean(x, c, G, rng=streams()), copies.mean(1))
    outputs = torch.stack([G(to_8bit(copies[:, k]), c) for k in range(n)], 1)
    assert torch.allclose(mean.output(x, c, G, rng=streams()), outputs.mean(1), atol=1e-6)
    for row, got in enumerate(medoid.output(x, c, G, rng=streams())):
        sums = [sum(float((a - b).square().sum()) for b in outputs[row]) for a in outputs[row]]
        assert torch.equal(got, outputs[row][int(np.argmin(sums))])


def test_copies_are_independent_of_each_other_and_of_the_batch():
    d, x = purifier(sigma=0.1, copies=3), pictures(1).repeat(2, 1, 1, 1)
    copies = d.each(x, streams(2))
    distinct = copies.flatten(0, 1)
    assert all((distinct[i] - distinct[j]).abs().max() > 0.01 for i in range(6) for j in range(i))
    assert torch.allclose(d.each(x[1:], streams(2).select([1]))[0], copies[1], atol=1e-6)


def test_a_votes_gradient_goes_through_purifier_and_generator():
    d, x, c, G = purifier(copies=2, steps=2), pictures().requires_grad_(), condition(), Doubled()
    (g,) = torch.autograd.grad(d.output(x, c, G, rng=streams()).sum(), x)
    copies = d.each(x, streams())
    outputs = [G(copies[:, k], c) for k in range(2)]
    (expected,) = torch.autograd.grad(sum(y.sum() for y in outputs) / 2, x)
    # Rounding to levels moves where the generator's slope is taken by half a level.
    assert (g - expected).abs().max() < 0.02 * expected.abs().max()


def test_the_trained_model_removes_noise_and_leaves_faces(toolkit_from):
    kit = toolkit_from(
        '[dataset.faces]\nuse = "procedural-faces"\nparams = { size = 64 }\n'
        "[restoration.edm]\nparams = { sigma = 0.05 }\n"
        '[restoration.mild]\nuse = "edm"\nparams = { sigma = 0.025 }\n'
    )
    batch = kit.build("dataset", "faces").split("test")[list(range(500, 508))]
    x = batch.images
    noise = SampleRng(0, "test", batch.ids).normal(*x.shape[1:])
    with torch.no_grad():
        left = (kit.build("restoration", "edm")((x + 0.05 * noise).clamp(0, 1)) - x).square().mean().sqrt()
        mild = kit.build("restoration", "mild")(x)
    assert left < 0.6 * 0.05
    assert (mild - x).square().mean().sqrt() < 0.012


def test_more_noise_than_the_model_knows_is_refused(toolkit_from):
    text = '[defense.d]\nuse = "diffusion-purifier"\nparams = { sigma = 0.3 }\n'
    with pytest.raises(MagdrError, match=r"\[defense.d\].*sigma"):
        toolkit_from(text).build("defense", "d")
