"""The aim of moving what a generator's encoder makes of an image."""

from __future__ import annotations

import math

import pytest
import torch

from magdr_core.api import JointObjective
from magdr_core.components.objective import build_objective
from magdr_core.errors import ComponentError
from magdr_core.functional import flip
from magdr_core.guards import GuardedGenerator
from magdr_core.isolation.copies import private, tensors_in
from magdr_core.testing.toys import ToyGenerator
from tests.plugins.disruptor_case import aim, condition, faces, toy


def code(x, layer):
    return ToyGenerator().features(x, condition(len(x)))[layer]


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_the_loss_is_the_share_by_which_the_code_moved(layer):
    x, other = faces(3), faces(3, seed=1)
    moved, energy = (code(other, layer) - code(x, layer)).square(), code(x, layer).square()
    expected = moved.flatten(1).mean(1) / energy.flatten(1).mean(1)
    assert torch.allclose(aim(x).encoded(layer)(other), expected, rtol=1e-5)
    assert float(aim(x).encoded(layer)(x).abs().max()) == 0


def test_towards_zero_the_loss_is_minus_what_is_left_of_the_code():
    x, other = faces(3), faces(3, seed=1)
    left = code(other, -1).square().flatten(1).mean(1) / code(x, -1).square().flatten(1).mean(1)
    assert torch.allclose(aim(x).encoded(away=False)(other), -left, rtol=1e-5)


def test_the_gradient_is_that_of_the_loss():
    x, other = faces(2), faces(2, seed=1)
    objective = aim(x).encoded()
    loss, slope = objective.gradient(other)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).sign()
    step = 1e-3
    rise = (objective(other + step * direction) - objective(other - step * direction)) / (2 * step)
    assert torch.allclose(loss, objective(other))
    assert torch.allclose((slope * direction).flatten(1).sum(1), rise, rtol=0.02, atol=1e-3)


def test_evaluating_tells_what_happens_to_the_output():
    x, other = faces(2), faces(2, seed=1)
    loss, disruption, feasible = aim(x).encoded().evaluate(other)
    assert torch.equal(loss, aim(x).encoded()(other))
    assert torch.equal(disruption, aim(x).evaluate(other)[1])
    assert feasible.all()


def test_a_subset_a_copy_and_a_processed_input_have_the_same_aim():
    x, other = faces(3), faces(3, seed=1)
    objective = aim(x).encoded()
    some = torch.tensor([2, 0])
    assert torch.equal(objective.select(some)(other[some]), objective(other)[some])
    assert torch.equal(private(objective)(other), objective(other))
    assert not {t.data_ptr() for t in tensors_in(private(objective))} & {
        t.data_ptr() for t in tensors_in(objective)
    }
    assert torch.equal(objective.preprocessed(flip)(flip(other)), objective(other))
    assert torch.equal(objective.postprocessed(flip)(other), objective(other))


def test_every_condition_has_an_aim_of_its_own():
    x = faces(2)
    assert len(aim(x).encoded().classes()) == len(aim(x).classes()) == 2


def test_several_generators_have_the_sum_of_their_codes_losses():
    x, other = faces(2), faces(2, seed=1)
    joint = JointObjective([aim(x), aim(x)], [1.0, 3.0]).encoded()
    assert torch.allclose(joint(other), 4 * aim(x).encoded()(other))


def test_no_loss_of_a_code_says_that_the_output_has_moved():
    assert aim(faces(1)).encoded().goal(0.05) == math.inf


def test_a_generator_without_such_a_layer_says_so():
    class Plain:
        size, condition_names = 16, ("a", "b")

        def __call__(self, x, c):
            return x

    x = faces(1)
    with pytest.raises(ComponentError, match="plain: has no features"):
        build_objective("untargeted", GuardedGenerator(Plain(), "generator plain"), x, condition(1)).encoded()
    with pytest.raises(ComponentError, match="there is no layer 7"):
        build_objective("untargeted", toy(), x, condition(1)).encoded(7)
