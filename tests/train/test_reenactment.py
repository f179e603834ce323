"""Training of the reenactment network: what its figures mean, and that it learns to move a face."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from magdr_core.components.batch import Batch
from magdr_core.components.weights import read_card
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedGenerator
from magdr_core.runtime.samples import draw_samples
from magdr_core.train import recipes, runner
from magdr_core.train.context import TESTED_FROM
from magdr_core.train.editing import change_map
from magdr_core.train.reenactment import (
    ReenactmentTrainer,
    action_units,
    disruption,
    draw_expressions,
    inside,
    reenacted,
    reenactment_quality,
)
from magdr_core.train.runner import train

TINY = replace(
    recipes.RECIPES["ganimation-faces64"],
    params={"width": 8, "blocks": 1, "size": 32},
    dataset={"size": 32, "grain": 0.0},
    pool=24,
    batch=4,
    steps=4,
    tested=4,
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)


@pytest.fixture
def context(tmp_path):
    torch.manual_seed(0)
    return runner._context(TINY, "cpu", tmp_path / "images.pt", quiet)


def quiet(message):
    pass


class Puppet(nn.Module):
    """A stand-in with given heads; conditions as the real network's."""

    def __init__(self, net, heads):
        super().__init__()
        self.real = net
        self.heads = heads
        self.condition_names, self.size = net.condition_names, net.size
        self.edited, self.draw = net.edited, net.draw

    def forward(self, x, c):
        colour, attention = self.heads(x, c)
        return attention * x + (1 - attention) * colour


def copying(x, c):
    return torch.zeros_like(x), torch.ones_like(x[:, :1])


def test_inside_is_a_mean_per_image():
    values = torch.arange(8.0).reshape(2, 1, 2, 2).expand(2, 3, 2, 2)
    region = torch.zeros(2, 1, 2, 2)
    region[0, 0, 0] = 1
    assert inside(values, region).tolist() == [0.5, 0.0]


def test_a_network_that_copies_has_ratio_one_everywhere(context):
    quality = reenactment_quality(context, Puppet(context.net, copying), 8)
    for name in ("ratio", "ratio_mouth", "ratio_brows", "ratio_eyes"):
        assert quality[name] == pytest.approx(1.0)
    assert quality["attention"] == quality["attention_inside"] == 1.0


def test_the_exact_result_has_ratio_zero_and_each_part_is_set_alone(context):
    indices = list(range(TESTED_FROM, TESTED_FROM + 8))
    batch, c = draw_expressions(context, indices)
    asked = []

    def perfect(x, condition):
        asked.append((condition.values != batch.action_units) & condition.changed)
        return reenacted(context, indices, condition.values), torch.zeros_like(x[:, :1])

    quality = reenactment_quality(context, Puppet(context.net, perfect), 8)
    assert quality["psnr"] > 100
    assert quality["ratio"] == quality["ratio_mouth"] == quality["ratio_brows"] == quality["ratio_eyes"] == 0
    mouth, brows, eyes = list(range(7, 16)), [0, 1, 2], [3, 4, 5, 16]
    assert torch.equal(asked[0], c.changed)
    for seen, units in zip(asked[1:], (mouth, brows, eyes), strict=True):
        expected = torch.zeros_like(c.changed)
        expected[:, units] = c.changed[:, units]
        assert torch.equal(seen, expected)


def test_moving_the_mouth_only_leaves_the_other_ratios_at_one(context):
    indices = list(range(TESTED_FROM, TESTED_FROM + 8))
    batch, _ = draw_expressions(context, indices)
    mouth = torch.zeros(17, dtype=torch.bool)
    mouth[6:16] = True

    def partial(x, c):
        values = torch.where(mouth, c.values, batch.action_units)
        return reenacted(context, indices, values), torch.zeros_like(x[:, :1])

    quality = reenactment_quality(context, Puppet(context.net, partial), 8)
    assert quality["ratio_mouth"] == 0
    assert quality["ratio_brows"] == quality["ratio_eyes"] == 1
    assert 0 < quality["ratio"] < 1


def test_disruption_of_a_copy_is_the_perturbation_itself(context):
    figures = disruption(context, Puppet(context.net, copying), 4)
    strength = 4 * (6 / 255) ** 2
    for name in ("noise_median", "noise_median_inside"):
        assert figures[name] == pytest.approx(strength, rel=0.05)  # less where a pixel is black or white
    assert figures["pgd_median_inside"] <= strength * 1.001
    assert figures["pgd_success"] == figures["pgd_success_inside"] == 0


