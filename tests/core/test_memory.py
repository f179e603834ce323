"""Outputs that were computed once are not computed again, and are what they were."""

import torch

from magdr_core.components.batch import Condition
from magdr_core.guards import GuardedGenerator
from magdr_core.guards.output_cache import OutputMemory


class Counting(torch.nn.Module):
    size = 8
    condition_names = ("a",)

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x, c):
        self.seen += len(x)
        return x * c.values[:, :1, None, None]

    def edited(self, c):
        return torch.zeros(len(c), 19, dtype=torch.bool)


def images(n, seed=0):
    return torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def condition(*values):
    v = torch.tensor(values)[:, None]
    return Condition(v, torch.ones_like(v, dtype=torch.bool))


def remembering(capacity=2**20):
    G = GuardedGenerator(Counting(), "counting")
    G.memory = OutputMemory(capacity)
    return G


@torch.no_grad()
def test_the_same_image_and_condition_are_computed_once():
    G, x = remembering(), images(4)
    c = condition(0.1, 0.2, 0.3, 0.4)
    first = G(x, c)
    again = G(x.flip(0), c[torch.tensor([3, 2, 1, 0])])
    assert torch.equal(again.flip(0), first)
    assert G.component.seen == 4
    assert G.passes == 8, "what was remembered counts as a pass"


@torch.no_grad()
def test_another_condition_is_another_output():
    G, x = remembering(), images(1)
    assert not torch.equal(G(x, condition(0.1)), G(x, condition(0.9)))


@torch.no_grad()
def test_a_batch_with_the_same_image_twice_is_complete():
    G, x = remembering(), images(2)
    twice = torch.cat([x, x])
    assert torch.equal(G(twice, condition(0.5, 0.5, 0.5, 0.5)), twice * 0.5)


@torch.no_grad()
def test_memory_is_bounded_and_the_oldest_goes_first():
    one = images(1).nbytes
    G = remembering(3 * one)
    for seed in range(5):
        G(images(1, seed), condition(0.5))
        assert G.memory.held <= 3 * one
    seen = G.component.seen
    G(images(1, 4), condition(0.5))
    assert G.component.seen == seen
    G(images(1, 0), condition(0.5))
    assert G.component.seen > seen


def test_nothing_is_remembered_with_gradients():
    G, x = remembering(), images(2).requires_grad_(True)
    c = condition(0.5, 0.5)
    for _ in range(2):
        (gradient,) = torch.autograd.grad(G(x, c).sum(), x)
        assert (gradient == 0.5).all()
    assert G.component.seen == 4


class ByAll(Counting):
    """Uses everything that a condition holds."""

    def forward(self, x, c):
        masks = 0 if c.oracle_masks is None else c.oracle_masks.mean((1, 2, 3))[:, None, None, None]
        return (x * 0.25 + 0.25 * c.changed[:, :1, None, None] + 0.25 * masks).clamp(0, 1)


@torch.no_grad()
def test_memory_keys_by_everything_in_a_condition():
    G, x = GuardedGenerator(ByAll(), "by all"), images(1)
    values = torch.ones(1, 1)
    some, none = (Condition(values, torch.tensor([[on]])) for on in (True, False))
    masked = some.with_oracle(torch.full((1, 2, 8, 8), 0.5))
    bare = [G(x, c) for c in (some, none, masked)]
    G.memory = OutputMemory(2**20)
    for _ in range(2):
        for c, wanted in zip((some, none, masked), bare, strict=True):
            assert torch.equal(G(x, c), wanted)


@torch.no_grad()
def test_memory_is_not_shared_between_generators():
    one, other, x, c = remembering(), GuardedGenerator(ByAll(), "by all"), images(1), condition(0.5)
    wanted = other(x, c)
    other.memory = one.memory
    one(x, c)
    assert torch.equal(other(x, c), wanted)


@torch.no_grad()
def test_memory_does_not_give_what_was_computed_in_another_arithmetic():
    G, x, c = remembering(), images(1), condition(0.5)
    with torch.autocast("cpu", torch.bfloat16):
        G(x, c)
    G(x, c)
    assert G.component.seen == 4, "each pass was made, of an odd image twice"


@torch.no_grad()
def test_memory_forgets():
    G, x, c = remembering(), images(2), condition(0.5, 0.5)
    G(x, c)
    G.memory.forget()
    assert G.memory.held == 0
    G(x, c)
    assert G.component.seen == 4


@torch.no_grad()
def test_memory_gives_nobody_what_it_keeps():
    G, x, c = remembering(), images(1), condition(0.5)
    first = G(x, c)
    wanted = first.clone()
    first.zero_()
    assert torch.equal(G(x, c), wanted)
