"""Eq. 1 and Eq. 2: what attacks maximise."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.objective import DisruptionObjective, build_objective, symmetric_mse


@pytest.fixture
def setup(toy, images, conditions):
    G, x, c = toy().generator("toy"), images(3), conditions(3)
    return G, x, c, images(3, seed=50)


def test_objective_mse_is_in_symmetric_units():
    a, b = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    b[0] = 0.5  # a difference of 1 on [-1,1]
    b[1, 0, 0, 0] = 1.0  # one of 12 values differs by 2
    assert symmetric_mse(a, b).tolist() == [1.0, pytest.approx(4 / 12)]


def test_objective_eq_1(setup):
    G, x, c, other = setup
    objective = DisruptionObjective(G, x, c)
    manual = ((2 * G(other, c) - 1) - (2 * G(x, c) - 1)).pow(2).mean((1, 2, 3))
    assert torch.allclose(objective(other), manual, rtol=1e-5)
    assert (objective(x) == 0).all()
    loss, disruption, feasible = objective.evaluate(other)
    assert torch.equal(loss, objective(other))
    assert torch.equal(disruption, loss)
    assert feasible.dtype == torch.bool
    assert feasible.all()
    assert not loss.requires_grad


@pytest.mark.parametrize(("kind", "target"), [("towards-input", "x"), ("towards-black", 0)])
def test_objective_eq_2_has_the_other_sign(setup, kind, target):
    G, x, c, other = setup
    objective = build_objective(kind, G, x, c)
    goal = x if target == "x" else torch.zeros_like(x)
    assert torch.allclose(objective(other), -symmetric_mse(G(other, c), goal))
    loss, disruption, _ = objective.evaluate(other)
    assert (loss < 0).all()
    assert torch.equal(disruption, symmetric_mse(G(other, c), G(x, c))), "disruption is against G(x0,c)"


def test_objective_untargeted_by_name(setup):
    G, x, c, other = setup
    assert build_objective("untargeted", G, x, c).target is None
    assert torch.equal(build_objective("untargeted", G, x, c)(other), DisruptionObjective(G, x, c)(other))


@pytest.mark.parametrize("kind", ["untargeted", "towards-black"])
def test_objective_gradient_is_autograd_s(setup, kind):
    G, x, c, other = setup
    objective = build_objective(kind, G, x, c)
    for p in G.component.parameters():
        p.requires_grad_(True)
    with torch.no_grad():  # attacks run without a graph; the gradient is there nevertheless
        loss, grad = objective.gradient(other)
    leaf = other.clone().requires_grad_()
    y, r = G.component(leaf, c), G.component(x, c).detach()
    manual = 4 * (y - r).square().mean((1, 2, 3)) if kind == "untargeted" else -4 * y.square().mean((1, 2, 3))
    manual.sum().backward()
    assert torch.allclose(grad, leaf.grad, atol=1e-7)
    assert grad.abs().max() > 0
    assert torch.allclose(loss, manual.detach())
    assert not loss.requires_grad
    assert not grad.requires_grad
    assert not other.requires_grad


def test_objective_gradient_leaves_no_parameter_gradient(setup):
    G, x, c, other = setup
    for p in G.component.parameters():
        p.requires_grad_(True)
    DisruptionObjective(G, x, c).gradient(other)
    assert all(p.grad is None for p in G.component.parameters())


def test_objective_gradient_is_per_image(setup):
    G, x, c, other = setup
    objective = DisruptionObjective(G, x, c)
    _, whole = objective.gradient(other)
    changed = torch.cat([other[:1], x[1:]])
    assert torch.equal(objective.gradient(changed)[1][0], whole[0])


@pytest.mark.parametrize("kind", ["untargeted", "towards-input"])
@pytest.mark.parametrize("idx", [torch.tensor([2, 0]), torch.tensor([True, False, True])])
def test_objective_select(setup, kind, idx):
    G, x, c, other = setup
    objective = build_objective(kind, G, x, c)
    G.take_passes()
    part = objective.select(idx)
    assert G.take_passes() == 0, "the references are not computed again"
    assert torch.equal(part(other[idx]), objective(other)[idx])
    for a, b in zip(part.evaluate(other[idx]), objective.evaluate(other), strict=True):
        assert torch.equal(a, b[idx])
