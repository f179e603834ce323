"""What the track costs on paper: cells are counted by the plan, seconds come from files of results."""

import importlib.util
from pathlib import Path

import pytest

from magdr_core.components.cells import PlannedCell
from magdr_core.components.slice import Slice
from magdr_core.results.columns import COLUMNS

FILE = Path(__file__).parents[2] / "benchmarks" / "track.py"


@pytest.fixture(scope="module")
def track():
    spec = importlib.util.spec_from_file_location("track_on_paper", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cell(role, component, scenario="attack", channel=""):
    part = Slice("pgd", scenario, "pgd", "pgd", 6 / 255, 30, channel=channel)
    return PlannedCell("editing", "stargan", "faces", part, role, component, 0)


def line(**about):
    row = {
        **dict.fromkeys(COLUMNS, ""),
        **{"task": "editing", "attack": "pgd", "eps": 0.02, "steps": 1, "knowledge": "oblivious", "seed": 0},
        **{"role": "defense", "component": "jpeg", "metric": "mse_o", "value": 1.0, "n": 10, "seconds": 5.0},
        **about,
    }
    return ",".join(str(row[name]) for name in COLUMNS)


def written(path, *lines):
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return path


def test_seconds_are_a_mean_over_cells_and_the_first_file_that_knows_counts(track, tmp_path):
    one = written(tmp_path / "a.csv", line(), line(attack="cw", seconds=15.0))
    two = written(tmp_path / "b.csv", line(seconds=99.0), line(component="blur"), line(knowledge="adaptive"))
    assert track.seconds([one, two]) == {
        ("defense", "jpeg", False): pytest.approx((0.5 + 1.5) / 2),
        ("defense", "blur", False): pytest.approx(0.5),
        ("defense", "jpeg", True): pytest.approx(0.5),
    }


def test_an_attack_is_made_once_whatever_the_channels_are(track):
    known, missing = {("attack", "pgd", False): 3.0, ("defense", "identity", False): 0.01}, set()
    assert track.cost(cell("attack", "pgd"), 64, known, missing) == pytest.approx(192)
    assert track.cost(cell("attack", "pgd", "channel", "half"), 64, known, missing) == pytest.approx(0.64)
    assert not missing


def test_what_nobody_has_timed_is_named(track):
    missing = set()
    assert track.cost(cell("defense", "new"), 10, {}, missing) == pytest.approx(10 * track.UNKNOWN)
    track.cost(cell("defense", "jpeg", "adaptive"), 10, {("defense", "jpeg", False): 0.1}, missing)
    assert missing == {"defense new", "adaptive defense jpeg"}
