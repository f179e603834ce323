"""Attacks that a PSNR or an SSIM bounds: their specs, what the guard holds them to, who cannot use them."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity

from magdr_core.api import AttackSpec, Eps, Field, Need
from magdr_core.errors import ComponentError
from magdr_core.guards import GuardedAttack


class Brighter:
    """Adds a number of levels to every pixel."""

    def __init__(self, *, psnr: float = 40.0, levels: float = 2.0) -> None:
        self.levels = levels

    def __call__(self, x, objective):
        return x + self.levels / 255


def guarded(levels, psnr):
    return GuardedAttack(Brighter(levels=levels), "attack brighter", eps=10 ** (-psnr / 20), psnr=psnr)


@pytest.fixture
def x():
    return torch.full((2, 3, 4, 4), 100 / 255)


def test_images_keep_their_psnr_and_are_rounded_to_the_nearest_level(x):
    # 2 levels are 20 log10(255 / 2) = 42.11 dB; 1.6 levels are shown as 2.
    for levels in (2.0, 1.6):
        x_hat = guarded(levels, 42.0)(x, None)
        assert torch.equal((x_hat * 255).round(), torch.full_like(x, 102))


def test_an_image_of_less_psnr_is_the_attacks_fault(x):
    with pytest.raises(
        ComponentError, match=r"brighter: an image in 8 bits has a PSNR of 42.110 dB, at least 43"
    ):
        guarded(1.6, 43.0)(x, None)


def test_one_bad_image_of_a_batch_is_enough(x):
    class Unequal(Brighter):
        def __call__(self, x, objective):
            return torch.cat([x[:1], x[1:] + 3 / 255])

    attack = GuardedAttack(Unequal(), "attack unequal", eps=0.01, psnr=40.0)
    with pytest.raises(ComponentError, match=r"PSNR of 38.588 dB"):
        attack(x, None)


def test_an_unchanged_image_has_any_psnr(x):
    assert torch.equal(guarded(0.0, 120.0)(x, None), x)


def test_a_pixel_may_move_by_anything_under_a_psnr():
    x = torch.zeros(1, 3, 64, 64)

    class Spot(Brighter):
        def __call__(self, x, objective):
            moved = x.clone()
            moved[..., 0, 0] = 1.0
            return moved

    attack = GuardedAttack(Spot(), "attack spot", eps=0.02, psnr=34.0)
    assert float(attack(x, None).max()) == 1
    assert attack.limit == 1
    assert GuardedAttack(Spot(), "attack spot", eps=0.02).limit == 0.02


class Grainier(Brighter):
    """Adds and takes levels in turn, at the picture's border alone if it is told so."""

    def __init__(self, *, levels: float = 2.0, border: bool = False) -> None:
        self.levels, self.border = levels, border

    def __call__(self, x, objective):
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in x.shape[2:]), indexing="ij")
        grain = self.levels / 255 * ((rows + columns) % 2 * 2.0 - 1)
        if self.border:
            grain[3:-3, 3:-3] = 0
        return x + grain


def keeping(ssim, **how):
    return GuardedAttack(Grainier(**how), "attack grainier", eps=0.02, ssim=ssim)


