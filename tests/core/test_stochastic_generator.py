"""A stochastic generator draws per image: the same for the same input, whatever stands beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.components.stream_keys import content_keys
from magdr_core.guards import GuardedGenerator
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.testing.toys import grainy_generator


def grainy():
    return GuardedGenerator(grainy_generator(), "generator grainy", stochastic=True, stream="grainy")


def inputs(n, side=16):
    x = torch.linspace(0, 1, n * 3 * side * side).reshape(n, 3, side, side)
    values = (torch.arange(2 * n) % 3 / 2).reshape(n, 2)
    return x, Condition(values, values > 0)


def test_stochastic_generator_does_not_depend_on_the_batch():
    G, (x, c) = grainy(), inputs(7)
    together = G(x, c)
    assert torch.equal(torch.cat([G(x[i : i + 1], c[i : i + 1]) for i in range(7)]), together)
    order = torch.tensor([6, 2, 0, 1, 5, 4, 3])
    assert torch.equal(G(x[order], c[order]), together[order])


def test_stochastic_generator_draws_differ_between_images_conditions_and_numbers():
    G, (x, _) = grainy(), inputs(1)
    c = Condition(torch.tensor([[0.0, 1.0]]), torch.tensor([[True, False]]))
    other = Condition(c.values, ~c.changed)
    assert not torch.equal(G(x, c), G(x, other)), "only `changed` differs"
    with G.redraw(1):
        first = G(x, c)
        assert torch.equal(first, G(x, c))
    with G.redraw(2):
        assert not torch.equal(first, G(x, c))
    assert not torch.equal(first, G(x, c)), "0 is what everybody else gets"


@torch.no_grad()
def test_stochastic_generator_is_remembered_by_its_draw():
    G, (x, c) = grainy(), inputs(3)
    bare = G(x, c)
    with G.redraw(4):
        other = G(x, c)
    G.memory = OutputMemory(2**20)
    for _ in range(2):
        assert torch.equal(G(x, c), bare)
        with G.redraw(4):
            assert torch.equal(G(x, c), other)


def test_stochastic_generator_has_gradients():
    G, (x, c) = grainy(), inputs(2)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(G(x, c).sum(), x)
    assert gradient.abs().max() > 0


def test_content_keys_are_the_same_in_every_process():
    code = (
        "import torch; from magdr_core.components.stream_keys import content_keys;"
        "print(content_keys('g', torch.linspace(0, 1, 24).reshape(2, 12)).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(content_keys("g", torch.linspace(0, 1, 24).reshape(2, 12)).tolist())


@pytest.mark.parametrize("at", [0, 13, 47])
def test_content_keys_change_with_one_bit(at):
    x = torch.linspace(0.1, 1, 48).reshape(1, 48)
    y = x.clone()
    y[0, at] = torch.nextafter(y[0, at], torch.tensor(2.0))
    assert not torch.equal(content_keys("g", x), content_keys("g", y))
    assert not torch.equal(content_keys("g", x), content_keys("h", x))
    assert torch.equal(content_keys("g", 0 * x), content_keys("g", -0.0 * x))
