"""magdr calibrate --data: on one's own clean pictures, used by one line of the registry."""

import json

import numpy as np
import pytest
from PIL import ImageEnhance

from tests.bench.conftest import SMALL
from tests.edits import edited

COUNT = 26


@pytest.fixture
def photos(astronaut, tmp_path):
    """Aligned pictures, each of them different, and a bad one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        left, upper = rng.integers(0, 40, 2)
        person = astronaut.crop((left, upper, left + 180, upper + 180)).resize((48, 48))
        ImageEnhance.Brightness(person).enhance(0.6 + 0.03 * i).save(folder / f"{i}.png")
    (folder / "bad.jpg").write_text("no picture")
    return folder


def test_the_file_is_used_by_one_line_of_the_same_registry(magdr, photos, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    done = magdr("calibrate", "small.toml", "--data", "photos", "--whole", "--full", "--out", "mine.json")
    assert done.code == 1, done.err  # one file was skipped
    assert "bad.jpg: is not a picture" in done.out
    assert "26 of 27 pictures are used: 8 to standardise on, 10 for the threshold, 4 + 4 " in done.out
    assert "the false-positive rate is coarse: 1% is set on 10 pictures" in done.out
    assert "enough pictures for edits of:" in done.out
    assert '[calibration]\n  file = "mine.json"' in done.out
    data = json.loads((tmp_path / "mine.json").read_text())
    assert {(e["kind"], e["label"]) for e in data["entries"].values()} == {
        ("detector", "magdr"),
        ("defense", "magdr"),
    }
    assert data["provenance"]["pictures"] == COUNT
    assert data["provenance"]["data"].startswith("album-32px-26x8-")

    # Whoever calibrates on drawn faces afterwards must not be given these.
    stored = {p.stem for p in (tmp_path / "runs" / "cache" / "calibrations").rglob("*.json")}
    assert stored
    assert not stored & set(data["entries"])

    text = edited(SMALL, ("[calibration]", '[calibration]\nfile = "mine.json"'))
    (tmp_path / "with.toml").write_text(text)
    arguments = ("detect", "photos/0.png", "--whole", "--set", "Blond_Hair", "--json")
    by_line = magdr(*arguments, "--registry", "with.toml", "--cache", "other")
    by_option = magdr(*arguments, "--registry", "small.toml", "--calibration", "mine.json")
    assert by_line.code == 0, by_line.err
    assert by_line.document["results"] == by_option.document["results"]
    detector = next(e for e in data["entries"].values() if e["kind"] == "detector")
    (result,) = by_line.document["results"]
    assert result["threshold"] == pytest.approx(detector["thresholds"]["fpr"], abs=1e-3)
    assert not (tmp_path / "other" / "calibrations").exists()


def test_by_default_the_pictures_set_thresholds_alone(magdr, photos, workshop, tmp_path):
    """With the calibration that there is, which flags nothing like these."""
    text = edited(SMALL, ("[calibration]", '[calibration]\nfile = "c.json"'))
    (tmp_path / "small.toml").write_text(text)
    before = json.loads((workshop / "c.json").read_text())["entries"]
    (tmp_path / "c.json").write_bytes((workshop / "c.json").read_bytes())
    shared = ("--data", "photos", "--whole", "--out", "mine.json", "--cache", "none")
    computed = magdr("calibrate", "small.toml", *shared)  # what the registry names may be what is to be made
    assert computed.code == 1, computed.err
    assert "26 of 27 pictures are used: for thresholds alone" in computed.out
    after = json.loads((tmp_path / "mine.json").read_text())["entries"]
    assert after.keys() <= before.keys()
    (key,) = [k for k, e in after.items() if e["kind"] == "detector" and e["label"] == "magdr"]
    ours, theirs = after[key], before[key]
    assert ours["state"]["logistic"] == theirs["state"]["logistic"]
    assert ours["state"]["regions"] == theirs["state"]["regions"]
    assert ours["state"]["familiarity"]["limit"] >= theirs["state"]["familiarity"]["limit"]
    assert ours["clean"]["n"] == 26 * 8
    by = ours["thresholds"]["fpr"] - theirs["thresholds"]["fpr"]
    assert by != 0
    assert ours["thresholds"]["f1"] - theirs["thresholds"]["f1"] == pytest.approx(by)
    (gate,) = [k for k, e in after.items() if e["kind"] == "defense"]
    assert after[gate]["state"]["gate"] - before[gate]["state"]["gate"] == pytest.approx(by)

    arguments = ("detect", "photos", "--whole", "--set", "Blond_Hair", "--json", "--registry", "small.toml")
    results = magdr(*arguments, "--calibration", "mine.json").document["results"]
    assert len(results) == COUNT
    assert sum(r["verdict"] == "disrupted" for r in results) <= 1
    assert all(r["covered_by_calibration"] for r in results)


def test_too_few_pictures_are_refused(magdr, photos, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    for i in range(5):
        (photos / f"{i}.png").unlink()
    done = magdr("calibrate", "small.toml", "--data", "photos", "--whole", "--out", "mine.json")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "21 clean pictures with a face are too few, 24 at least" in done.err
    assert not (tmp_path / "mine.json").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data", "gone"], "gone"),
        (["--data", "empty"], "holds no picture"),
        (["--whole"], "--whole goes with --data"),
        (["--full"], "--full goes with --data"),
        (["--data", "photos", "--task", "edting"], "did you mean 'editing'?"),
    ],
)
def test_wrong_usage_is_one_line(magdr, photos, tmp_path, arguments, expected):
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "empty").mkdir()
    done = magdr("calibrate", "small.toml", *arguments)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert expected in done.err
