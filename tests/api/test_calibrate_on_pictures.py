"""Calibration on pictures of one's own, as a library: what the command does, without the command."""

import json

import pytest

from magdr_core.calibration import calibrate_on_pictures
from magdr_core.errors import DataError
from magdr_core.media import write_picture
from magdr_core.toolkit import Toolkit
from tests.api.conftest import EDITS

COUNT = 25


@pytest.fixture(scope="module")
def small(workshop):
    return Toolkit.from_registry(workshop / "small.toml", device="cpu")


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """Drawn faces of the test split as files, and one file that is no picture."""
    place = tmp_path_factory.mktemp("clean")
    drawn = small.build("dataset", "faces").split("test")[list(range(COUNT))].images
    for i, picture in enumerate(drawn):
        write_picture(place / f"{i:02}.png", picture)
    (place / "bad.jpg").write_text("no picture")
    return place


@pytest.fixture(scope="module")
def made(small, folder, tmp_path_factory):
    steps = []
    cache = tmp_path_factory.mktemp("cache")
    options = {"detectors": ["magdr"], "whole": True, "full": True, "cache": cache}
    return calibrate_on_pictures(
        small, "editing", folder, **options, progress=lambda *told: steps.append(told[0])
    ), steps


def test_the_file_is_used_by_a_toolkit_that_names_it(small, made, faces, tmp_path):
    calibration, steps = made
    path = calibration.save(tmp_path / "mine.json")
    magdr = small.with_calibration(path).magdr("editing", cache=tmp_path / "none")
    (entry,) = [e for e in calibration.entries.values() if e["kind"] == "detector"]
    verdict = magdr.detect(faces[:1], edits=EDITS)[0]
    assert verdict.threshold == pytest.approx(entry["thresholds"]["fpr"])
    assert not (tmp_path / "none" / "calibrations").exists(), "nothing had to be computed"
    assert {"finding faces", "fitting magdr", "thresholds of magdr"} <= set(steps)


def test_thresholds_alone_are_those_of_the_scores_on_the_pictures(small, folder, workshop, tmp_path):
    known = small.with_calibration(workshop / "c.json")
    calibration = calibrate_on_pictures(known, "editing", folder, whole=True, cache=tmp_path)
    assert calibration.sharing.pictures.counts == (0, COUNT, 0, 0)
    assert not (tmp_path / "attacked").exists()
    (entry,) = [e for e in calibration.entries.values() if e["kind"] == "detector"]
    magdr = small.with_calibration(calibration.save(tmp_path / "mine.json")).magdr("editing", cache=tmp_path)
    faces = small.build("dataset", "faces").split("test")[list(range(COUNT))].images
    scores = [v.score for v in magdr.detect(faces, edits={"Blond_Hair": 1})]
    assert sum(score > entry["thresholds"]["fpr"] for score in scores) <= 1
    assert max(scores) > entry["clean"]["mean"] - 5 * entry["clean"]["std"]


def test_it_says_what_it_was_made_of(made):
    calibration, _ = made
    assert sum(calibration.sharing.pictures.counts) == COUNT
    assert len(calibration.skipped) == 1
    assert "bad.jpg: is not a picture" in calibration.skipped[0]
    assert json.loads(json.dumps(calibration.content))["provenance"]["pictures"] == COUNT


def test_the_toolkit_that_was_asked_stays_as_it_is(small, made):
    assert small.registry.calibration.file == "auto"
    assert small.resolve("dataset", "faces").entry.name == "procedural-faces"


def test_a_folder_without_faces_enough_is_refused(small, folder, tmp_path):
    with pytest.raises(DataError, match="no picture with a face"):
        calibrate_on_pictures(small, "editing", folder / "bad.jpg", whole=True, cache=tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        calibrate_on_pictures(small, "editing", tmp_path / "gone", cache=tmp_path)