def test_disruption_is_measured_inside_the_changed_region(context):
    """A colour image that breaks down inside the region shows there, and hardly over the image."""
    indices = list(range(TESTED_FROM, TESTED_FROM + 4))
    clean, c = samples_of(context)
    region = change_map(clean, reenacted(context, indices, c.values))

    def fragile(x, condition):
        broken = ((x - clean[: len(x)]).abs().amax((1, 2, 3), keepdim=True) > 0.01).float()
        return 0.25 + 0.5 * broken.expand_as(x), 1 - region[: len(x)]

    figures = disruption(context, Puppet(context.net, fragile), 4)
    assert figures["noise_median_inside"] == pytest.approx(1.0)  # .5 of [0,1] is 1 of [-1,1]
    assert figures["pgd_success_inside"] == 1
    assert figures["noise_median"] < 0.5


def test_aimed_disruption_is_not_spent_on_copied_pixels(context):
    """Inside the region the output is the picture's mean: only pixels that agree on a sign move it."""
    clean, c = samples_of(context)
    region = change_map(clean, reenacted(context, list(range(TESTED_FROM, TESTED_FROM + 4)), c.values))

    def mean(x, condition):
        return x.mean((1, 2, 3), keepdim=True).expand_as(x), 1 - region[: len(x)]

    figures = disruption(context, Puppet(context.net, mean), 4)
    strength = 4 * (6 / 255) ** 2
    assert figures["aimed_median_inside"] > 0.8 * strength
    assert figures["pgd_median_inside"] < 0.5 * strength


def samples_of(context):
    G = GuardedGenerator(Puppet(context.net, copying), "puppet")
    samples = draw_samples(context.split, G, first=TESTED_FROM, count=4, seed=0)[0]
    return samples.images, samples.conditions


def test_a_quarter_of_the_pairs_borrow_another_faces_units(context):
    context = replace(context, recipe=replace(TINY, pool=40))
    trainer = ReenactmentTrainer(context)
    batch, c = draw_expressions(context, list(range(40)))
    drawn = (trainer.conditions.values == c.values).all(1)
    borrowed = (trainer.conditions.values == batch.action_units.roll(1, 0)).all(1)
    assert (drawn | borrowed).all()
    assert 3 <= borrowed.sum() <= 18
    expected = reenacted(context, [3, 4], trainer.conditions.values[3:5])
    assert torch.equal(trainer.moved[3:5].float() / 255, expected)


def test_training_moves_the_face(context):
    """Sixty steps on a few faces: the error inside the changed region falls below copying's."""
    trainer = ReenactmentTrainer(context)
    x, target = trainer.images.float() / 255, trainer.moved.float() / 255
    region = change_map(x, target)

    def remaining():
        colour, attention = context.net.heads(x, trainer.conditions)
        y = attention * x + (1 - attention) * colour
        return float(((y - target).square() * region).sum() / ((x - target).square() * region).sum())

    for i in range(60):
        trainer.step(i)
    with torch.no_grad():
        assert remaining() < 0.9


def test_training_writes_the_gates_on_the_card_and_continues(tmp_path, tiny):
    whole = train("tiny", out=tmp_path / "whole", device="cpu", log=quiet)
    quality = read_card(whole)["quality"]
    assert {"psnr", "ratio_mouth", "attention_inside", "aimed_median_inside", "noise_median"} <= set(quality)

    def stop(done, total, losses):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("tiny", out=tmp_path / "broken", device="cpu", log=quiet, progress=stop, checkpoint_every=1)
    expected = load_file(whole)
    broken = load_file(train("tiny", out=tmp_path / "broken", device="cpu", log=quiet))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in broken.items())


class Still:
    """A split of pictures that nobody can move."""

    def __getitem__(self, indices):
        return Batch(torch.zeros(len(indices), 3, 32, 32), tuple(map(str, indices)))


def test_a_dataset_without_action_units_is_refused(context):
    split = Still()
    with pytest.raises(MagdrError, match="a dataset that knows its action units"):
        action_units(split[[0]])
    with pytest.raises(MagdrError, match="can draw a face with other action units"):
        reenacted(replace(context, split=split), [0], torch.zeros(1, 17))
