"""Detectors as ONNX files for one edit: the toolkit's scores, evidence and verdicts, or a plain refusal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from magdr_core.cli.onnx_verdict import words
from magdr_core.cli.plain_words import explained
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDetector
from magdr_core.runtime.samples import Samples, attack_samples
from magdr_core.to_onnx import detectors
from magdr_core.to_onnx.detectors import ConvertedDetector, convert_detector
from magdr_core.toolkit import Toolkit
from tests.cli.conftest import ALWAYS
from tests.edits import edited

BLOND = {"Blond_Hair": 1.0}


def magdr_of(path, calibration, cache):
    return Toolkit.from_registry(path).with_calibration(calibration).magdr("editing", cache=cache)


@pytest.fixture(scope="module")
def small(workshop):
    """MagDR of the small registry, with the calibration that was made for it."""
    return magdr_of(workshop / "small.toml", workshop / "c.json", workshop / "cache")


@pytest.fixture(scope="module")
def faces(workshop, small):
    """Drawn test faces, three clean and the same attacked: `[6,3,32,32]`."""
    toolkit = Toolkit.from_registry(workshop / "small.toml")
    clean = toolkit.build("dataset", "faces").split("test")[[0, 1, 2]].images
    return with_attacked(toolkit, small, clean)


def with_attacked(toolkit, magdr, clean):
    samples = Samples(clean, magdr.asked(len(clean), edits=BLOND), tuple(map(str, range(len(clean)))))
    attack = toolkit.build("attack", "pgd")
    return torch.cat([clean, attack_samples(samples, attack, magdr.generator, name="pgd", seed=0)])


def converted(magdr, pictures, folder, component=None):
    detector = magdr.magdr.detector
    if component is not None:
        guarded = GuardedDetector(component, "mine/own [detector.own]")
        guarded.label = "own"
        detector = CalibratedDetector(guarded, {"fpr": 0.5, "f1": 0.4})
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    return convert_detector(detector, magdr.generator, magdr.asked(1, edits=BLOND), pictures, folder)


def results(file, pictures):
    """The file's outputs by name for each picture."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    return [
        dict(zip(names, session.run(names, {"images": x.numpy()}), strict=True)) for x in pictures.split(1)
    ]


def same_as_the_toolkit(magdr, file, pictures, done):
    outcome = magdr.inspect(pictures, edits=BLOND)
    for i, found in enumerate(results(file, pictures)):
        assert found["score"] == pytest.approx(outcome.score[i].item(), abs=1e-3)
        assert (found["score"][0] > done.threshold) == bool(outcome.flagged[i])
        assert np.allclose(found["regions"][0], outcome.regions[i].numpy(), atol=2e-2, equal_nan=True)
        assert np.allclose(found["processings"][0], outcome.processings[i].numpy(), atol=2e-2)
        assert bool(found["covered"][0]) == bool(outcome.covered[i])
    return outcome


def test_magdrs_verdicts_on_clean_and_attacked_faces_are_the_toolkits(small, faces, tmp_path):
    done = converted(small, faces[:2], tmp_path)
    assert done.file == "detector-magdr.onnx"
    assert done.threshold == small.magdr.detector.threshold
    assert done.difference <= 1e-3
    outcome = same_as_the_toolkit(small, tmp_path / done.file, faces, done)
    assert done.regions == outcome.region_names
    assert done.processings == outcome.processing_names
    assert len(set(outcome.score.tolist())) == len(faces)


