"""Which faces a detector is scored on while it is calibrated: none that it learned from.

Observed from inside a detector, which keeps every picture that it is shown; whose face that is is found among
the dataset's own.
"""

from collections import Counter

import pytest
import torch

from magdr_core.results.store import Store
from tests.conftest import TOY

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

FIT, CLEAN, ATTACKED = 12, 20, 4
ATTACKS = ("weak", "strong")
FACES = FIT + CLEAN + 2 * ATTACKED

TABLES = f"""
[plugins]
local = {{ toy = "./toy.py", acme = "./witness.py" }}

[generator.toy]
use = "toy/net"

[dataset.faces]
use = "procedural-faces"
params = {{ size = 32 }}

[attack.weak]
use = "pgd"
params = {{ eps = "2/255", steps = 1 }}
[attack.strong]
use = "pgd"
params = {{ eps = "6/255", steps = 1 }}

[detector.witness]
use = "acme/witness"

[calibration]
fit = {FIT}
clean = {CLEAN}
attacked = {ATTACKED}
attacks = ["weak", "strong"]
benign = ["flip"]
"""


@pytest.fixture
def shown(toolkit_from, tmp_path):
    """(learned, scored): which faces of the calibration split, one entry for each picture shown."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "witness.py").write_text(WITNESS)
    kit = toolkit_from(TABLES)
    detector = kit.calibrator("toy", "faces", Store(tmp_path / "cache")).detector("witness")
    witness = type(detector.detector.component)
    known = kit.build("dataset", "faces").split("calibration")[list(range(FACES))].images
    return tuple(faces_of(torch.cat(shown), known) for shown in (witness.learned, witness.scored))


def faces_of(pictures, known):
    """Of each picture the index of the nearest known face, as it is or mirrored."""
    both = torch.cat([known, known.flip(3)]).flatten(1)
    nearest = torch.cdist(pictures.flatten(1), both).argmin(1)
    return (nearest % len(known)).tolist()


def test_thresholds_are_set_on_faces_that_the_detector_did_not_learn_from(shown):
    learned, scored = shown
    assert len(set(learned)) == FIT + ATTACKED
    assert len(set(scored)) == CLEAN + ATTACKED
    assert not set(learned) & set(scored)


def test_clean_faces_set_one_threshold_and_attacked_ones_with_their_originals_the_other(shown):
    _, scored = shown
    times = sorted(Counter(scored).values())
    pairs = 2 * len(ATTACKS)
    assert times == [1] * CLEAN + [pairs] * ATTACKED
