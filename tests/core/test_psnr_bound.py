"""Attacks that a PSNR bounds: what their specs say, what the guard holds them to, and who cannot use them."""

from __future__ import annotations

import pytest
import torch

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


def by_eps(*, eps: Eps = 0.1):
    return None


def by_psnr(*, psnr: float = 40.0):
    return None


def on_several(*, generators: tuple = (), eps: Eps = 0.1, count: int = Field(1)):
    return None


def test_a_spec_needs_the_parameter_of_its_norm():
    with pytest.raises(TypeError, match="attack a: build needs a parameter psnr"):
        AttackSpec(name="a", build=by_eps, norm="psnr")
    with pytest.raises(TypeError, match="attack a: build needs a parameter eps"):
        AttackSpec(name="a", build=by_psnr)


def test_strength_is_the_ball_or_the_root_mean_square():
    assert AttackSpec(name="a", build=by_eps).strength({"eps": 0.03}) == 0.03
    assert AttackSpec(name="a", build=by_psnr, norm="psnr").strength({"psnr": 40.0}) == pytest.approx(0.01)


def test_what_an_attack_learns_on_is_a_list_of_generators():
    several = {"generators": Need("generator", depth=1, optional=True)}
    AttackSpec(name="a", build=on_several, needs=several, learns_on="generators")
    for needs in ({}, {"generators": Need("generator")}, {"generators": Need("attack", depth=1)}):
        with pytest.raises(TypeError, match="learns_on = 'generators' is no need of a list of generators"):
            AttackSpec(name="a", build=on_several, needs=needs, learns_on="generators")