class Own(nn.Module):
    """A third party's detector: how far the output is from the input."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, x, c, G):
        return self.scale * (G(x, c) - x).square().mean((1, 2, 3))


def test_a_detector_that_is_a_network_goes_the_same_way(small, faces, tmp_path):
    done = converted(small, faces[:2], tmp_path, Own())
    assert (done.outputs, done.regions, done.processings, done.threshold) == (("score",), (), (), 0.5)
    c = small.asked(1, edits=BLOND)
    for x, found in zip(faces.split(1), results(tmp_path / "detector-own.onnx", faces), strict=True):
        assert found["score"] == pytest.approx(Own()(x, c, small.generator).item(), abs=1e-5)


class NoNetwork:
    def __call__(self, x, c, G):
        return x.mean((1, 2, 3))


class ThroughNumpy(nn.Module):
    def forward(self, x, c, G):
        return torch.from_numpy(np.sort(x.numpy().mean((1, 2, 3))))


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (NoNetwork(), r"^\[detector.own\] is no network \(torch.nn.Module\)"),
        (ThroughNumpy(), r"^\[detector.own\]: cannot be made an ONNX file: "),
    ],
    ids=["no network", "not of torch alone"],
)
def test_what_is_no_network_is_refused_in_one_line(small, faces, tmp_path, component, said):
    with pytest.raises(MagdrError, match=said) as error:
        converted(small, faces[:1], tmp_path, component)
    assert len(str(error.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_random_generator_is_refused(small, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(small.generator, "stochastic", True)
    with pytest.raises(MagdrError, match="is random, and an ONNX file gives the same each time"):
        converted(small, faces[:1], tmp_path)


class Stepped(nn.Module):
    """Says something else while a graph is made of it."""

    def forward(self, x, c, G):
        return x.mean((1, 2, 3)) + (0.01 if torch.compiler.is_compiling() else 0.0)


def test_a_file_that_differs_from_the_toolkit_is_refused_and_not_written(small, faces, tmp_path):
    with pytest.raises(MagdrError, match=r"the score of its ONNX file differs from its own by 0.01"):
        converted(small, faces[:1], tmp_path, Stepped())
    assert list(tmp_path.iterdir()) == []


def test_evidence_that_is_no_number_on_one_side_alone_differs():
    assert detectors._off(np.array([1.0, np.nan]), np.array([1.0, np.nan])) == 0.0
    assert detectors._off(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == np.inf


# -- the page -----------------------------------------------------------------------------------------------

HEAD = {"command": "detect", "false_alarms": 0.01, "synthetic": False}

DONE = ConvertedDetector("magdr", "d.onnx", 1, 0.0, ("score",), ("skin", "nose"), ("jpeg", "twin-a"), 3.0)


@pytest.mark.parametrize(
    ("score", "word"), [(4.0, "disrupted"), (1.0, "not disrupted"), (2.5, "cannot tell")]
)
@pytest.mark.parametrize("name", DONE.regions + DONE.processings)
def test_the_pages_words_are_those_of_detect(score, word, name):
    facts = {
        "score": score,
        "threshold": 3.0,
        "unsure_above": 2.0,
        "flagged": score > 3.0,
        "verdict": word,
        "covered_by_calibration": True,
        "regions" if name in DONE.regions else "processings": {name: 5.0},
    }
    said = words(DONE, 2.0, HEAD)["verdicts"][word]
    why = said["why"] if isinstance(said["why"], str) else said["why"][name]
    filled = edited(said["how_sure"], ("{score}", f"{score:.2f}"))
    assert {"how_sure": filled, "why": why, "what_to_do": said["what_to_do"]} == explained(facts, HEAD)


def test_the_command_writes_the_detector_beside_a_page_that_knows_it(magdr, workshop, tmp_path, monkeypatch):
    """Everything but the export, which has tests of its own and takes its time."""
    monkeypatch.setattr("magdr_core.cli.onnx.need_extra", lambda: None)
    asked = []

    def convert(detector, generator, c, pictures, folder):
        asked.append((c, pictures))
        folder.mkdir()
        (folder / "detector-magdr.onnx").write_bytes(b"net")
        return ConvertedDetector(
            "magdr", "detector-magdr.onnx", 3, 0.0, ("score",), (), (), detector.threshold
        )

    monkeypatch.setattr("magdr_core.cli.onnx_verdict.convert_detector", convert)
    options = ["--registry", workshop / "small.toml", "--cache", workshop / "cache"]
    told = ["--calibration", workshop / "always.json", "--set", "Smiling", "--has", "Brown_Hair"]
    done = magdr("onnx", "detector.magdr", *options, *told)
    assert done.code == 0, done.err
    ((c, pictures),) = asked
    assert c.values.tolist() == [[0.0, 0.0, 1.0, 1.0, 0.0]]
    assert pictures.shape == (2, 3, 32, 32)
    assert not torch.equal(pictures[0], pictures[1])
    site = tmp_path / "magdr-onnx"
    verdict = json.loads((site / "models.json").read_text())["verdict"]
    assert (verdict["file"], verdict["asked"], verdict["threshold"]) == (
        "detector-magdr.onnx",
        "smiling",
        ALWAYS,
    )
    assert verdict["taken_for_granted"] == ["no black hair", "no blond hair", "no eyeglasses"]
    assert verdict["guess"] is False
    assert {"index.html", "page.js", "verdict.js", *verdict["examples"]} <= {f.name for f in site.iterdir()}
    assert "runs detector-magdr.onnx" in done.out


def test_a_detector_that_is_not_there_is_one_line(magdr, workshop, monkeypatch):
    monkeypatch.setattr("magdr_core.cli.onnx.need_extra", lambda: None)
    done = magdr("onnx", "detector.magda", "--registry", workshop / "small.toml")
    assert done.code == 2
    assert "did you mean 'magdr'?" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("registry", ["registry.toml", "photos.toml"])
def test_the_packaged_detectors_agree_on_clean_and_attacked_drawn_faces(registry, tmp_path):
    """With twins, a purifier's opinion and every f_k and criterion of the packaged registries."""
    toolkit = Toolkit.from_registry(Path(detectors.__file__).parents[1] / "data" / registry)
    magdr = toolkit.magdr("editing", cache=tmp_path / "cache", photographs=False)
    clean = toolkit.build("dataset", "faces").split("test")[list(range(4))].images
    pictures = with_attacked(toolkit, magdr, clean)
    done = converted(magdr, pictures[:2], tmp_path)
    outcome = same_as_the_toolkit(magdr, tmp_path / done.file, pictures, done)
    assert outcome.flagged.tolist() == [False] * 4 + [True] * 4
    assert done.bytes < 8_000_000
