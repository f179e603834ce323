"""The whole catalogue against every rule of the conformance suite, (nearly all) to the last bit.

Datasets that read files are judged by their own tests, which have files (`holds` in `datasets/conftest.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from magdr_core.specs import SPECS
from magdr_core.testing.checks import rules_of
from magdr_core.testing.suite import Target, checks_in
from magdr_core.testing.world import World

# Steps enough to run through the code; what they achieve is the business of each component's own tests.
PARAMS = {
    ("attack", "cw"): {"steps": 3, "searches": 1},
    ("attack", "pgd"): {"steps": 4},
    ("attack", "eq3"): {"steps": 3},
    ("attack", "joint-classes"): {"steps": 3},
    ("attack", "torchattacks"): {"steps": 3},
    ("attack", "mixed"): {"attacks": ["noise", "toy"]},
    ("detector", "magnet"): {
        "iterations": 4,
        "filters": (3, 4),
        "classifier_width": 8,
        "classifier_epochs": 1,
        "classifier_outputs": 24,
    },
    ("detector", "metzen"): {"layers": (0, 1), "width": 8, "steps": 12, "check_every": 6},
    ("detector", "nnif"): {"width": 8, "epochs": 3, "index_size": 24, "neighbours": (5, 10)},
    ("detector", "otd"): {"width": 8, "steps": 12, "check_every": 6},
    ("detector", "safetynet"): {"layers": (0, 1)},
    ("defense", "magnet-reformer"): {"steps": 8},
}
ROUNDING = {"purifier"}
"""Its convolutions round otherwise for a single image, since it does not go through `in_pieces`."""

FROM_FILES = {"celeba", "celebamask-hq", "faceforensics", "folder", "video"}


def catalogue():
    world = World({}, base=Path.cwd())
    target = Target("builtin", {}, Path.cwd())
    exact = checks_in(world, target, params=PARAMS, tolerance=0.0)
    near = [
        check for only in ROUNDING for check in checks_in(world, replace(target, only=only), tolerance=1e-6)
    ]
    for check in [*(c for c in exact if name_of(c) not in ROUNDING), *near]:
        if name_of(check) not in FROM_FILES:
            yield pytest.param(check, id=str(check))


def name_of(check):
    return check.component.partition(" ")[2]


CHECKS = list(catalogue())


@pytest.mark.parametrize("check", CHECKS)
def test_builtin_holds_to(check):
    check()


def test_catalogue_has_every_kind_and_every_rule():
    judged = {(p.values[0].component.split()[0], p.values[0].rule) for p in CHECKS}
    for kind in SPECS:
        assert {(kind, rule.name) for rule in rules_of(kind)} <= judged
    components = {p.values[0].component for p in CHECKS}
    assert len(components) > 60
