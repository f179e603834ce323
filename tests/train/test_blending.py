"""Training on blends of real faces in miniature."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.forensics._networks import PlainNet
from magdr_plugins.forensics._segmenter import Segmenter

from magdr_core.components.rng import SampleRng
from magdr_core.train.blending import BlendingTrainer, boundary, looks
from magdr_core.train.forensic_recipes import FAMILY
from tests.train.forensic_world import FAMILIES, Counting, context, seeded

SELF = {f"{FAMILY}self-blended": 1.0}


@pytest.fixture(scope="module")
def x_ray(tmp_path_factory):
    """A segmenter after 30 updates on blends of two faces, with its losses and what its family was shown."""
    family = Counting(FAMILIES["swap"])
    net = seeded(lambda: Segmenter(width=8))
    settings = {f"{FAMILY}swap": 1.0, "boundary": 20.0}
    trainer = BlendingTrainer(context(tmp_path_factory.mktemp("ray"), net, settings), {"swap": family})
    return trainer, [trainer.step(i) for i in range(30)], family


def test_blending_teaches_the_verdict_and_the_border(x_ray):
    trainer, losses, _ = x_ray
    for name in ("verdict", "boundary"):
        first, last = (sum(x[name] for x in part) for part in (losses[:5], losses[-5:]))
        assert last < 0.9 * first
    assert trainer.evaluate()["auc"] > 0.5


def test_only_real_faces_of_the_pool_are_blended_and_new_fakes_are_made_each_time(x_ray):
    trainer, _, family = x_ray
    assert set(trainer.context.drawn_once(dict)) == {"images", "masks"}, "no fake is kept"
    shown = (torch.cat(family.shown[:30]) * 255).round().byte()
    pool = trainer.images.flatten(1)
    assert all((pool == one.flatten()).all(1).any() for one in shown)
    assert len(set(family.ids[:240])) == 240


def test_the_border_is_taught_where_the_pictures_were_blended(x_ray, monkeypatch):
    trainer, _, _ = x_ray
    shown = []
    monkeypatch.setattr(trainer, "_learn", lambda x, fake, wanted: shown.append((x, fake, wanted)))
    trainer.step(100)
    x, fake, wanted = shown[0]
    assert wanted[fake < 0.5].abs().max() == 0
    changed = ((x[8:] - x[:8]).abs().amax(1, keepdim=True) > 0.05).float()
    here, there = ((changed * w).sum((1, 2, 3)) for w in (wanted[8:], wanted[8:].flip(3)))
    assert here.sum() > there.sum() * 1.02
    assert (here >= there).float().mean() > 0.6


def test_a_network_without_a_map_learns_the_verdict_alone(tmp_path):
    net = seeded(lambda: PlainNet(width=8))
    trainer = BlendingTrainer(context(tmp_path, net, {**SELF, "augment": 1.0, "boundary": 20.0}), FAMILIES)
    before = [p.clone() for p in net.parameters()]
    losses = [trainer.step(i) for i in range(2)]
    assert set(losses[0]) == {"verdict"}
    assert not all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_a_donor_is_another_face_and_more_alike_than_most(x_ray):
    trainer, _, _ = x_ray
    pick = torch.arange(32)
    found = trainer.donors(pick, SampleRng(0, "donors", [str(i) for i in range(32)]))
    assert (found != pick).all()
    distance = (trainer._looks[:, None] - trainer._looks[None]).square().sum(2)
    assert distance[pick, found].mean() < 0.6 * distance.sum() / (32 * 31)


def test_looks_are_where_how_large_and_of_which_colour_the_skin_is():
    images, masks = torch.zeros(2, 3, 9, 9), torch.zeros(2, 19, 9, 9)
    masks[0, 1, 2, 4] = masks[1, 1, 6:8, 4] = 255
    images[0, 2] = 255
    found = looks(images.byte(), masks.byte())
    assert found[0, 0] < found[1, 0], "higher up"
    assert found[0, 1] == found[1, 1]
    assert found[0, 2] < found[1, 2], "less tall"
    assert found[0, 6] > found[1, 6]


def test_the_boundary_is_one_along_the_border_and_nothing_elsewhere():
    masks = torch.zeros(2, 1, 64, 64)
    masks[1, :, :, 32:] = 1
    found = boundary(masks)
    assert found[0].abs().max() == 0
    assert found[1, 0, 30, 31:33].min() > 0.9
    assert found[1, 0, 30, [5, 60]].max() < 1e-3
