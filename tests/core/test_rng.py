"""Random streams: a pure function of seed, component, image and draw."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from magdr_core.components.rng import SampleRng, stable_hash

IDS = [f"face-{i}" for i in range(8)]


def make(seed=0, component="pgd", ids=IDS):
    return SampleRng(seed, component, ids)


def test_rng_streams_are_pinned():
    """Stored results and drawn faces depend on these numbers: they may never change."""
    assert stable_hash("face-0") == 14345524837493750085
    assert make(7, "noise", ["face-0"]).bits(4).tolist() == [[840702467, 285610001, 1774975153, 2258984952]]


def test_rng_repeats_for_the_same_key_and_differs_for_any_other():
    first = make().bits(64)
    assert torch.equal(first, make().bits(64))
    assert not (first == make(seed=1).bits(64)).any()
    assert not (first == make(component="noise").bits(64)).any()
    assert len({tuple(row) for row in first.tolist()}) == len(IDS)


def test_rng_does_not_depend_on_batch_or_order():
    whole = make().normal(3, 5)
    assert torch.equal(make(ids=IDS[::-1]).normal(3, 5), whole.flip(0))
    for i, name in enumerate(IDS):
        assert torch.equal(make(ids=[name]).normal(3, 5)[0], whole[i])


def test_rng_successive_draws_continue_the_stream():
    parts = make()
    pieces = torch.cat([parts.bits(2, 3).flatten(1), parts.bits(10)], 1)
    assert torch.equal(pieces, make().bits(16))
    assert len(set(pieces[0].tolist())) == 16


@pytest.mark.parametrize("idx", [torch.tensor([5, 1]), torch.tensor([i in (1, 5) for i in range(8)])])
def test_rng_select_keeps_stream_and_position(idx):
    rng, untouched = make(), make()
    rng.uniform(7)
    untouched.uniform(7)
    chosen = rng.select(idx)
    assert len(chosen) == 2
    assert torch.equal(chosen.uniform(4), untouched.uniform(4)[idx])
    assert torch.equal(rng.uniform(4), make().uniform(11)[:, 7:]), "the parent did not move"


def test_rng_fork_is_fresh_and_pure():
    rng = make()
    fork = rng.fork(3).bits(32)
    assert torch.equal(rng.bits(32), make().bits(32)), "the parent did not move"
    assert torch.equal(rng.fork(3).bits(32), fork), "independent of the parent's position"
    assert torch.equal(make(ids=IDS[4:]).fork(3).bits(32), fork[4:]), "independent of the batch"
    assert torch.equal(rng.select(torch.tensor([6])).fork(3).bits(32)[0], fork[6])
    for other in (make(), rng.fork(4), rng.fork(0), rng.fork(3).fork(3)):
        assert not (other.bits(32) == fork).any()


def test_rng_repeat_interleave_gives_independent_copies_in_place():
    copies = make().repeat_interleave(3)
    assert len(copies) == 24
    drawn = copies.bits(16)
    assert len({tuple(row) for row in drawn.tolist()}) == 24
    assert torch.equal(make(ids=IDS[2:3]).repeat_interleave(3).bits(16), drawn[6:9])


def test_rng_distributions():
    rng = make()
    u = rng.uniform(4000)
    assert u.dtype == torch.float32
    assert 0 <= u.min() < 0.001
    assert 0.999 < u.max() < 1
    assert abs(float(u.mean()) - 0.5) < 0.01
    v = rng.uniform(4000, low=-1, high=1)
    assert -1 <= v.min() < -0.99
    assert 0.99 < v.max() < 1
    n = rng.normal(4000)
    assert abs(float(n.mean())) < 0.02
    assert abs(float(n.std()) - 1) < 0.02
    assert n.isfinite().all()
    k = rng.integers(4000, low=-2, high=3)
    assert k.dtype == torch.int64
    counts = torch.bincount((k + 2).flatten(), minlength=5)
    assert len(counts) == 5
    assert ((counts / k.numel() - 0.2).abs() < 0.01).all()
    s = rng.sign(4000)
    assert set(s.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(s.mean())) < 0.02


def test_rng_images_and_neighbours_are_uncorrelated():
    n = make().normal(4000)
    assert (torch.corrcoef(n) - torch.eye(len(IDS))).abs().max() < 0.07
    assert abs(float((n[:, 1:] * n[:, :-1]).mean())) < 0.02


def test_rng_shapes_including_none_and_an_empty_batch():
    assert make().uniform().shape == (8,)
    assert make().bits(2, 0).shape == (8, 2, 0)
    assert make(ids=[]).normal(2).shape == (0, 2)


def test_rng_leaves_global_generators_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    rng = make().fork(1).repeat_interleave(2)
    rng.normal(5), rng.sign(5), rng.integers(5, high=9)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


@pytest.mark.cuda
def test_rng_gives_the_same_bits_on_cuda():
    cuda = SampleRng(3, "x", IDS, device="cuda")
    cpu = SampleRng(3, "x", IDS)
    assert torch.equal(cuda.fork(2).bits(1000).cpu(), cpu.fork(2).bits(1000))
    assert torch.equal(cuda.uniform(1000).cpu(), cpu.uniform(1000))
