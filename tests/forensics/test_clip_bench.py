"""Clips in a benchmark: what is learned from them, and how they are judged, coded whole."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from magdr_core.bench.run import Bench
from magdr_core.errors import DataError
from magdr_core.forensics.making import degrade, family_of
from magdr_core.forensics.teaching import Teacher
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit
from tests.edits import edited
from tests.forensics.test_forensic_bench import PLUGIN, rows
from tests.forensics.test_forged_clips import FRAMES, REGISTRY

TAUGHT = edited(
    REGISTRY,
    (
        "[forgery.swap]\n",
        """[augmentation.h264-32]
use = "h264"
params = { crf = 32 }
[forensic.statistics]
families = ["swap"]
qualities = ["h264-32"]
[calibration]
clean = 100
train = 16
[forgery.swap]
""",
    ),
)


def teacher(folder, text):
    path = folder / "taught.toml"
    path.write_text(text)
    kit = Toolkit.from_registry(path, device="cpu")
    return Teacher(kit, kit.build("dataset", "clips"), Store(folder / "store"), lambda *told: None)


def test_frames_of_a_clip_are_taught_at_one_quality_coded_together(tmp_path):
    one = teacher(tmp_path, TAUGHT)
    families = [family_of(one.toolkit, "swap")]
    plain, data = (one.pairs(one.data, families, q) for q in ((), ("h264-32",)))
    of = [data.qualities[i : i + FRAMES] for i in range(0, 16, FRAMES)]
    assert all(len(set(qualities)) == 1 for qualities in of)
    assert {qualities[0] for qualities in of} == {"", "h264-32"}
    for i, (quality, *_) in enumerate(of):
        own = slice(FRAMES * i, FRAMES * (i + 1))
        for before, after in ((plain.real, data.real), (plain.fake, data.fake)):
            wanted = before[own]
            if quality:
                wanted = degrade(one.toolkit, quality, wanted, data.ids[own], 0, torch.full((FRAMES,), i))
            assert torch.equal(after[own], wanted)


def test_a_part_that_cuts_a_clip_is_not_taught_at_a_quality_of_clips(tmp_path):
    one = teacher(tmp_path, edited(TAUGHT, ("train = 16", "train = 14")))
    with pytest.raises(DataError, match="pictures 0 to 13 of the split 'train' begin or end amid a clip"):
        one.taught("statistics")


BENCH = f"""
[registry]
name = "films"
[plugins]
local = {{ acme = "./acme.py" }}
[dataset.clips]
use = "procedural-clips"
params = {{ size = 32, frames = {FRAMES} }}
[generator.forensics]
use = "untouched"
params = {{ size = 32 }}
[forgery.stamp]
use = "acme/stamp"
params = {{ level = 0.4 }}
[forgery.swap]
[augmentation.h264-40]
use = "h264"
params = {{ crf = 40 }}
[forensic.corner]
use = "acme/corner"
[calibration]
clean = 20
train = 4
[profile.quick]
samples = 12
forgeries = ["stamp", "swap"]
picture_qualities = ["h264-40"]
forensics = ["corner"]
pictures = 0
"""


def bench(folder, text=BENCH, out="run"):
    (folder / "acme.py").write_text(PLUGIN)
    path = folder / "films.toml"
    path.write_text(text)
    kit = Toolkit.from_registry(path, device="cpu")
    return Bench(kit, "quick", out=folder / out, cache=folder / "cache", report=lambda line: None).run()


def test_clips_are_judged_whole_at_every_quality_and_a_longer_run_takes_over_whole_clips(tmp_path):
    short = bench(tmp_path, edited(BENCH, ("samples = 12", "samples = 8")), "short")
    run = bench(tmp_path)
    assert not [*short.failures, *run.failures]
    for name in ("forged:stamp", "forged:stamp@h264-40", "forged:swap@h264-40"):
        [cell] = [c for c in run.cells if c.facts.attack == name]
        [mark] = [told.removesuffix("/clip_score") for told in cell.values if told.endswith("/clip_score")]
        means = [cell.array(f"{mark}/{told}").reshape(3, FRAMES).mean(1) for told in ("score", "real_score")]
        expected = roc_auc_score([1, 1, 1, 0, 0, 0], [*means[0], *means[1]])
        attack, _, quality = name.partition("@")
        variant = f"{mark}, {quality}" if quality else mark
        [row] = rows(run, attack=attack, variant=variant, metric="clip_auc")
        assert row["value"] == pytest.approx(expected)
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
        assert sorted(set(cell.identities)) == [200_000, 200_001, 200_002], "intervals are over people"
    (tmp_path / "fresh").mkdir()
    fresh = bench(tmp_path / "fresh")
    assert [r["value"] for r in fresh.rows] == [r["value"] for r in run.rows]


def test_a_run_that_cuts_a_clip_says_so_where_clips_are_coded_and_nowhere_else(tmp_path):
    run = bench(tmp_path, edited(BENCH, ("samples = 12", "samples = 10")))
    assert run.failures
    assert all(cell.facts.attack.endswith("@h264-40") for cell in run.failures)
    assert all(
        "pictures 0 to 9 of the split 'test' begin or end amid a clip" in c.error for c in run.failures
    )


def test_stills_have_no_figure_of_clips_and_their_keys_say_nothing_of_clips(tmp_path):
    text = edited(
        BENCH,
        (
            '"procedural-clips"\nparams = { size = 32, frames = 4 }',
            '"procedural-faces"\nparams = { size = 32 }',
        ),
    )
    run = bench(tmp_path, text)
    assert not run.failures
    assert "clip_auc" not in {r["metric"] for r in run.rows}
    assert not [name for cell in run.cells for name in cell.values if "clip" in name]
