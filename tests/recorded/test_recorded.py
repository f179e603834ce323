"""Changed outputs need a raised version: keys of results and calibrations hold nothing else of a built-in."""

import json

import pytest

from tests.recorded.compare import fault
from tests.recorded.outputs import FILE, recordings

RECORDED = json.loads(FILE.read_text(encoding="utf-8"))
NOW = list(recordings())


@pytest.mark.parametrize(("name", "version", "compute"), NOW, ids=[name for name, *_ in NOW])
def test_outputs_are_those_that_were_recorded_for_this_version(name, version, compute):
    found = fault(name, version, compute(), RECORDED.get(name))
    assert not found, found


def test_nothing_is_recorded_that_is_gone():
    assert set(RECORDED) == {name for name, *_ in NOW}
    assert FILE.stat().st_size < 300_000


def test_changed_outputs_and_forgotten_recordings_are_told_apart():
    known = {"version": 1, "values": [0.5, 10.0]}
    assert fault("metric l1", 1, [0.50005, 10.0005], known) == ""
    assert "outputs of metric l1 changed (0.51 was 0.5" in fault("metric l1", 1, [0.51, 10.0], known)
    assert "raise the version in its spec" in fault("metric l1", 1, [0.5, 10.1], known)
    assert "raise `CORE` in" in fault("core samples", 1, [0.5, 10.1], known)
    assert "changed" in fault("metric l1", 1, [float("nan"), 10.0], known)
    assert "3 numbers, 2 recorded" in fault("metric l1", 1, [0.5, 10.0, 1.0], known)
    assert "version of metric l1 is 2, recorded is 1" in fault("metric l1", 2, [0.5, 10.0], known)
    assert "is not recorded" in fault("metric l1", 1, [0.5], None)
