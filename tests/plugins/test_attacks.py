"""PGD and sign noise: inside the ball, stronger than noise, per image."""

from __future__ import annotations

import itertools

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective
from tests.plugins.attack_fakes import Scripted

TABLES = """
[attack.pgd]
params = {{ eps = {eps}, steps = {steps} }}
[attack.noise]
params = {{ eps = {eps} }}
"""


@pytest.fixture
def case(toy):
    """`case(eps, steps)`: toolkit, clean images with all levels, conditions, ids."""

    def make(eps=6 / 255, steps=8, batch=5):
        kit = toy(TABLES.format(eps=eps, steps=steps))
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (batch, 3, 16, 16), generator=generator).float() / 255
        x[:, :, 0], x[:, :, 1] = 0.0, 1.0
        values = torch.tensor([[1.0, 0.0]]).expand(batch, -1)
        return kit, x, Condition(values, values > 0), [f"face-{i}" for i in range(batch)]

    return make


def run(kit, label, x, c, ids, seed=0, kind="untargeted"):
    objective = build_objective(kind, kit.generator("toy"), x, c)
    return kit.build("attack", label)(x, objective, rng=kit.rng(label, ids, seed)), objective


@pytest.mark.parametrize("label", ["pgd", "noise"])
@pytest.mark.parametrize("eps", [0.0, 6 / 255, 0.025, 1.0])
def test_attack_stays_in_the_ball_after_rounding(case, label, eps):
    kit, x, c, ids = case(eps)
    x_hat, _ = run(kit, label, x, c, ids)
    assert (x_hat - x).abs().max() <= eps + 2e-6
    assert torch.equal((x_hat * 255).round() / 255, x_hat), "8-bit levels"
    assert x_hat.min() >= 0
    assert x_hat.max() <= 1
    assert torch.equal(x_hat, x) == (eps == 0)


def test_attack_noise_is_plus_or_minus_eps_before_clipping(case):
    kit, x, c, ids = case()
    x_hat, _ = run(kit, "noise", x, c, ids)
    steps = ((x_hat - x) * 255).round()
    room = (x >= 6 / 255) & (x <= 249 / 255)
    assert (steps[room].abs() == 6).all()
    assert 0.4 < float((steps[room] > 0).float().mean()) < 0.6
    assert set(steps[:, :, 0].unique().tolist()) == {0.0, 6.0}, "black is clipped"
    assert set(steps[:, :, 1].unique().tolist()) == {-6.0, 0.0}, "white is clipped"


@pytest.mark.parametrize("kind", ["untargeted", "towards-input", "towards-black"])
def test_attack_pgd_beats_noise(case, kind):
    kit, x, c, ids = case()
    x_hat, objective = run(kit, "pgd", x, c, ids, kind=kind)
    noisy, _ = run(kit, "noise", x, c, ids, kind=kind)
    assert (objective(x_hat) > objective(noisy)).all()
    assert (objective(x_hat) > objective(x)).all()


def test_attack_pgd_more_eps_disrupts_more(case):
    losses = []
    for eps in (0.0, 3 / 255, 12 / 255, 1.0):
        kit, x, c, ids = case(eps)
        x_hat, objective = run(kit, "pgd", x, c, ids)
        losses.append(objective(x_hat))
    assert (losses[0] == 0).all()
    assert all((a < b).all() for a, b in itertools.pairwise(losses))


@pytest.mark.parametrize("label", ["pgd", "noise"])
def test_attack_result_is_per_image_and_per_seed(case, label):
    kit, x, c, ids = case(steps=4)
    whole, _ = run(kit, label, x, c, ids)
    assert torch.equal(run(kit, label, x, c, ids)[0], whole), "repeats"
    for i in (0, 4):
        alone, _ = run(kit, label, x[i : i + 1], c[i : i + 1], ids[i : i + 1])
        assert torch.equal(alone[0], whole[i]), "alone as in the batch"
    back, _ = run(kit, label, x.flip(0), c[[4, 3, 2, 1, 0]], ids[::-1])
    assert torch.equal(back.flip(0), whole), "in another order"
    assert not torch.equal(run(kit, label, x, c, ids, seed=1)[0], whole)


def test_attack_pgd_keeps_the_best_iterate_of_each_image(case):
    kit, x, _, ids = case(eps=12 / 255, steps=3, batch=3)
    x = x * 0.5 + 0.25  # no clipping at the range's ends
    objective = Scripted([[0.0, 9.0, 0.0], [5.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 2.0, 7.0]])
    attack = kit.build("attack", "pgd").component
    x_hat = attack(x, objective, rng=kit.rng("pgd", ids))
    assert len(objective.seen) == 4, "steps gradients and one last look"
    for image, best in enumerate((1, 0, 3)):
        assert torch.equal(x_hat[image], objective.seen[best][image])


def test_attack_pgd_steps_are_a_fifth_of_eps_unless_given(case):
    kit, x, _, ids = case(eps=12 / 255, steps=1, batch=2)
    x = x * 0.5 + 0.25
    objective = Scripted([[0.0, 0.0], [1.0, 1.0]])
    kit.build("attack", "pgd").component(x, objective, rng=kit.rng("pgd", ids))
    first, second = objective.seen
    assert (first - x).abs().max() <= 12 / 255 + 1e-6
    assert (first - x).std() > 3 / 255, "a random start"
    room = first - x < 12 / 255 * 0.8 - 1e-5
    assert torch.allclose((second - first)[room], torch.tensor(12 / 255 / 5), atol=1e-6)
    assert case()[0].host.find("attack", "pgd").spec.build(eps=0.5, steps=1, step=0.25).step == 0.25


def test_attack_pgd_leaves_no_parameter_gradient(case):
    kit, x, c, ids = case(steps=2)
    G = kit.generator("toy")
    kit.build("attack", "pgd")(x, build_objective("untargeted", G, x, c), rng=kit.rng("pgd", ids))
    assert all(p.grad is None for p in G.component.parameters())