def of_scikit_image(a, b):
    """(the usual SSIM, the mean of its whole map)"""
    value, whole = structural_similarity(
        *(one.permute(1, 2, 0).double().numpy() for one in (a, b)),
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    return value, float(whole.mean())


@pytest.fixture
def wide():
    return torch.full((2, 3, 24, 24), 100 / 255)


def test_images_keep_the_ssim_that_scikit_image_finds(wide):
    seen = keeping(0.0, levels=5.6)(wide, None)
    assert torch.equal((seen * 255).round().unique(), torch.tensor([94.0, 106.0])), "the nearest level"
    found = of_scikit_image(wide[0], seen[0])[0]
    assert 0.5 < found < 0.7
    assert torch.equal(keeping(found - 1e-4, levels=5.6)(wide, None), seen)
    with pytest.raises(ComponentError, match=rf"grainier: an image in 8 bits has an SSIM of {found:.3f}"):
        keeping(found + 1e-4, levels=5.6)(wide, None)


def test_a_border_does_not_escape_the_ssim(wide):
    """The usual mean leaves out five pixels on each side."""
    seen = keeping(0.0, levels=60, border=True)(wide, None)
    usual, whole = of_scikit_image(wide[0], seen[0])
    assert whole < usual - 0.1
    with pytest.raises(ComponentError, match=rf"SSIM of {whole:.3f}"):
        keeping((usual + whole) / 2, levels=60, border=True)(wide, None)


def test_the_inside_does_not_hide_behind_an_untouched_border(wide):
    class Spot(Grainier):
        def __call__(self, x, objective):
            seen = super().__call__(x, objective)
            return torch.where(torch.nn.functional.pad(torch.ones(8, 8), (8,) * 4) > 0, seen, x)

    seen = GuardedAttack(Spot(levels=9), "attack spot", eps=0.1, ssim=0.0)(wide, None)
    usual, whole = of_scikit_image(wide[0], seen[0])
    assert usual < whole - 0.05
    with pytest.raises(ComponentError, match=rf"SSIM of {usual:.3f}"):
        GuardedAttack(Spot(levels=9), "attack spot", eps=0.1, ssim=(usual + whole) / 2)(wide, None)


def test_an_unchanged_image_has_an_ssim_of_one_whatever_its_size(wide, x):
    for clean in (wide, x):  # smaller than SSIM's window, too
        assert torch.equal(keeping(1.0, levels=0.0)(clean, None), clean)


def test_one_dissimilar_image_of_a_batch_is_enough(wide):
    class Unequal(Grainier):
        def __call__(self, x, objective):
            return torch.cat([x[:1], super().__call__(x, objective)[1:]])

    with pytest.raises(ComponentError, match=r"at least 0\.95 is asked for"):
        GuardedAttack(Unequal(levels=9), "attack unequal", eps=0.1, ssim=0.95)(wide, None)


def test_what_bounds_an_attack_has_a_name():
    kept = {"linf": {}, "psnr": {"psnr": 40.0}, "ssim": {"ssim": 0.9}}
    for norm, how in kept.items():
        attack = GuardedAttack(Brighter(), "attack brighter", eps=0.02, **how)
        assert attack.norm == norm
        assert attack.limit == (0.02 if norm == "linf" else 1)


def by_eps(*, eps: Eps = 0.1):
    return None


def by_psnr(*, psnr: float = 40.0):
    return None


def by_ssim(*, ssim: float = 0.95):
    return None


def on_several(*, generators: tuple = (), eps: Eps = 0.1, count: int = Field(1)):
    return None


def test_a_spec_needs_the_parameter_of_its_norm():
    with pytest.raises(TypeError, match="attack a: build needs a parameter psnr"):
        AttackSpec(name="a", build=by_eps, norm="psnr")
    with pytest.raises(TypeError, match="attack a: build needs a parameter ssim"):
        AttackSpec(name="a", build=by_psnr, norm="ssim")
    with pytest.raises(TypeError, match="attack a: build needs a parameter eps"):
        AttackSpec(name="a", build=by_psnr)


def test_strength_is_the_ball_or_the_root_mean_square():
    assert AttackSpec(name="a", build=by_eps).strength({"eps": 0.03}) == 0.03
    assert AttackSpec(name="a", build=by_psnr, norm="psnr").strength({"psnr": 40.0}) == pytest.approx(0.01)


def test_strength_of_an_ssim_is_the_noise_that_takes_a_flat_picture_to_it():
    spec = AttackSpec(name="a", build=by_ssim, norm="ssim")
    strength = spec.strength({"ssim": 0.9})
    noise = strength * torch.randn(3, 200, 200, generator=torch.Generator().manual_seed(0))
    flat = torch.full((3, 200, 200), 0.5)
    assert of_scikit_image(flat, flat + noise)[0] == pytest.approx(0.9, abs=0.01)
    assert spec.strength({"ssim": 1.0}) == 0
    assert spec.strength({"ssim": 0.0}) == 1


def test_what_an_attack_learns_on_is_a_list_of_generators():
    several = {"generators": Need("generator", depth=1, optional=True)}
    AttackSpec(name="a", build=on_several, needs=several, learns_on="generators")
    for needs in ({}, {"generators": Need("generator")}, {"generators": Need("attack", depth=1)}):
        with pytest.raises(TypeError, match="learns_on = 'generators' is no need of a list of generators"):
            AttackSpec(name="a", build=on_several, needs=needs, learns_on="generators")
