"""Several generators in one objective: weighted sums of what each of them says."""

from __future__ import annotations

import pytest
import torch

from magdr_core.api import JointObjective
from magdr_core.components.batch import Condition
from magdr_core.components.objective import DisruptionObjective
from magdr_core.functional import flip
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.isolation.copies import private, tensors_in

WEIGHTS = (0.25, 2.0)


class Times:
    """A generator that multiplies; with `classes` conditions of its own."""

    size = 4

    def __init__(self, factor, classes=0):
        self.factor = factor
        self.count = classes
        self.condition_names = tuple(f"c{i}" for i in range(classes))

    def __call__(self, x, c):
        shift = c.values.sum(1)[:, None, None, None] / 10 if self.count else 0.0
        return x * self.factor + shift

    def classes(self, c):
        every = torch.eye(self.count)
        return [Condition(row.expand(len(c), -1), torch.ones(len(c), self.count).bool()) for row in every]


def objective(x, factor, classes=0, target=None):
    values = torch.zeros(len(x), classes)
    G = GuardedGenerator(Times(factor, classes), f"generator x{factor}")
    return DisruptionObjective(G, x, Condition(values, values.bool()), target)


@pytest.fixture
def clean():
    return torch.linspace(0.2, 0.6, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


@pytest.fixture
def joint(clean):
    return JointObjective([objective(clean, 0.5), objective(clean, 1.0)], WEIGHTS)


def test_the_loss_is_the_weighted_sum(joint, clean):
    x = clean + 0.1
    # 4 (factor 0.1)^2: .01 of the halving generator, .04 of the copying one.
    assert torch.allclose(joint(x), torch.full((2,), 0.25 * 0.01 + 2.0 * 0.04))
    loss, disruption, feasible = joint.evaluate(x)
    assert torch.allclose(loss, joint(x))
    assert torch.allclose(disruption, torch.full((2,), (0.25 * 0.01 + 2.0 * 0.04) / 2.25))
    assert feasible.tolist() == [True, True]


def test_without_weights_it_is_the_mean(clean):
    found = JointObjective([objective(clean, 0.5), objective(clean, 1.0)])(clean + 0.1)
    assert torch.allclose(found, torch.full((2,), 0.025))


def test_the_gradient_is_the_weighted_sum(joint, clean):
    x = clean + 0.1
    loss, gradient = joint.gradient(x)
    assert torch.allclose(loss, joint(x))
    # d/dx of 4 mean (a (x - x0))^2 = 8 a^2 (x - x0) / n
    expected = 8 * (0.25 * 0.5**2 + 2.0 * 1.0**2) * (x - clean) / clean[0].numel()
    assert torch.allclose(gradient, expected, rtol=1e-5)
    seen = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(joint(seen).sum(), seen)
    assert torch.allclose(slope, gradient)


def test_infeasible_for_one_is_infeasible_for_all(joint, clean):
    class Picky(DisruptionObjective):
        def evaluate(self, x):
            loss, disruption, feasible = super().evaluate(x)
            return loss, disruption, feasible & torch.tensor([True, False])

    first = joint.objectives[0]
    picky = Picky(first.generator, first.clean, first.condition)
    _, _, feasible = JointObjective([joint.objectives[1], picky]).evaluate(clean)
    assert feasible.tolist() == [True, False]


def test_the_goal_is_where_all_are_at_theirs(clean):
    towards = objective(clean, 1.0, target=torch.zeros_like(clean))
    found = JointObjective([objective(clean, 1.0), towards], [1.0, 3.0])
    assert found.goal(0.05) == pytest.approx(1.0 * 0.05 - 3.0 * 0.05)


def test_subsets_and_processings_are_those_of_each(joint, clean):
    x = clean + 0.1
    some = torch.tensor([1])
    assert torch.equal(joint.select(some)(x[some]), joint(x)[some])
    for changed in (joint.preprocessed(lambda v: v * 0.9), joint.postprocessed(flip)):
        parts = zip(WEIGHTS, changed.objectives, strict=True)
        assert torch.allclose(changed(x), sum(w * o(x) for w, o in parts))
    assert not torch.allclose(joint.preprocessed(lambda v: v * 0.9)(x), joint(x))


def test_classes_are_taken_together_and_shorter_lists_start_again(clean):
    two, three = objective(clean, 1.0, classes=2), objective(clean, 0.5, classes=3)
    found = JointObjective([two, three], WEIGHTS).classes()
    assert len(found) == 3
    x = clean + 0.1
    expected = WEIGHTS[0] * two.classes()[0](x) + WEIGHTS[1] * three.classes()[2](x)
    assert torch.allclose(found[2](x), expected)
    assert found[0].weights == WEIGHTS


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1.0], "2 objectives, 1 weights"), ([1.0, -1.0], "finite numbers from 0 on"), ([0, 0], "one above 0")],
)
def test_weights_must_weigh(joint, weights, message):
    with pytest.raises(ValueError, match=message):
        JointObjective(joint.objectives, weights)
    with pytest.raises(ValueError, match="at least one"):
        JointObjective([])


def test_an_attack_is_given_a_private_copy(joint, clean):
    assert [t.shape for t in tensors_in(joint)] == [t.shape for t in tensors_in(joint.objectives)]
    copy = private(joint)
    copy.objectives[0].clean.fill_(0)
    assert (joint.objectives[0].clean > 0).all()
    assert copy.weights == WEIGHTS

    def brighten(x, objective):
        return x + 0.02 * objective.gradient(x + 0.01)[1].sign()

    attacked = GuardedAttack(brighten, "attack brighten", eps=0.03)(clean, joint)
    assert (joint(attacked) > joint(clean)).all()
