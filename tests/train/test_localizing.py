"""Training of segmenters in miniature: what they learn, what they are shown, and the held-out family."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.forensics._recovery import RecoveryNet
from magdr_plugins.forensics._segmenter import FaceBox, MappingSegmenter, Recovered, Segmenter
from torch import nn
from torch.nn import functional as F

from magdr_core.components.rng import SampleRng
from magdr_core.functional import PARTS
from magdr_core.train.forensic_recipes import FAMILY
from magdr_core.train.localizing import LocalizingTrainer, localization_loss, mapping_loss, overlap
from tests.train.forensic_world import FAMILIES, context, seeded

THREE = {f"{FAMILY}swap": 1.0, f"{FAMILY}inpainted": 1.0, f"{FAMILY}warped": 1.0}


def middle(x):
    """A parser that finds a face in the middle of every picture."""
    parts = torch.zeros(len(x), len(PARTS), *x.shape[2:])
    parts[:, PARTS.index("skin"), 8:24, 8:24] = 1
    return parts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    net = seeded(lambda: Segmenter(width=8))
    trainer = LocalizingTrainer(context(tmp_path_factory.mktemp("plain"), net, THREE, lr=5e-3), FAMILIES)
    return trainer, [trainer.step(i) for i in range(60)]


def test_localizing_teaches_pixels_overlap_and_verdict(trained):
    trainer, losses = trained
    for name in ("pixels", "dice"):
        first, last = (sum(x[name] for x in part) for part in (losses[:8], losses[-8:]))
        assert last < 0.9 * first
    quality = trainer.evaluate()
    assert set(quality) == {"iou", "flagged_real", "auc"}
    assert 0 < quality["iou"] < 1
    assert quality["flagged_real"] < 0.5


def test_the_loss_by_hand():
    found = torch.tensor([[[[-2.0, 1.0]]], [[[3.0, -1.0]]]])  # a real and a fake of two pixels
    verdict, masks = torch.tensor([-1.0, 2.0]), torch.tensor([[[[1.0, 0.0]]]])
    p = torch.sigmoid(found).flatten()
    pixels = -((1 - p[0]).log() + (1 - p[1]).log() + p[2].log() + (1 - p[3]).log()) / 4
    dice = 1 - (2 * p[2] + 1) / (p[2] + p[3] + 1 + 1)
    image = (F.softplus(torch.tensor(-1.0)) + F.softplus(torch.tensor(-2.0))) / 2
    loss, parts = localization_loss(found, verdict, masks)
    assert float(loss) == pytest.approx(float(pixels + dice / 2 + image / 2), rel=1e-5)
    assert parts["dice"] == pytest.approx(float(dice), rel=1e-5)


def test_reals_are_taught_to_be_empty():
    masks = torch.ones(1, 1, 2, 2)
    full, empty = torch.full((1, 1, 2, 2), 4.0), torch.full((1, 1, 2, 2), -4.0)
    verdict = torch.zeros(2)
    right = localization_loss(torch.cat([empty, full]), verdict, masks)[0]
    assert right < localization_loss(torch.cat([full, full]), verdict, masks)[0]
    assert right < localization_loss(torch.cat([empty, empty]), verdict, masks)[0]


def test_overlap_by_hand():
    found, truth = torch.zeros(2, 1, 1, 4).bool(), torch.zeros(2, 1, 1, 4).bool()
    found[0, ..., :2], truth[0, ..., 1:4] = True, True
    assert overlap(found, truth).tolist() == [0.25, 1.0]


@pytest.mark.parametrize("what", ["box", "recovered"])
def test_what_guides_a_segmenter_is_shown_beside_each_picture_and_mirrored_with_it(tmp_path, what):
    recovery = seeded(lambda: RecoveryNet(width=8)).eval()
    guide = {"box": FaceBox(middle), "recovered": Recovered(middle, recovery)}[what]
    net = seeded(lambda: Segmenter(width=8, guide=guide))
    trainer = LocalizingTrainer(context(tmp_path, net, THREE, pool=8, batch=8), FAMILIES)
    shown = []
    net.register_forward_pre_hook(lambda module, given: shown.append(given))
    trainer.step(0)
    x, beside = shown[0]
    assert beside.shape == (8, guide.channels, 32, 32)
    upright = [guide(x), guide(x.flip(3)).flip(3)]
    nearest = torch.stack([(beside - one).abs().amax((1, 2, 3)) for one in upright]).amin(0)
    assert (nearest < 2e-3).all()


def test_the_mapping_loss_by_hand():
    recovered = torch.zeros(4, 3, 2, 2)
    mapped = torch.stack([torch.full((3, 2, 2), v) for v in (0.1, 0.3, 0.6, 0.2)])  # two reals, two fakes
    assert float(mapping_loss(mapped, recovered)) == pytest.approx((0.2 + 2 * 0.4) / 3)


class Dark:
    """What a recovery gives that takes every face for a dark one."""

    channels = 6

    def __call__(self, x):
        dark = 0.1 + 0.2 * x
        return torch.cat([dark, (x - dark).abs()], 1)


def test_a_mapping_segmenter_learns_to_map_pictures_to_what_was_recovered_of_them(tmp_path):
    net = seeded(lambda: MappingSegmenter(width=8, guide=Dark()))
    settings = {**THREE, "mapping": 1.0}
    trainer = LocalizingTrainer(context(tmp_path, net, settings, pool=16, batch=8, lr=5e-3), FAMILIES)
    losses = [trainer.step(i)["mapping"] for i in range(40)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    x = torch.rand(2, 3, 32, 32)
    assert net.score(x).shape == (2,)
    assert net.locate(x).shape == (2, 1, 32, 32)


class Line(nn.Module):
    """A network of one weight, of which slopes are worked out by hand."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5]))

    def guide(self, x):
        return None

    def forward(self, x, guide):
        y = self.weight * (x.mean(1, keepdim=True) - 0.4)
        return y, y.mean((1, 2, 3))


