"""Draws from global generators are blamed on who made them."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest
import torch

from magdr_core import guards as guard
from magdr_core.errors import ComponentError
from magdr_core.guards import base as watch
from magdr_core.isolation import global_random

DRAWS = {
    "torch": lambda x: torch.rand_like(x),
    "torch in a layer": lambda x: torch.nn.functional.dropout(x, 0.5).clamp(0, 1),
    "torch seeded": lambda x: (torch.manual_seed(1), x)[1],
    "numpy": lambda x: x + 0 * float(np.random.rand()),
    "numpy past its functions": lambda x: x + 0 * float(np.random.mtrand._rand.rand()),
    "Python": lambda x: x + 0 * random.random(),
    "Python's integers": lambda x: x + 0 * random.randint(1, 3),
}


@pytest.fixture
def drawing():
    """Another thread that draws from torch's global generator all the time."""
    ended = threading.Event()

    def draw():
        while not ended.wait(0.0002):
            torch.rand(1)

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()
    watch._Others.draw = False


@pytest.mark.parametrize("name", DRAWS)
def test_global_random_a_guilty_component_is_caught_beside_a_thread_that_draws(name, images, drawing):
    with pytest.raises(ComponentError, match="draws from the global random generator"):
        guard.GuardedImageMap(DRAWS[name], "map bad")(images(2))


def test_global_random_an_innocent_component_passes_beside_a_thread_that_draws(images, drawing):
    calls = []

    def slow(x):
        calls.append(len(x))
        time.sleep(0.005)
        return (x * 1.0 + torch.zeros_like(x)).clamp(0, 1)

    guarded = guard.GuardedImageMap(slow, "map")
    for _ in range(8):
        assert torch.equal(guarded(images(2)), images(2))
    assert len(calls) > 8, "the first one was made again to see who draws"


@pytest.mark.parametrize("name", DRAWS)
def test_global_random_states_are_put_back(name, images):
    before = global_random.state(torch.device("cpu"))
    with pytest.raises(ComponentError):
        guard.GuardedImageMap(DRAWS[name], "map bad")(images(2))
    assert not global_random.drawn(before, global_random.state(torch.device("cpu")))


def test_global_random_a_network_starts_from_the_same_weights_beside_a_thread_that_draws(drawing):
    with torch.random.fork_rng(devices=[]), global_random.SeededDraws(7):
        first = [torch.nn.Linear(50, 50).weight for _ in range(20)]
    with torch.random.fork_rng(devices=[]), global_random.SeededDraws(7):
        again = [torch.nn.Linear(50, 50).weight for _ in range(20)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_global_random_own_streams_have_the_bits_of_the_global_one():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        wanted = torch.nn.Conv2d(3, 4, 3).weight, torch.randn(5), torch.randperm(9)
    with global_random.SeededDraws(7):
        found = torch.nn.Conv2d(3, 4, 3).weight, torch.randn(5), torch.randperm(9)
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))
