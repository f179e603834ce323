"""Ten plugins that misbehave: each gets one finding, which names it and its file."""

from __future__ import annotations

import random
import unittest
from contextlib import suppress

import numpy as np
import pytest
import torch

from magdr_core.testing import ConformanceError, conformance_checks
from tests.testing.hostile import GOOD, HOSTILE


@pytest.fixture
def findings(tmp_path):
    """`findings(text, name)`: what the suite says of a plugin file."""

    def judge(text, name="acme"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        found = []
        for check in conformance_checks(path):
            with suppress(unittest.SkipTest):
                found += check.findings()
        return found

    return judge


def test_hostile_base_is_sound(findings):
    assert findings(GOOD) == []


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_plugin_gets_one_finding_with_its_name_and_file(findings, case):
    text, rule, words = HOSTILE[case]
    (finding,) = findings(text, case)
    assert finding.rule == rule
    assert words in finding.message
    assert finding.plugin == case
    assert finding.file.endswith(f"{case}.py")
    assert finding.component == ("" if rule == "loads" else f"restoration {case}/bad")
    assert "\n" not in str(finding)
    assert str(finding).startswith(f"{case}.py: ")


def test_hostile_plugin_leaves_the_process_as_it_was(findings):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    for case in ("global_rng", "train", "in_place"):
        findings(HOSTILE[case][0], case)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_conformance_check_raises_what_pytest_shows(tmp_path):
    (tmp_path / "acme.py").write_text(HOSTILE["in_place"][0])
    (check,) = [c for c in conformance_checks(tmp_path / "acme.py") if c.rule == "inputs"]
    assert str(check) == "restoration acme/bad [inputs]"
    with pytest.raises(ConformanceError, match=r"acme.py: restoration acme/bad \[inputs\] edits its images"):
        check()