def test_a_meta_step_adds_what_the_held_out_family_says_of_the_place_that_the_others_lead_to(tmp_path):
    inner = 0.7
    trainer = LocalizingTrainer(context(tmp_path, Line(), {**THREE, "meta": 1.0, "inner": inner}), FAMILIES)
    steps = []
    trainer._net.step = lambda loss: steps.append(torch.autograd.grad(loss, trainer.net.weight)[0])
    losses = trainer.step(4)
    assert {"pixels", "held_out_pixels"} <= set(losses)

    rng = SampleRng(trainer.context.recipe.seed, "localizing-step", ["4"])
    known, held = trainer.split(8, rng)
    (first,) = torch.autograd.grad(trainer.loss(known, rng)[0], trainer.net.weight)
    with torch.no_grad():
        trainer.net.weight -= inner * first
    (second,) = torch.autograd.grad(trainer.loss(held, rng)[0], trainer.net.weight)
    assert float(steps[0]) == pytest.approx(float(first + second), rel=1e-4)


def test_the_held_out_family_of_a_step_is_not_among_those_that_it_steps_on(tmp_path):
    trainer = LocalizingTrainer(context(tmp_path, Line(), {**THREE, "meta": 1.0, "inner": 0.1}), FAMILIES)
    out = set()
    for i in range(12):
        known, held = trainer.split(8, SampleRng(0, "split", [str(i)]))
        theirs = set(trainer.pairs.family[held].tolist())
        assert len(theirs) == 1
        assert not theirs & set(trainer.pairs.family[known].tolist())
        assert len(known) + len(held) == 8
        out |= theirs
    assert len(out) == 3


def test_a_meta_step_changes_the_network_once(tmp_path):
    net = seeded(lambda: Segmenter(width=8))
    settings = {**THREE, "meta": 1.0, "inner": 1e-3}
    trainer = LocalizingTrainer(context(tmp_path, net, settings, pool=16, batch=8, lr=1e-3), FAMILIES)
    before = torch.cat([p.detach().flatten() for p in net.parameters()])
    trainer.step(0)
    moved = torch.cat([p.detach().flatten() for p in net.parameters()]) - before
    assert 0 < moved.abs().max() < 1.1e-3, "one step of Adam"


def test_a_meta_split_needs_two_families(tmp_path):
    settings = {f"{FAMILY}swap": 1.0, "meta": 1.0, "inner": 0.1}
    with pytest.raises(ValueError, match="needs two"):
        LocalizingTrainer(context(tmp_path, Line(), settings, pool=8), FAMILIES)
