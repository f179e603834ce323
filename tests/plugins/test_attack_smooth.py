"""Smooth disruption: low frequencies alone, after rounding too; and as strong as they allow."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks.smooth import Smooth
from scipy.fft import dctn

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective
from magdr_core.errors import RegistryError
from magdr_core.functional import gaussian_blur
from tests.plugins.attack_fakes import Scripted

SIZE = 32
KINDS = {
    "gaussian": 'spectrum = "gaussian", sigma = 1.5',
    "dct": 'spectrum = "dct", cutoff = 0.25',
    "bilinear": 'spectrum = "upsampled", grid = 6',
    "bicubic": 'spectrum = "upsampled", grid = 6, interpolation = "bicubic"',
}
CUTOFFS = {"gaussian": 0.5, "dct": 0.25, "bilinear": 0.375, "bicubic": 0.375}
"""A share of Nyquist that nearly all energy is below: where the Gaussian lets 6% of an amplitude through;
the parameter itself; twice the frequency at which the grid's values alternate."""

OTHERS = "\n[attack.pgd]\nparams = {{ eps = {eps} }}\n[attack.noise]\nparams = {{ eps = {eps} }}"

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def case(toy):
    """`case(kind, eps, steps)`: toolkit, clean images with room on both sides, conditions, ids."""

    def make(kind="gaussian", eps=8 / 255, steps=12, batch=4, more=""):
        params = f"{{ {KINDS[kind]}, eps = {eps}, steps = {steps}{more} }}"
        kit = toy(f'[attack.a]\nuse = "smooth"\nparams = {params}{OTHERS.format(eps=eps)}')
        draw = torch.Generator().manual_seed(0)
        x = torch.randint(64, 192, (batch, 3, SIZE, SIZE), generator=draw).float() / 255
        values = torch.tensor([[1.0, 0.0]]).expand(batch, -1)
        return kit, x, Condition(values, values > 0), [f"face-{i}" for i in range(batch)]

    return make


def run(kit, x, c, ids, seed=0, kind="untargeted", label="a"):
    objective = build_objective(kind, kit.generator("toy").component, x, c)
    return kit.build("attack", label)(x, objective, rng=kit.rng(label, ids, seed)), objective


def above(delta, cutoff):
    """Share of the energy of `[B,3,H,W]` beyond `cutoff` of Nyquist along either axis, `[B]`."""
    energy = dctn(delta.double().numpy(), axes=(2, 3), norm="ortho") ** 2
    shares = torch.arange(SIZE) / SIZE > cutoff
    beyond = (shares[:, None] | shares[None, :]).numpy()
    return torch.tensor(energy[:, :, beyond].sum((1, 2)) / energy.sum((1, 2, 3)))


@every_kind
def test_a_smooth_perturbation_has_hardly_any_high_frequencies_after_rounding(case, kind):
    kit, x, c, ids = case(kind)
    x_hat, _ = run(kit, x, c, ids)
    assert above(x_hat - x, CUTOFFS[kind]).max() < 0.03
    noisy, _ = run(kit, x, c, ids, label="noise")
    assert above(noisy - x, CUTOFFS[kind]).min() > 0.6


@every_kind
@pytest.mark.parametrize("eps", [0.0, 0.0002, 6 / 255, 0.025, 1.0])
def test_a_smooth_perturbation_is_8_bit_and_in_the_ball(case, kind, eps):
    kit, x, c, ids = case(kind, eps, steps=4)
    x[:, :, 0], x[:, :, 1] = 0.0, 1.0  # at the ends of the range
    objective = build_objective("untargeted", kit.generator("toy").component, x, c)
    alone = kit.build("attack", "a").component(x, objective, rng=kit.rng("a", ids))
    assert (alone - x).abs().max() <= eps + 2e-6, "without the guard, too"
    x_hat, _ = run(kit, x, c, ids)
    assert torch.equal((x_hat * 255).round() / 255, x_hat)
    assert torch.equal((alone * 255).round() / 255, x_hat), "the guard has nothing to do"
    assert torch.equal(x_hat, x) == (eps < 1 / 255)


@every_kind
def test_a_smooth_perturbation_uses_its_ball(case, kind):
    kit, x, c, ids = case(kind, steps=30)
    x_hat, _ = run(kit, x, c, ids)
    size = ((x_hat - x).square().flatten(1).mean(1).sqrt() * 255) / 8
    assert size.min() > 0.4


