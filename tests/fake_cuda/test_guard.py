"""Core's checks of a component's call on a device: they wait once, at the end, and none is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magdr_core.errors import ComponentError
from magdr_core.guards import GuardedImageMap
from magdr_core.isolation.expectations import deferred
from magdr_core.testing.fake_cuda import UPLOAD, WAIT, fake_cuda
from magdr_core.testing.subject import Subject
from magdr_core.testing.world import World

CALLED = {
    "metric ssim": lambda f, s, b: f(b.images, b.others, b.masks),
    "augmentation jpeg": lambda f, s, b: f(b.images),
    "restoration bilateral": lambda f, s, b: f(b.images),
    "generator stargan": lambda f, s, b: f(b.images, b.conditions),
    "parser unet": lambda f, s, b: f(b.images),
    "attack noise": lambda f, s, b: f(b.images, s.objective(b), rng=s.rng(b)),
    "detector feature-squeezing": lambda f, s, b: f(b.images, b.conditions, s.toy_generator),
    "defense filter": lambda f, s, b: f(b.images, b.conditions, s.toy_generator),
}


@pytest.fixture(scope="module")
def world():
    with fake_cuda() as card:
        world = World({}, base=Path.cwd(), device="cuda:0")
        world.host.load("builtin")
        yield world, card


@pytest.mark.parametrize("name", CALLED)
def test_a_guarded_call_waits_once_and_only_at_the_end(name, world):
    world, card = world
    entry = next(e for e in world.host.entries() if f"{e.kind} {e.name}" == name)
    subject = Subject(entry, world, {}, tolerance=0)
    batch, call = subject.batch, CALLED[name]
    call(subject.guarded, subject, batch)
    card.events.clear()
    with deferred() as checks:
        call(subject.guarded, subject, batch)
        assert card.count(WAIT, UPLOAD) == 0
        assert len(checks) > 0
    assert card.count(WAIT, UPLOAD) == 1


FAULTS = {
    "edits its input": lambda x: x.mul_(0.5).clone(),
    "NaN": lambda x: x * torch.nan,
    "values in": lambda x: x + 2,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_when_the_checks_are_settled(fault, world):
    guarded = GuardedImageMap(FAULTS[fault], "restoration wrong")
    x = torch.full((2, 3, 4, 4), 0.5, device="cuda")
    with pytest.raises(ComponentError, match=fault), deferred():
        guarded(x)
    assert float(x.min()) == 0.5, "what the caller holds is as it was"
