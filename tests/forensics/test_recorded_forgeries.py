"""Recorded fakes in a benchmark: looked up by id, seen by name, and not measured where no mask is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.bench.run import Bench
from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.forensics.making import family_of, forge
from magdr_core.report.build import write_report
from magdr_core.toolkit import Toolkit
from tests.edits import edited

PLUGIN = '''
"""A model that remembers what it was taught, and one that locates a corner, for tests."""
import torch
from magdr_core.api import ForensicSpec, hookimpl

MAGDR_API = 1


class Red:
    """The share of red."""

    def score(self, x):
        """[B,3,H,W] -> [B]."""
        return x[:, 0].mean((1, 2)) - x[:, 1].mean((1, 2))

    def locate(self, x):
        """[B,3,H,W] -> [B,1,H,W]: the left half."""
        found = torch.zeros_like(x[:, :1])
        found[..., : x.shape[-1] // 2] = 1
        return found


class Learner(Red):
    """The same, taught."""

    def fit(self, data):
        return {"families": sorted(set(data.families)), "known": int(data.masks.flatten(1).any(1).sum())}

    def load(self, state):
        self.state = state


@hookimpl
def magdr_forensics():
    return [ForensicSpec(name="red", build=Red), ForensicSpec(name="learner", build=Learner)]
'''

REGISTRY = """
[registry]
name = "recorded"

[plugins]
local = { acme = "./acme.py" }

[dataset.films]
use = "faceforensics-fakes"
params = { path = "ff", size = 16, frames = 16, crop = "whole", manipulations = ["Deepfakes", "FaceShifter"] }

[generator.forensics]
use = "untouched"
params = { size = 16 }

[forgery.deepfakes]
use = "recorded"
params = { manipulation = "Deepfakes" }
[forgery.changed]
use = "recorded"
params = { manipulation = "FaceShifter", masks = "changed", group = "blends" }
[forgery.shifter]
use = "recorded"
params = { manipulation = "FaceShifter" }

[forensic.red]
use = "acme/red"
[forensic.learner]
use = "acme/learner"
families = ["deepfakes"]

[calibration]
fit = 12
clean = 20
train = 4

[profile.quick]
dataset = "films"
samples = 32
forgeries = ["deepfakes", "changed", "shifter"]
forensics = ["red", "learner"]
pictures = 2
"""
OTHER = """
[dataset.others]
use = "faceforensics-fakes"
params = { path = "other/ff", size = 16, frames = 16, crop = "whole", manipulations = ["FaceShifter"] }

