"""The whole catalogue against every rule of the conformance suite, (nearly all) to the last bit.

Datasets that read files are judged by their own tests, which have files (`holds` in `datasets/conftest.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from magdr_core.hosting.core import core_kinds
from magdr_core.testing.checks import rules_of
from magdr_core.testing.suite import CheckedPlugin, checks_in
from magdr_core.testing.world import World
from tests.catalog_params import PARAMS

ROUNDING = {"purifier"}
"""Its convolutions round otherwise for a single image, since it does not go through `in_pieces`."""

FROM_FILES = {
    *("celeba", "celebamask-hq", "faceforensics", "folder", "portraits", "video", "redrawn", "recorded"),
    *("faceforensics-fakes", "celeb-df", "dfdc", "dfdc-preview", "deeperforensics", "deepfakebench"),
}


def catalogue():
    world = World({}, base=Path.cwd())
    target = CheckedPlugin("builtin", {}, Path.cwd())
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
    for name, kind in core_kinds().items():
        assert {(name, rule.name) for rule in rules_of(kind)} <= judged
    components = {p.values[0].component for p in CHECKS}
    assert len(components) > 60
