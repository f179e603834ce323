"""A MagDR whose gradient was cut by mistake does not pass the checks; MagDR itself does."""

import pytest

from magdr_core.bench.run import Bench
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from tests.checks.world import WORLD
from tests.conftest import TOY

RUN = (
    WORLD
    + """
[registry]
name = "wrong"
device = "cpu"

[plugins]
local = { toy = "./toy.py", wrong = "./wrong.py" }

[parser.whole]

[magdr]
parser = "whole"
criteria = ["l1"]
augmentations = ["shift", "gaussian"]

[detector.magdr]
params = { form = "standardised" }

[detector.cut]
use = "wrong/magdr"

[calibration]
fit = 16
clean = 32
attacked = 4
attacks = ["pgd"]

[profile.quick]
samples = 4
attacks = ["pgd"]
detectors = ["magdr", "cut"]
checks = { faces = 4, steps = 2, draws = 1 }
"""
)

WRONG = '''
"""MagDR as it could go wrong: the image is detached on its way in, and the spec says otherwise."""
from magdr_core.api import DetectorSpec, MagDRDetector, Need, hookimpl

MAGDR_API = 1


class Cut(MagDRDetector):
    def inspect(self, x, c, G, known=None):
        return super().inspect(x.detach(), c, G, None)


def magdr(*, parser, criteria, augmentations):
    """MagDR's evidence, standardised."""
    return Cut(parser, criteria, augmentations, form="standardised")


@hookimpl
def magdr_detectors():
    needs = {"parser": Need("parser"), "criteria": Need("metric", depth=1)}
    needs["augmentations"] = Need("augmentation", depth=1)
    return [DetectorSpec(name="magdr", build=magdr, gradient="straight-through", needs=needs)]
'''


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    toolkit = Toolkit(parse_registry(RUN, folder / "wrong.toml"), device="cpu")
    bench = Bench(toolkit, "quick", out=folder / "run", cache=folder / "cache", report=lambda text: None)
    return {row["component"]: row for row in bench.run().checks if row["role"] == "detector"}


def test_a_magdr_whose_gradient_is_cut_is_unreliable(checks):
    found = {check["name"]: check for check in checks["cut"]["checks"]}
    assert checks["cut"]["badge"] == "unreliable"
    assert found["gradient"]["verdict"] == "fail"
    assert found["gradient"]["evidence"]["zero share"] == 1


def test_magdr_itself_is_not(checks):
    found = {check["name"]: check["verdict"] for check in checks["magdr"]["checks"]}
    assert checks["magdr"]["badge"] != "unreliable"
    assert found["gradient"] == "pass"