[forgery.theirs]
use = "recorded"
params = { dataset = "others", manipulation = "FaceShifter" }
"""
PAIRS = {"train": [["000", "003"]], "val": [["001", "004"]], "test": [["002", "005"]]}
SIDE = 16


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def films(folder):
    """16 frames a clip. Fakes are redder in a square; of 005_002 no mask marks anything."""
    root = folder / "ff"
    for name, pairs in PAIRS.items():
        path = root / "splits" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(pairs))
        for x, y in pairs:
            for a, b in ((x, y), (y, x)):
                for i in range(16):
                    drawn = np.random.default_rng(100 * int(a) + i).integers(0, 200, (SIDE, SIDE, 3))
                    real = drawn.astype(np.uint8)
                    fake, mask = real.copy(), np.zeros((SIDE, SIDE, 3), np.uint8)
                    fake[4:12, 4:12, 0] += 50
                    if (a, b) != ("005", "002"):
                        mask[4:12, :8] = 255
                    write(
                        root / "original_sequences" / "youtube" / "c23" / "images" / a / f"{i:02d}.png", real
                    )
                    made = root / "manipulated_sequences"
                    for method in ("Deepfakes", "FaceShifter"):
                        write(made / method / "c23" / "images" / f"{a}_{b}" / f"{i:02d}.png", fake)
                    write(made / "Deepfakes" / "masks" / "images" / f"{a}_{b}" / f"{i:02d}.png", mask)


def toolkit(folder, text=REGISTRY):
    (folder / "acme.py").write_text(PLUGIN)
    path = folder / "recorded.toml"
    path.write_text(text)
    return Toolkit.from_registry(path, device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    films(folder)
    bench = Bench(toolkit(folder), "quick", out=folder / "run", cache=folder / "cache", report=print)
    done = bench.run()
    assert not done.failures
    return done


def figures(run, attack, component="red"):
    found = {r["metric"]: r for r in run.rows if r["attack"] == attack and r["component"] == component}
    assert found
    return found


def test_fakes_are_judged_beside_their_reals_frame_by_frame_and_clip_by_clip(run):
    found = figures(run, "forged:deepfakes")
    cell = next(c for c in run.cells if c.facts.attack == "forged:deepfakes" and c.facts.component == "red")
    score, real = (
        next(v for k, v in cell.values.items() if k.endswith(n)) for n in ("/score", "/real_score")
    )
    # A quarter of the pixels is redder by 50 of 255.
    assert np.asarray(score) - np.asarray(real) == pytest.approx(np.full(32, 50 / 255 / 4), abs=1e-6)
    assert found["clip_auc"]["n"] == 32
    assert 0.5 <= found["clip_auc"]["value"] <= 1


def test_localization_is_of_those_fakes_whose_masks_are_known(run):
    found = figures(run, "forged:deepfakes")
    # 64 pixels are marked, all in the left half of 128, which is located.
    assert found["iou"]["value"] == pytest.approx(0.5)
    assert found["pbca"]["value"] == pytest.approx(1 - 64 / 256)
    cell = next(c for c in run.cells if c.facts.attack == "forged:deepfakes" and c.facts.component == "red")
    known = next(v for k, v in cell.values.items() if k.endswith("/mask_known"))
    assert sorted(known) == [0.0] * 16 + [1.0] * 16


def test_without_masks_nothing_is_said_of_where(run):
    found = figures(run, "forged:shifter")
    assert "auc" in found
    assert not {"iou", "pixel_f1", "pbca", "pixel_auc"} & set(found)


def test_changed_pixels_are_masks_only_where_that_is_asked_for(run):
    # The square of 8 x 8 and its border are 100 pixels, half of them located: 50 of 128 + 50.
    assert figures(run, "forged:changed")["iou"]["value"] == pytest.approx(50 / 178)


def test_a_manipulation_is_a_family_by_its_name(run, tmp_path):
    variants = {r["attack"]: r["variant"] for r in run.rows if r["component"] == "learner"}
    assert variants["forged:deepfakes"] == "seen"
    assert variants["forged:shifter"] == "unseen member", "another one of generators"
    assert variants["forged:changed"] == "unseen family", "a blend, by its table"
    films(tmp_path)
    family = family_of(toolkit(tmp_path), "deepfakes")
    assert (family.name, family.group) == ("recorded:Deepfakes", "generators")


def test_a_wrong_dataset_and_a_wrong_name_are_told(tmp_path):
    films(tmp_path)
    with pytest.raises(MagdrError, match="expected one of Deepfakes, FaceShifter"):
        toolkit(tmp_path, edited(REGISTRY, ('"Deepfakes" }', '"Face2Face" }'))).build("forgery", "deepfakes")
    drawn = '[dataset.films]\nuse = "procedural-faces"\nparams = { size = 32 }\n'
    text = edited(REGISTRY, (REGISTRY[REGISTRY.index("[dataset") : REGISTRY.index("[generator")], drawn))
    with pytest.raises(MagdrError, match="its dataset has no recorded fakes"):
        toolkit(tmp_path, text).build("forgery", "deepfakes")


def test_pictures_of_another_crop_are_not_taken_for_its_own(tmp_path):
    films(tmp_path)
    more = REGISTRY + '\n[dataset.larger]\nuse = "faceforensics-fakes"\nparams = { path = "ff", size = 32, '
    more += 'frames = 16, crop = "whole", manipulations = ["Deepfakes"] }\n'
    kit = toolkit(tmp_path, more)
    split = kit.build("dataset", "larger").split("test")
    with pytest.raises(MagdrError, match="is another picture in the dataset whose fakes are recorded"):
        forge(kit, "deepfakes", split, split[[0]], 0)
    split = kit.build("dataset", "films").split("test")
    batch = split[[1, 0]]
    other = Batch(1 - batch.images, batch.ids, annotations=batch.annotations)
    with pytest.raises(MagdrError, match="is another picture"):
        kit.build("forgery", "deepfakes")(other, other[:0], SampleRng(0, "x", batch.ids))
    made = forge(kit, "deepfakes", split, batch, 0)
    alone = forge(kit, "deepfakes", split, batch[1:], 0)
    assert torch.equal(made.images[1:], alone.images)
    assert torch.equal(made.masks[1:], alone.masks)


def test_a_constant_mask_learns_from_known_masks_alone(tmp_path):
    films(tmp_path)
    text = edited(REGISTRY, ('use = "acme/learner"\nfamilies = ["deepfakes"]', 'use = "constant-mask"'))
    kit = toolkit(tmp_path, text)
    done = Bench(kit, "quick", out=tmp_path / "run", cache=tmp_path / "cache", report=print).run()
    assert not done.failures
    [row] = [
        r
        for r in done.rows
        if (r["component"], r["attack"], r["metric"]) == ("learner", "forged:deepfakes", "iou")
    ]
    assert row["value"] > 0.5
    only = edited(text, ('use = "constant-mask"', 'use = "constant-mask"\nfamilies = ["shifter"]'))
    done = Bench(
        toolkit(tmp_path, only), "quick", out=tmp_path / "none", cache=tmp_path / "cache", report=print
    ).run()
    assert any("of these forgeries nobody knows any" in str(failure) for failure in done.failures)


def test_a_model_taught_on_one_data_set_is_tested_on_another(tmp_path):
    films(tmp_path)
    (tmp_path / "other").mkdir()
    films(tmp_path / "other")
    text = edited(
        REGISTRY,
        ("[generator.forensics]", OTHER + "\n[generator.forensics]"),
        ('manipulation = "Deepfakes" }', 'dataset = "films", manipulation = "Deepfakes" }'),
        ('families = ["deepfakes"]', 'families = ["deepfakes"]\ndataset = "films"'),
        ('dataset = "films"\nsamples = 32', 'dataset = "others"\nsamples = 4'),
        ('forgeries = ["deepfakes", "changed", "shifter"]', 'forgeries = ["theirs"]'),
    )
    kit = toolkit(tmp_path, text)
    done = Bench(kit, "quick", out=tmp_path / "run", cache=tmp_path / "cache", report=print).run()
    assert not done.failures
    variants = {r["variant"] for r in done.rows if r["component"] == "learner" and r["metric"] == "auc"}
    assert variants == {"unseen member+world"}


def test_a_run_says_once_what_is_left_out_and_reports_fakes_without_masks(tmp_path):
    films(tmp_path)
    gone = tmp_path / "ff" / "manipulated_sequences" / "FaceShifter" / "c23" / "images" / "003_000"
    for picture in gone.iterdir():
        picture.unlink()
    gone.rmdir()
    said: list[str] = []
    kit = toolkit(tmp_path, edited(REGISTRY, ('forgeries = ["deepfakes", "changed", ', "forgeries = [")))
    done = Bench(kit, "quick", out=tmp_path / "run", cache=tmp_path / "cache", report=said.append).run()
    assert not done.failures
    page = write_report(done.folder).read_text()
    assert "shifter" in page
    assert "what is forged" not in page, "no mask is shown"
    assert len([line for line in said if "1 of 6 fakes are left out for missing files" in line]) == 1
    assert ("forensics", "forged:shifter", "", "forged") in done.pictures
    assert ("forensics", "forged:shifter", "", "mask") not in done.pictures
