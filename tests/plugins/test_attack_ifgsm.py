"""I-FGSM: from the image itself, but for the jitter without which it could not leave it."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks.ifgsm import JITTER

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective
from tests.plugins.attack_fakes import Scripted


@pytest.fixture
def case(toy):
    """`case(eps, steps)`: toolkit, clean images with black and white rows, conditions, ids."""

    def make(eps=6 / 255, steps=6, batch=5):
        kit = toy(f"[attack.ifgsm]\nparams = {{ eps = {eps}, steps = {steps} }}\n[attack.noise]")
        x = (
            torch.randint(0, 256, (batch, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
            / 255
        )
        x[:, :, 0], x[:, :, 1] = 0.0, 1.0
        values = torch.tensor([[1.0, 0.0]]).expand(batch, -1)
        return kit, x, Condition(values, values > 0), [f"face-{i}" for i in range(batch)]

    return make


def run(kit, x, c, ids, seed=0, kind="untargeted", label="ifgsm"):
    objective = build_objective(kind, kit.generator("toy"), x, c)
    return kit.build("attack", label)(x, objective, rng=kit.rng(label, ids, seed)), objective


@pytest.mark.parametrize("eps", [0.0, 0.0002, 6 / 255, 0.025, 1.0])
def test_ifgsm_stays_in_the_ball_after_rounding(case, eps):
    kit, x, c, ids = case(eps)
    x_hat, _ = run(kit, x, c, ids)
    assert (x_hat - x).abs().max() <= eps + 2e-6
    assert torch.equal((x_hat * 255).round() / 255, x_hat)
    assert torch.equal(x_hat, x) == (eps < 1 / 255)


@pytest.mark.parametrize("kind", ["untargeted", "towards-input", "towards-black"])
def test_ifgsm_beats_noise(case, kind):
    kit, x, c, ids = case()
    x_hat, objective = run(kit, x, c, ids, kind=kind)
    noisy, _ = run(kit, x, c, ids, kind=kind, label="noise")
    assert (objective(x_hat) > objective(noisy)).all()


def test_ifgsm_starts_at_the_image_and_steps_by_a_fifth_of_eps(case):
    kit, x, _, ids = case(eps=10 / 255, steps=2, batch=2)
    x = x * 0.5 + 0.25  # no clipping at the range's ends
    spy = Scripted([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    kit.build("attack", "ifgsm").component(x, spy, rng=kit.rng("a", ids))
    first, second, third = spy.seen
    jitter = (first - x).abs()
    assert 0 < jitter.max() <= JITTER + 1e-6
    assert jitter.mean() > JITTER / 4, "at the clean image the gradient of Eq. 1 is exactly zero"
    assert torch.allclose(second - first, torch.tensor(2 / 255), atol=1e-6)
    assert torch.allclose(third - first, torch.tensor(4 / 255), atol=1e-6)
    assert kit.host.find("attack", "ifgsm").spec.build(eps=0.5, step=0.25).step == 0.25


def test_ifgsm_keeps_the_best_iterate_of_each_image(case):
    kit, x, _, ids = case(steps=2, batch=3)
    spy = Scripted([[9.0, 0.0, 0.0], [1.0, 5.0, 0.0], [2.0, 2.0, 7.0]])
    x_hat = kit.build("attack", "ifgsm").component(x, spy, rng=kit.rng("a", ids))
    for image, best in enumerate((0, 1, 2)):
        assert torch.equal(x_hat[image], spy.seen[best][image])


def test_ifgsm_result_is_per_image(case):
    kit, x, c, ids = case(steps=4)
    whole, _ = run(kit, x, c, ids)
    for i in (0, 4):
        alone, _ = run(kit, x[i : i + 1], c[i : i + 1], ids[i : i + 1])
        assert torch.equal(alone[0], whole[i])
    back, _ = run(kit, x.flip(0), c[[4, 3, 2, 1, 0]], ids[::-1])
    assert torch.equal(back.flip(0), whole)


def test_ifgsm_leaves_no_parameter_gradient(case):
    kit, x, c, ids = case(steps=2)
    G = kit.generator("toy")
    G.component.requires_grad_(True)
    kit.build("attack", "ifgsm")(x, build_objective("untargeted", G, x, c), rng=kit.rng("a", ids))
    assert all(p.grad is None for p in G.component.parameters())
