"""What forensic models learn from, and where their thresholds come from."""

import numpy as np
import pytest
import torch

from magdr_core.forensics.making import degrade, family_of
from magdr_core.forensics.teaching import Teacher
from magdr_core.measures.thresholds import threshold_at_fpr
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit

REGISTRY = """
[registry]
name = "teaching"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[generator.forensics]
use = "untouched"
[forgery.swap]
[forgery.splice]
[augmentation.grainy]
use = "noise"
params = { sigma = 0.1 }
[forensic.statistics]
families = ["swap", "splice"]
qualities = ["grainy"]
[calibration]
clean = 100
train = 8
fpr = 0.05
"""


@pytest.fixture
def teacher(tmp_path):
    path = tmp_path / "teaching.toml"
    path.write_text(REGISTRY)
    kit = Toolkit.from_registry(path, device="cpu")
    return Teacher(kit, kit.build("dataset", "faces"), Store(tmp_path / "store"), lambda *told: None)


def part(teacher, name, count):
    own = teacher.partition.train if name == "train" else teacher.partition.clean
    return teacher.data.split(name)[list(own.samples)[:count]]


def test_pairs_are_of_the_train_split_and_differ_by_the_forgery_alone(teacher):
    families = [family_of(teacher.toolkit, label) for label in ("swap", "splice")]
    train = part(teacher, "train", 8)
    data = teacher.pairs(teacher.data, families, ())
    assert data.ids == train.ids * 2
    assert data.families == ("swap",) * 8 + ("splice",) * 8
    assert torch.equal(data.real, train.images.repeat(2, 1, 1, 1))
    for row, ours in enumerate(data.fake):
        changed = (ours != data.real[row]).any(0)
        assert changed.any()
        far = torch.nn.functional.max_pool2d(data.masks[row], 17, 1, 8)[0] == 0
        assert not changed[far].any()


def test_a_quality_is_that_of_both_pictures_of_a_pair_with_the_same_draws(teacher):
    families = [family_of(teacher.toolkit, "splice")]
    plain, data = (teacher.pairs(teacher.data, families, q) for q in ((), ("grainy",)))
    assert {"", "grainy"} == set(data.qualities)
    for row, quality in enumerate(data.qualities):
        for before, after in ((plain.real, data.real), (plain.fake, data.fake)):
            wanted = before[row : row + 1]
            if quality:
                wanted = degrade(teacher.toolkit, quality, wanted, [data.ids[row]], teacher.policy.seed)
            assert torch.equal(after[row : row + 1], wanted)


def test_the_threshold_is_of_reals_of_the_calibration_split(teacher):
    taught = teacher.taught("statistics")
    scores = taught.model.score(part(teacher, "calibration", 100).images)
    assert taught.threshold == pytest.approx(float(threshold_at_fpr(np.asarray(scores.double()), 0.05)))
