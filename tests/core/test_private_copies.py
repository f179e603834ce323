"""What a component is given and what it returns is nobody else's."""

from __future__ import annotations

import pytest
import torch

from magdr_core import guards as guard
from magdr_core.components.batch import Condition, Samples
from magdr_core.components.objective import build_objective
from magdr_core.components.protocols import FitData
from magdr_core.errors import ComponentError
from magdr_core.isolation.copies import private
from magdr_core.isolation.shared_tensors import SharedTensors
from magdr_core.testing.toys import ToyGenerator

WHERE = "defense bad of acme"


def generator():
    return guard.GuardedGenerator(ToyGenerator().eval(), "generator toy")


def defense(f):
    return guard.GuardedDefense(f, WHERE)


@pytest.mark.parametrize("part", ["values", "changed"])
def test_copies_an_edited_condition_is_a_fault_and_the_original_stays(part, images, conditions):
    x, c = images(2), conditions(2)
    before = getattr(c, part).clone()

    def edits(x, c, G):
        getattr(c, part).logical_not_() if part == "changed" else c.values.add_(1)
        return x

    with pytest.raises(ComponentError, match="defense bad of acme: edits its input in place"):
        defense(edits)(x, c, None)
    assert torch.equal(getattr(c, part), before)


def test_copies_what_is_kept_and_edited_later_changes_nothing(images, conditions):
    kept = []

    def keeps(x, c, G):
        for t in kept:
            t.zero_()
        y = x * 0.5
        kept[:] = [x, c.values, y]
        return y

    bad, x, c = defense(keeps), images(2), conditions(2)
    before, values = x.clone(), c.values.clone()
    first = bad(x, c, None)
    result = first.clone()
    bad(images(2, seed=5), c, None)
    assert torch.equal(first, result)
    assert torch.equal(x, before)
    assert torch.equal(c.values, values)


def test_copies_a_view_that_is_returned_is_no_view_of_the_input(images, conditions):
    x = images(2)
    y = defense(lambda x, c, G: x[:])(x, conditions(2), None)
    y.zero_()
    assert x.abs().max() > 0


def test_copies_keep_gradients_to_the_last_bit(images):
    x = images(3).requires_grad_()
    blur = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    f = lambda x: blur(x).sigmoid()  # noqa: E731
    (bare,) = torch.autograd.grad(f(x).sum(), x)
    (seen,) = torch.autograd.grad(guard.GuardedImageMap(f, WHERE)(x).sum(), x)
    assert torch.equal(bare, seen)


def test_copies_the_aim_of_an_attack_is_the_attack_s_own(images):
    x, G = images(2), generator()
    c = Condition(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool))
    aim = build_objective("untargeted", G, x, c)
    reference = aim.reference.clone()

    def attack(x, objective):
        objective.reference.zero_()
        objective.clean.zero_()
        return x

    with pytest.raises(ComponentError, match="edits its input in place"):
        guard.GuardedAttack(attack, "attack bad", eps=0.1)(x, aim)
    assert torch.equal(aim.reference, reference)
    assert aim.clean.abs().max() > 0


def fit_data(x):
    c = Condition(torch.ones(len(x), 2), torch.ones(len(x), 2, dtype=torch.bool))
    samples = Samples(x, c, tuple(map(str, range(len(x)))))
    pair = (samples, samples)
    return FitData(clean=samples, attacked={"a": pair}, training=lambda: {"t": pair})


def test_copies_fit_data_is_edited_by_nobody(images):
    data = fit_data(images(2))

    class Bad:
        def fit(self, data, G):
            data.training()["t"][0].images.zero_()
            data.attacked["a"][1].images.mul_(0)
            return {}

        def load(self, state):
            pass

    with pytest.raises(ComponentError, match="edits its input in place"):
        guard.GuardedDetector(Bad(), "detector bad").fit(data, None)
    assert data.clean.images.abs().max() > 0


def test_copies_of_fit_data_share_no_storage(images):
    data = fit_data(images(2))
    copy = private(data)
    for mine, theirs in [(copy.clean, data.clean), (copy.training()["t"][0], data.clean)]:
        assert torch.equal(mine.images, theirs.images)
        assert mine.images.data_ptr() != theirs.images.data_ptr()
        assert mine.conditions.values.data_ptr() != theirs.conditions.values.data_ptr()
        assert mine.ids == theirs.ids


@pytest.mark.parametrize("name", ["forward", "component", "memory", "passes", "anything"])
def test_handle_refuses_to_be_changed(name, images):
    G = generator()
    handle = private(G)
    c = Condition(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool))
    before = G(images(2), c)
    with pytest.raises(AttributeError, match="a generator cannot be changed"):
        setattr(handle, name, None)
    with pytest.raises(AttributeError, match="a generator cannot be changed"):
        setattr(type(handle), name, None)
    assert torch.equal(handle(images(2), c), before)
    assert handle.size == G.size
    assert handle.edited(c).shape[0] == 2
    assert handle.features(images(2), c, 0).shape[0] == 2
    assert not hasattr(handle, "component")
    assert not hasattr(handle, "take_passes")


def test_shared_tensors_are_put_back_and_named():
    net = torch.nn.Linear(2, 2).requires_grad_(False)
    image = torch.rand(1, 3, 4, 4)
    shared = SharedTensors()
    shared.add("clean images", image)
    shared.add_networks("the generator", [net])
    before, weight = image.clone(), net.weight.clone()
    assert shared.restore() == []
    image.data.mul_(0)
    net.weight.data.add_(1)
    assert shared.restore() == ["clean images", "the generator"]
    assert torch.equal(image, before)
    assert torch.equal(net.weight, weight)
    assert shared.restore() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64], ids=str)
def test_shared_tensors_are_the_same_to_the_bit(dtype):
    shared, values = SharedTensors(), torch.tensor([[1, 0, 3], [4, 5, 6]]).to(dtype)
    turned = values.t()  # no contiguous memory
    shared.add("values", turned)
    if dtype.is_floating_point:
        values[0, 2] = float("nan")
        assert shared.restore() == ["values"]
        holes = torch.full((2,), float("nan"), dtype=dtype)
        shared.add("holes", holes)
        assert shared.restore() == [], "what is no number is the same as itself"
        zero = torch.zeros(1, dtype=dtype)
        shared.add("zero", zero)
        zero.neg_()
        assert shared.restore() == ["zero"], "-0 is another number than 0"
    turned[2, 1] += 1
    assert shared.restore() == ["values"]
    assert turned.tolist() == [[1, 4], [0, 5], [3, 6]]
    assert shared.restore() == []
