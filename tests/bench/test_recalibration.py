"""What a run may take from the cache: nothing that another calibration made."""

import csv

from tests.bench.conftest import Workshop
from tests.edits import edited

TEXT = """
[registry]
name = "small"

[plugins]
local = { acme = "./scored.py" }

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.editing]
use = "stargan"
params = { weights = "random", width = 4, blocks = 1, size = 32 }

[attack.pgd]
params = { eps = "6/255", steps = 1 }

[detector.learner]
use = "acme/learner"

[defense.learner]
use = "acme/learner"

[calibration]
fit = 12
clean = 20
attacked = 4
benign = []

[profile.quick]
samples = 4
attacks = ["pgd"]
detectors = ["learner"]
defenses = ["learner"]
pictures = 0
"""

PLUGIN = '''
"""A detector and a defense that learn the mean of the faces that they are calibrated on."""
from magdr_core.api import DefenseSpec, DetectorSpec, hookimpl
MAGDR_API = 1


class Learner:
    def fit(self, data, G):
        return {"mean": float(data.clean.images.mean())}

    def load(self, state):
        self.mean = state["mean"]


class Detector(Learner):
    def __call__(self, x, c, G):
        return x.mean((1, 2, 3)) - self.mean


class Defense(Learner):
    def __call__(self, x, c, G):
        return 0.5 * x + 0.5 * self.mean


def detector():
    """Learns."""
    return Detector()


def defense():
    """Learns."""
    return Defense()


@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="learner", build=detector)]


@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="learner", build=defense)]
'''


def rows_of(run):
    with (run.folder / "results.csv").open(newline="") as f:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


def test_recalibrated_components_are_measured_again(fresh_shop, tmp_path_factory):
    (fresh_shop.folder / "scored.py").write_text(PLUGIN)
    before = fresh_shop.run(TEXT)
    other = edited(TEXT, "fit = 12", "fit = 15")
    after = fresh_shop.run(other, out="again")
    elsewhere = Workshop(tmp_path_factory.mktemp("elsewhere"))
    (elsewhere.folder / "scored.py").write_text(PLUGIN)
    assert before.failures == after.failures == []
    assert rows_of(after) == rows_of(elsewhere.run(other)), "as without what the first run left"
    for role in ("detector", "defense"):
        old, new = (
            [r for r in rows_of(run) if (r["component"], r["role"]) == ("learner", role)]
            for run in (before, after)
        )
        assert old
        assert old != new
    assert after.reused > 0, "what calibration has no part in is not computed again"
