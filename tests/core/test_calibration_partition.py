"""Which faces a detector is scored on while it is calibrated: none that it learned from.

Observed from inside a detector, which keeps every picture that it is shown; whose face that is is found among
the dataset's own.
"""

import random
from collections import Counter

import pytest
import torch

from magdr_core.calibration.partition import CalibrationPartition
from magdr_core.registry.settings import CalibrationPolicy
from magdr_core.results.store import Store
from tests.conftest import TOY
from tests.edits import edited

WITNESS = '''
"""A detector that keeps the pictures that it learns from, and those that it is scored on."""
import torch
from magdr_core.api import DetectorSpec, hookimpl
MAGDR_API = 1


class Witness:
    learned, scored = [], []  # of the class: a copy's pictures are kept as well

    def fit(self, data, G):
        pairs = [samples for pair in data.attacked.values() for samples in pair]
        for samples in (data.clean, *pairs, *data.harmless.values()):
            self.learned.append(samples.images.clone())
        return {"mean": float(data.clean.images.mean())}

    def load(self, state):
        self.mean = state["mean"]

    def __call__(self, x, c, G):
        self.scored.append(x.clone())
        return (x - self.mean).abs().mean((1, 2, 3))


def witness():
    """Witness."""
    return Witness()


@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="witness", build=witness)]
'''

ATTACKS = ("weak", "strong")

TABLES = """
[plugins]
local = { toy = "./toy.py", acme = "./witness.py" }

[generator.toy]
use = "toy/net"

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[attack.weak]
use = "pgd"
params = { eps = "2/255", steps = 1 }
[attack.strong]
use = "pgd"
params = { eps = "6/255", steps = 1 }

[detector.witness]
use = "acme/witness"

[calibration]
attacks = ["weak", "strong"]
benign = ["flip"]
"""

POLICIES = [
    CalibrationPolicy(fit=12, clean=20, attacked=4),
    CalibrationPolicy(fit=31, clean=23, attacked=5),
]


@pytest.fixture(params=POLICIES, ids=lambda p: f"{p.fit}-{p.clean}-{p.attacked}")
def policy(request):
    return request.param


@pytest.fixture
def shown(toolkit_from, tmp_path, policy):
    """(learned, scored): which faces of the calibration split, one entry for each picture shown."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "witness.py").write_text(WITNESS)
    numbers = f"fit = {policy.fit}\nclean = {policy.clean}\nattacked = {policy.attacked}\n"
    kit = toolkit_from(TABLES + numbers)
    detector = kit.calibrator("toy", "faces", Store(tmp_path / "cache")).detector("witness")
    witness = type(detector.detector.component)
    count = sum(CalibrationPartition.of(policy).counts)
    known = kit.build("dataset", "faces").split("calibration")[list(range(count))].images
    return tuple(faces_of(torch.cat(shown), known) for shown in (witness.learned, witness.scored))


def faces_of(pictures, known):
    """Of each picture the index of the nearest known face, as it is or mirrored."""
    both = torch.cat([known, known.flip(3)]).flatten(1)
    nearest = torch.cdist(pictures.flatten(1), both).argmin(1)
    return (nearest % len(known)).tolist()


def test_thresholds_are_set_on_faces_that_the_detector_did_not_learn_from(shown, policy):
    learned, scored = shown
    assert len(set(learned)) == policy.fit + policy.attacked
    assert len(set(scored)) == policy.clean + policy.attacked
    assert not set(learned) & set(scored)


def test_clean_faces_set_one_threshold_and_attacked_ones_with_their_originals_the_other(shown, policy):
    _, scored = shown
    times = sorted(Counter(scored).values())
    pairs = 2 * len(ATTACKS)
    assert times == [1] * policy.clean + [pairs] * policy.attacked


def test_each_step_looks_at_the_faces_of_its_part(shown, policy):
    learned, scored = shown
    parts = CalibrationPartition.of(policy)
    assert set(learned) == {*parts.samples("fit"), *parts.samples("learned")}
    assert set(scored) == {*parts.samples("clean"), *parts.samples("held_out")}


class Recorded:
    """A dataset that notes which faces it was asked for, by split."""

    def __init__(self, dataset):
        self.dataset, self.size, self.asked = dataset, dataset.size, {}

    def split(self, name):
        asked, split = self.asked.setdefault(name, []), self.dataset.split(name)

        class Noting:
            def __len__(self):
                return len(split)

            def __getitem__(self, indices):
                asked.append(list(indices))
                return split[indices]

        return Noting()

    def fingerprint(self):
        return self.dataset.fingerprint()


def test_the_dataset_is_asked_for_the_faces_of_the_parts_and_for_no_other(toolkit_from, tmp_path, policy):
    (tmp_path / "toy.py").write_text(TOY)
    supervised = edited(WITNESS, ("build=witness", "build=witness, supervised=True"))
    supervised = edited(
        supervised, ("def fit(self, data, G):", "def fit(self, data, G):\n        data.training()")
    )
    (tmp_path / "witness.py").write_text(supervised)
    numbers = f"fit = {policy.fit}\nclean = {policy.clean}\nattacked = {policy.attacked}\ntrain = 5\n"
    kit = toolkit_from(TABLES + numbers)
    faces = Recorded(kit.build("dataset", "faces"))
    calibrator = kit.with_dataset("faces", faces).calibrator("toy", "faces", Store(tmp_path / "cache"))
    calibrator.detector("witness")
    parts = CalibrationPartition.of(calibrator.policy)
    assert set(faces.asked) == {"calibration", "train"}
    assert sorted({i for asked in faces.asked["train"] for i in asked}) == list(parts.samples("train"))
    # At any one time the faces of one part are asked for, and in the end those of all.
    drawn = {tuple(asked) for asked in faces.asked["calibration"]}
    assert drawn == {tuple(parts.samples(name)) for name in ("fit", "clean", "held_out", "learned")}


# -- any policy --------------------------------------------------------------------------------------------


def policies():
    """The smallest, and others of odd numbers."""
    draw = random.Random(0)
    yield CalibrationPolicy(fit=12, clean=20, attacked=4, train=4)
    for _ in range(200):
        fit, clean, attacked, train = (draw.randint(low, 400) for low in (12, 20, 4, 4))
        yield CalibrationPolicy(fit=fit, clean=clean, attacked=attacked, train=train)


def test_no_two_parts_share_a_face_whatever_the_policy():
    for policy in policies():
        parts = CalibrationPartition.of(policy)
        faces = [(part.split, i) for part in (*parts, parts.train) for i in part.samples]
        assert len(faces) == len(set(faces))
        assert parts.counts == (policy.fit, policy.clean, policy.attacked, policy.attacked)
        assert parts.train.count == policy.train
        # No face between the parts is left unused either: a split need be no larger than their sum.
        assert sorted(i for split, i in faces if split == "calibration") == list(range(sum(parts.counts)))


def test_repeated_pictures_stay_in_their_part():
    parts = CalibrationPartition.sized(7, 9, 4)
    assert parts.times(3).counts == (21, 27, 12, 12)
    assert parts.times(1) == parts
