"""Training of face parsers in miniature: a net with auxiliary heads, and one without."""

from dataclasses import replace

import pytest
import torch

from magdr_core.train import recipes, runner
from magdr_core.train.parsing import ParsingTrainer

SMALL = {"dataset": {"size": 32}, "pool": 8, "batch": 4, "tested": 4}


def trainer_of(tmp_path, name, **changes):
    recipe = replace(recipes.RECIPES[name], **SMALL, **changes)
    torch.manual_seed(0)
    return ParsingTrainer(runner._context(recipe, "cpu", tmp_path / "images.pt", lambda message: None))


@pytest.fixture(scope="module")
def bisenet(tmp_path_factory):
    """A small one after 30 steps, with its first weights and its losses."""
    trainer = trainer_of(
        tmp_path_factory.mktemp("bisenet"), "bisenet-faces64", params={"width": 4, "working_size": 64}
    )
    first = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    return trainer, first, [trainer.step(i)["loss"] for i in range(30)]


def test_parsing_teaches(bisenet):
    _, _, losses = bisenet
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("head", ["conv_out", "conv_out16", "conv_out32"])
def test_parsing_teaches_every_head(bisenet, head):
    trainer, first, _ = bisenet
    now = trainer.net.state_dict()
    assert not torch.equal(now[f"{head}.conv_out.weight"], first[f"{head}.conv_out.weight"])


def test_parsing_collects_the_statistics_that_use_relies_on(bisenet):
    trainer, _, _ = bisenet
    state = trainer.net.state_dict()
    assert state["ffm.convblk.bn.num_batches_tracked"] == 30
    assert not torch.equal(
        state["ffm.convblk.bn.running_mean"], torch.zeros_like(state["ffm.convblk.bn.running_mean"])
    )


def test_parsing_measures_clean_attacked_and_noisy_faces(bisenet):
    trainer, _, _ = bisenet
    trainer.net.eval()
    quality = trainer.evaluate()
    assert {"miou_clean", "miou_attacked", "miou_noisy", "iou_brows", "iou_neck_cloth"} <= set(quality)
    assert 0.1 < quality["miou_clean"] < 1


def test_parsing_of_a_net_with_one_head(tmp_path):
    trainer = trainer_of(tmp_path, "parser-faces64", params={"width": 8})
    assert set(trainer.optimisers) == {"adam"}, "no Muon unless the recipe asks for it"
    losses = [trainer.step(i)["loss"] for i in range(12)]
    assert losses[-1] < 0.8 * losses[0]
