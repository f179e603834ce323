"""C&W: the smallest change per image that passes tau, as it is delivered in 8 bits."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks.cw import CW

from magdr_core.components.batch import Condition
from magdr_core.components.objective import DisruptionObjective, build_objective

TABLES = """
[generator.strong]
use = "toy/net"
params = {{ gain = 4.0 }}
[attack.cw]
params = {{ eps = {eps}, tau = {tau}, steps = {steps}, searches = {searches} }}
[attack.pgd]
params = {{ eps = {ball}, steps = 20 }}
[attack.noise]
params = {{ eps = {ball} }}
"""


@pytest.fixture
def case(toy):
    """`case(eps, tau, ...)`: toolkit, clean images with black and white rows, conditions, ids."""

    def make(eps=1.0, tau=0.05, steps=40, searches=4, batch=4, ball=16 / 255):
        kit = toy(TABLES.format(eps=eps, tau=tau, steps=steps, searches=searches, ball=ball))
        x = (
            torch.randint(0, 256, (batch, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
            / 255
        )
        x[:, :, 0], x[:, :, 1] = 0.0, 1.0
        values = torch.tensor([[1.0, 0.0]]).expand(batch, -1)
        return kit, x, Condition(values, values > 0), [f"face-{i}" for i in range(batch)]

    return make


def run(kit, x, c, ids, seed=0, kind="untargeted", label="cw"):
    objective = build_objective(kind, kit.generator("strong"), x, c)
    return kit.build("attack", label)(x, objective, rng=kit.rng(label, ids, seed)), objective


def norm(delta):
    return delta.flatten(1).norm(dim=1)


class Linear:
    """`L(x) = slope * mean(x - x0)` per image: the nearest image that passes tau is x0 + tau / slope."""

    def __init__(self, x, slopes):
        self.x, self.slopes = x, torch.tensor(slopes)
        self.seen = 0

    def goal(self, tau):
        return tau

    def gradient(self, x):
        self.seen += 1
        slopes = self.slopes[:, None, None, None]
        return self.slopes * (x - self.x).flatten(1).mean(1), (slopes / x[0].numel()).expand_as(x)


@pytest.mark.parametrize("eps", [0.0, 1 / 255, 6 / 255, 0.025, 1.0])
def test_cw_stays_in_the_ball_after_rounding(case, eps):
    kit, x, c, ids = case(eps, steps=10, searches=2)
    x_hat, objective = run(kit, x, c, ids)
    assert (x_hat - x).abs().max() <= eps + 2e-6
    assert torch.equal((x_hat * 255).round() / 255, x_hat)
    assert torch.equal(x_hat, x) == (eps == 0)
    inner = kit.build("attack", "cw").component(x, objective, rng=kit.rng("cw", ids))
    assert torch.allclose(inner, x_hat, atol=1e-6), "the guard's rounding takes nothing away"


@pytest.mark.parametrize("eps", [1.0, 16 / 255])
def test_cw_reaches_tau_with_a_smaller_l2_than_pgd(case, eps):
    kit, x, c, ids = case(eps)
    x_hat, objective = run(kit, x, c, ids)
    pgd, _ = run(kit, x, c, ids, label="pgd")
    assert (objective(x_hat) > 0.05).all(), "the 8-bit image itself passes"
    assert (objective(pgd) > 0.05).all()
    assert (norm(x_hat - x) < 0.6 * norm(pgd - x)).all()


def test_cw_more_tau_needs_more_change(case):
    norms = []
    for tau in (0.01, 0.05, 0.15):
        kit, x, c, ids = case(tau=tau)
        x_hat, objective = run(kit, x, c, ids)
        assert (objective(x_hat) > tau).all()
        norms.append(norm(x_hat - x))
    assert (norms[0] < norms[1]).all()
    assert (norms[1] < norms[2]).all()


def test_cw_comes_near_the_optimum_of_every_image_with_its_own_constant(case):
    kit, x, _, ids = case(batch=3)
    x = (x * 0.5 * 255 + 60).round() / 255
    slopes = [0.3, 1.2, 5.0]  # optimal constants 280 times apart
    attack = CW(eps=1.0, tau=0.05, steps=100, searches=6, lr=0.01, const=0.1)
    x_hat = attack(x, Linear(x, slopes), rng=kit.rng("cw", ids))
    reached = Linear(x, slopes).gradient(x_hat)[0]
    assert (reached > 0.05).all()
    optimum = 0.05 / torch.tensor(slopes) * x[0].numel() ** 0.5
    assert (norm(x_hat - x) / optimum < 1.25).all()


def test_cw_searching_never_makes_the_change_larger(case):
    kit, x, c, ids = case(searches=1)
    once, objective = run(kit, x, c, ids)
    kit, *_ = case(searches=4)
    searched, _ = run(kit, x, c, ids)
    passed = objective(once) > 0.05
    assert (norm(searched - x)[passed] <= norm(once - x)[passed]).all()
    assert (norm(searched - x) < norm(once - x) - 1e-3).any() or not passed.all()


def test_cw_an_image_that_cannot_pass_gets_the_strongest_iterate(case):
    eps = 3 / 255
    kit, x, c, ids = case(eps, tau=4.0, ball=eps)
    x_hat, objective = run(kit, x, c, ids)
    pgd, _ = run(kit, x, c, ids, label="pgd")
    noisy, _ = run(kit, x, c, ids, label="noise")
    assert (objective(x_hat) > 3 * objective(noisy)).all()
    assert (objective(x_hat) > 0.5 * objective(pgd)).all()


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("eps", [1.0, 16 / 255])
def test_cw_pixels_at_the_range_s_end_move(case, level, eps):
    kit, x, _, ids = case(batch=2)
    x = torch.full_like(x, level)
    inward = 1.0 if level == 0 else -1.0
    attack = CW(eps=eps, tau=0.05, steps=60, searches=4, lr=0.01, const=0.1)
    x_hat = attack(x, Linear(x, [2 * inward, 3 * inward]), rng=kit.rng("cw", ids))
    assert (Linear(x, [2 * inward, 3 * inward]).gradient(x_hat)[0] > 0.05).all()
    assert ((x_hat != x).flatten(1).float().mean(1) > 0.9).all()


def test_cw_towards_a_target_comes_within_tau_of_it(case):
    kit, x, c, ids = case()
    G = kit.generator("strong")
    objective = DisruptionObjective(G, x, c, target=G((x + 0.05).clamp(0, 1), c))
    tau = 0.3 * float(-objective(x).max())
    x_hat = CW(eps=1.0, tau=tau, steps=60, searches=4, lr=0.01, const=0.1)(
        x, objective, rng=kit.rng("cw", ids)
    )
    assert (objective(x) < -tau).all()
    assert (objective(x_hat) > -tau).all()
    assert (norm(x_hat - x) < norm((x + 0.05).clamp(0, 1) - x)).all(), "nearer than the target's own input"


def test_cw_goal_of_the_objectives(case):
    kit, x, c, _ = case()
    G = kit.generator("strong")
    assert DisruptionObjective(G, x, c).goal(0.1) == 0.1
    assert DisruptionObjective(G, x, c, x).goal(0.1) == -0.1
    assert DisruptionObjective(G, x, c, x).select(torch.tensor([0])).goal(0.1) == -0.1


def test_cw_result_is_per_image_and_per_seed(case):
    kit, x, c, ids = case(steps=10, searches=3, batch=5)
    whole, _ = run(kit, x, c, ids)
    assert torch.equal(run(kit, x, c, ids)[0], whole), "repeats"
    for i in (0, 4):
        alone, _ = run(kit, x[i : i + 1], c[i : i + 1], ids[i : i + 1])
        assert torch.equal(alone[0], whole[i]), "alone as in the batch"
    three, _ = run(kit, x[[4, 0, 2]], c[[4, 0, 2]], [ids[i] for i in (4, 0, 2)])
    assert torch.equal(three, whole[[4, 0, 2]]), "in another order"
    assert not torch.equal(run(kit, x, c, ids, seed=1)[0], whole)


def test_cw_costs_one_gradient_a_step(case):
    kit, x, _, ids = case(batch=3)
    objective = Linear(x, [1.0, 1.0, 1.0])
    CW(eps=1.0, tau=0.05, steps=7, searches=3, lr=0.01, const=0.1)(x, objective, rng=kit.rng("cw", ids))
    assert objective.seen == 21


def test_cw_leaves_no_parameter_gradient(case):
    kit, x, c, ids = case(steps=2, searches=1)
    G = kit.generator("strong")
    G.component.requires_grad_(True)
    kit.build("attack", "cw")(x, build_objective("untargeted", G, x, c), rng=kit.rng("cw", ids))
    assert all(p.grad is None for p in G.component.parameters())
