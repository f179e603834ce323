"""What a notebook shows of results: a line that a person can read, whatever they hold."""

from __future__ import annotations

import pytest
import torch

from magdr_core import Bench, Outcome, Toolkit, Verdict
from magdr_core.api import Batch, CalibratedDetector, Chosen, Condition, Forged, Measured, Picture, Samples
from magdr_core.calibration.album import Sharing
from magdr_core.calibration.from_pictures import PictureCalibration
from magdr_core.inference import Photo
from magdr_core.inference.photos import PhotoFace
from magdr_core.magdr.outcome import Reconstruction
from magdr_core.media import Box
from magdr_core.results.cell import CellResult, Facts
from tests.api.conftest import EDITS

x = torch.linspace(0, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
c = Condition(torch.ones(2, 5), torch.ones(2, 5, dtype=torch.bool))

LINES = [
    (Batch(x, ("a", "b")), "Batch(images=[2,3,4,4] 0 to 1, ids=['a', 'b'])"),
    (c, "VectorCondition(values=[2,5] all 1, changed=[2,5] 10 true)"),
    (
        Samples(x, c, ("a", "b")),
        f"Samples(images=[2,3,4,4] 0 to 1, conditions={c!r}, ids=['a', 'b'])",
    ),
    (Reconstruction(x, [["nlm"], []]), "Reconstruction(images=[2,3,4,4] 0 to 1, plans=[['nlm'], []])"),
    (Chosen(x, [[], []]), "Chosen(restored=[2,3,4,4] 0 to 1, plans=[[], []])"),
    (Forged(x, x[:, :1] * 0), "Forged(images=[2,3,4,4] 0 to 1, masks=[2,1,4,4] all 0)"),
    (Measured({"score": [0.5, 1.5]}), "Measured(values={score: [0.5, 1.5]})"),
    (Picture((x[0] * 255).byte()), "Picture(levels=[3,4,4] 0 to 126)"),
    (
        CalibratedDetector(max, {"fpr": 2.5, "f1": 1.25}),
        "CalibratedDetector(detector=<built-in function max>, thresholds={fpr: 2.5, f1: 1.25})",
    ),
]


@pytest.mark.parametrize(("value", "line"), LINES, ids=lambda v: type(v).__name__)
def test_values_with_tensors_are_told_by_shape_and_range(value, line):
    assert repr(value) == str(value) == line


def verdict(**changes):
    told = {
        "disrupted": True,
        "score": 5.314,
        "threshold": 2.1,
        "guess": False,
        "rounds": 1,
        "plan": ("purifier", "jpeg"),
        "regions": {"hair": 1.0, "mouth": 4.2},
        "processings": {"flip": 3.14, "jpeg": 0.5},
    }
    return Verdict(**{**told, **changes})


def test_verdict_names_its_strongest_evidence_alone():
    assert repr(verdict()) == (
        "<Verdict: disrupted (score 5.31, threshold 2.10); restored by purifier + jpeg; "
        "strongest evidence mouth 4.2, flip 3.1, hair 1.0>"
    )
    bare = verdict(disrupted=False, score=1.0, guess=True, plan=(), regions={}, processings={})
    guessed = "cannot tell: looks not disrupted, but that is a guess (score 1.00, threshold 2.10)"
    assert repr(bare) == f"<Verdict: {guessed}>"
    assert str(verdict()) == "disrupted (score 5.31, threshold 2.10)", "as before"


def test_outcome_says_how_many_are_disrupted_and_restored(calibrated, faces):
    always = calibrated("always", photographs=False).defend(faces, edits=EDITS)
    told = repr(always)
    assert told.startswith("<Outcome: 3 of 3 images disrupted; scores ")
    assert f"{int((always.rounds > 0).sum())} restored, [3,3,32,32] " in told
    assert "generator passes an image" in told
    assert print(always) is None
    never = calibrated("never").defend(faces[:1], edits=EDITS)
    assert repr(never).startswith(f"<Outcome: 0 of 1 image disrupted; score {float(never.score):.2f}, thr")
    assert "\n" not in told + repr(never)
    assert len(told) < 250
    assert repr(calibrated().defend(faces[:0], edits=EDITS)).startswith(
        "<Outcome: 0 of 0 images disrupted; 0 r"
    )


def test_outcome_of_some_guesses_counts_them():
    outcome = Outcome(
        score=torch.tensor([1.0, 3.0]),
        threshold=2.0,
        gate=2.0,
        flagged=torch.tensor([False, True]),
        restored=x,
        rounds=torch.tensor([0, 1]),
        round_scores=torch.zeros(2, 2),
        plans=[[], ["nlm"]],
        covered=torch.tensor([True, False]),
        forwards=6.5,
    )
    assert repr(outcome) == (
        "<Outcome: 1 of 2 images disrupted; scores 1.00 to 3.00, threshold 2.00; 1 restored, "
        "[2,3,4,4] 0 to 1; 6.5 generator passes an image; 1 verdict is a guess>"
    )


def test_photo_says_its_size_and_verdict(tmp_path):
    levels = torch.zeros(3, 20, 30, dtype=torch.uint8)
    path = tmp_path / "me.png"
    face = PhotoFace(Box(0, 0, 20), verdict())
    given = {"path": path, "name": "me", "faces": (face,), "levels": levels}
    assert repr(Photo(**given, restored_levels=levels)) == f"<Photo {path}: 30 x 20 pixels, {verdict()!r}>"
    assert repr(Photo(**given, restored_levels=levels + 1)).endswith(">, restored>")
    two = {**given, "faces": (PhotoFace(Box(0, 10, 20), verdict(score=1.0)), face)}
    assert repr(Photo(**two)) == f"<Photo {path}: 30 x 20 pixels, the worst of 2 faces {verdict()!r}>"
    assert repr(Photo(path, "me", error="no face")) == f"<Photo {path}: skipped, no face>"


def test_registry_toolkit_and_bench_name_what_they_hold(tmp_path):
    toolkit = Toolkit.from_registry(device="cpu")
    assert repr(toolkit).endswith("registry.toml: editing, reenactment, replacement; on cpu>")
    told = repr(toolkit.registry)
    assert told.startswith("<Registry faces64 (")
    assert f"{len(toolkit.registry.labels('attack'))} attack" in told
    assert told.endswith("profiles quick, full, detection>")
    assert len(told) < 400
    bench = Bench(toolkit, "quick", out=tmp_path, cache=tmp_path)
    assert repr(bench) == f"<Bench of profile quick: {bench.total} cells, 8 images each, into {tmp_path}>"
    assert repr(toolkit.resolve("attack", "pgd")).startswith("<Resolved [attack.pgd]: pgd, eps=0.02353, ")
    assert repr(toolkit.build("attack", "pgd")).startswith("<GuardedAttack: ")
    assert "pgd" in repr(toolkit.build("attack", "pgd"))


def test_cell_says_what_it_is_about_or_why_it_failed():
    facts = Facts("editing", "g", "faces", "pgd", "attack", 0.02, 30, "oblivious", "defense", "jpeg", 0)
    place = "editing / pgd / defense jpeg (seed 0)"
    done = CellResult(facts, ids=["a", "b"], values={"mse_o": [1.0, 2.0], "mse_i": [0.5, 0.5]})
    assert repr(done) == f"<CellResult {place}: 2 images; mse_o, mse_i>"
    assert repr(CellResult(facts, error="out of memory")) == f"<CellResult {place}: failed, out of memory>"


def test_calibration_on_pictures_says_of_what_and_of_how_many():
    entries = {"k": {"kind": "detector", "label": "magdr"}, "l": {"kind": "defense", "label": "magdr"}}
    made = PictureCalibration(entries, Sharing.for_thresholds(40), ("x.png: no face",), {})
    assert repr(made) == "<PictureCalibration of detector magdr, defense magdr: 40 pictures, 1 skipped>"