@pytest.mark.parametrize(
    ("kind", "aim"), [*((kind, "towards-black") for kind in KINDS), ("gaussian", "untargeted")]
)
def test_a_smooth_attack_beats_a_perturbation_that_is_smoothed_afterwards(case, kind, aim):
    kit, x, c, ids = case(kind, steps=50)
    x_hat, objective = run(kit, x, c, ids, kind=aim)
    grainy, _ = run(kit, x, c, ids, kind=aim, label="pgd")
    # Grain cancels out in a mean, so what is left is stretched to fill the ball again.
    smoothed = 2 * gaussian_blur((grainy - x) / 2 + 0.5, 1.5) - 1
    smoothed = smoothed * (8 / 255) / smoothed.abs().flatten(1).amax(1)[:, None, None, None]
    assert (objective(x_hat) > objective(x + smoothed)).all()


def test_all_frequencies_disrupt_more_than_the_lowest_and_as_much_as_pgd(case):
    kit, x, c, ids = case("dct")
    grainy, objective = run(kit, x, c, ids, label="pgd")
    low, every = (
        objective(
            Smooth(spectrum="dct", cutoff=cutoff, eps=8 / 255)(x, objective, rng=kit.rng("a", ids))
        ).mean()
        for cutoff in (0.1, 1.0)
    )
    assert every > 1.2 * low
    assert every > 0.95 * objective(grainy).mean()


@every_kind
def test_a_smooth_attack_is_repeatable_and_per_image(case, kind):
    kit, x, c, ids = case(kind, steps=4)
    whole, _ = run(kit, x, c, ids)
    assert torch.equal(run(kit, x, c, ids)[0], whole)
    for i in (0, 3):
        alone, _ = run(kit, x[i : i + 1], c[i : i + 1], ids[i : i + 1])
        assert torch.equal(alone[0], whole[i])
    back, _ = run(kit, x.flip(0), c[[3, 2, 1, 0]], ids[::-1])
    assert torch.equal(back.flip(0), whole)
    assert not torch.equal(run(kit, x, c, ids, seed=1)[0], whole)


def test_further_starts_are_kept_where_they_are_better(case):
    once, more = (case(steps=1, more=f", restarts = {n}") for n in (1, 6))
    _, x, c, ids = once
    (first, objective), (best, _) = (run(kit, x, c, ids) for kit in (once[0], more[0]))
    assert (objective(best) >= objective(first)).all()
    assert (objective(best) > objective(first)).any()


def test_the_best_iterate_of_each_image_is_kept(case):
    kit, x, _, ids = case(batch=3)
    spy = Scripted([[9.0, 0.0, 0.0], [1.0, 5.0, 0.0], [2.0, 2.0, 7.0]])
    x_hat = Smooth(steps=2)(x, spy, rng=kit.rng("a", ids))
    for image, best in enumerate((0, 1, 2)):
        assert torch.equal(x_hat[image], spy.seen[best][image])


def test_a_grid_has_as_many_values_as_there_are_pixels_at_most(case):
    kit, x, c, ids = case()
    objective = build_objective("untargeted", kit.generator("toy").component, x, c)
    fine, whole = (
        Smooth(spectrum="upsampled", grid=grid, steps=2)(x, objective, rng=kit.rng("a", ids))
        for grid in (SIZE, 100)
    )
    assert torch.equal(fine, whole)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('spectrum = "fourier"', "parameter 'spectrum' of smooth: input should be 'gaussian', 'dct' or"),
        ("sigma = 0.0", "parameter 'sigma' of smooth: input should be greater than 0"),
        ("cutoff = 1.5", "parameter 'cutoff' of smooth: input should be less than or equal to 1"),
        ("cutoff = 0.0", "parameter 'cutoff' of smooth: input should be greater than 0"),
        ("grid = 0", "parameter 'grid' of smooth: input should be greater than or equal to 1"),
        ("eps = 6", "parameter 'eps' of smooth: 6 is outside [0, 1]"),
        ("restarts = 0", "parameter 'restarts' of smooth: input should be greater than or equal to 1"),
        ("radius = 3", "smooth has no parameter 'radius'"),
    ],
)
def test_a_wrong_parameter_is_told_in_one_line(toy, wrong, said):
    with pytest.raises(RegistryError) as told:
        toy(f'[attack.a]\nuse = "smooth"\nparams = {{ {wrong} }}').build("attack", "a")
    assert said in str(told.value)
    assert "\n" not in str(told.value)
