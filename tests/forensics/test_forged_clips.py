"""Forged clips: a fake clip is one film, with one donor and one set of draws, and is judged whole."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from magdr_core.bench.run import Bench
from magdr_core.components.batch import Batch
from magdr_core.errors import DataError
from magdr_core.forensics.clips import check_whole, clips_of
from magdr_core.forensics.making import degrade, donors, family_of, forge
from magdr_core.forensics.teaching import Teacher
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit
from tests.edits import edited
from tests.forensics.test_forensic_bench import PLUGIN, rows

CLIPS, FRAMES = 4, 4
REGISTRY = f"""
[registry]
name = "films"
[dataset.clips]
use = "procedural-clips"
params = {{ size = 32, frames = {FRAMES} }}
[generator.forensics]
use = "untouched"
params = {{ size = 32 }}
[generator.editor]
use = "stargan"
params = {{ weights = "random", width = 8, blocks = 1, size = 32 }}
[generator.reenactor]
use = "ganimation"
params = {{ weights = "random", width = 8, blocks = 1, size = 32 }}
[forgery.swap]
[forgery.self-blended]
[forgery.splice]
[forgery.inpainted]
[forgery.warped]
[forgery.swap-null]
use = "null"
params = {{ family = "swap" }}
[forgery.redrawn]
params = {{ dataset = "clips" }}
[forgery.editing]
params = {{ generator = "editor" }}
[forgery.reenactment]
params = {{ generator = "reenactor" }}
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "films.toml"
    path.write_text(REGISTRY)
    return Toolkit.from_registry(path, device="cpu")


@pytest.fixture(scope="module")
def split(kit):
    return kit.build("dataset", "clips").split("test")


@pytest.fixture(scope="module")
def clips(split):
    return split[range(CLIPS * FRAMES)]


def stills(batch):
    """The same pictures where nobody knows that they are frames."""
    hidden = {
        name: value
        for name, value in batch.annotations.items()
        if name not in ("clips", "frames") and not name.startswith("opening:")
    }
    return Batch(batch.images, batch.ids, annotations=hidden)


def motion(images):
    """Mean change from frame to frame of each clip, `[CLIPS]`."""
    return images.reshape(CLIPS, FRAMES, *images.shape[1:]).diff(dim=1).abs().mean((1, 2, 3, 4))


@pytest.mark.parametrize(
    "label", ["swap", "self-blended", "splice", "inpainted", "warped", "swap-null", "redrawn"]
)
def test_a_forged_clip_moves_as_little_as_its_real_one(kit, split, clips, label):
    real = motion(clips.images)
    together = motion(forge(kit, label, split, clips, 0).images) / real
    each = motion(forge(kit, label, split, stills(clips), 0).images) / real
    assert float(together.max()) < 1.6
    assert float(each.mean()) > 1.4, "drawn anew for each frame it would flicker"


@pytest.mark.parametrize("label", ["editing", "reenactment"])
def test_a_generator_is_asked_one_thing_of_all_frames(kit, split, clips, label, monkeypatch):
    asked = []
    generator = kit.build("forgery", label).component.generator
    plain = type(generator).__call__
    monkeypatch.setattr(type(generator), "__call__", lambda self, x, c: asked.append(c) or plain(self, x, c))
    forge(kit, label, split, clips, 0)
    [c] = asked
    changed = c.changed.reshape(CLIPS, FRAMES, -1)
    values = c.values.reshape(CLIPS, FRAMES, -1)
    assert bool((changed == changed[:, :1]).all())
    assert bool(((values == values[:, :1]) | ~changed).all())
    shown = clips.action_units if label == "reenactment" else None
    if shown is not None:
        kept = shown.reshape(CLIPS, FRAMES, -1)
        assert bool(((values == kept) | changed).all()), "what is left alone goes along with the frames"
        assert bool((kept != kept[:, :1]).any())
    assert len(values[:, 0].unique(dim=0)) > 1, "clips are asked different things"


@pytest.mark.parametrize("label", ["swap", "splice", "reenactment", "redrawn"])
def test_a_frame_is_forged_alike_alone_and_with_its_clip(kit, split, clips, label):
    whole = forge(kit, label, split, clips, 0)
    for row in (2, FRAMES, CLIPS * FRAMES - 1):
        alone = forge(kit, label, split, split[[row]], 0)
        assert torch.equal(alone.images[0], whole.images[row])
        assert torch.equal(alone.masks[0], whole.masks[row])


def test_a_clip_has_one_donor_whose_frames_go_along(split, clips):
    found = donors(split, clips, 0)
    who = found.identities.reshape(CLIPS, FRAMES)
    assert bool((who == who[:, :1]).all())
    assert bool((found.identities != clips.identities).all())
    assert torch.equal(found.annotations["frames"], clips.annotations["frames"])
    assert donors(split, clips[5:6], 0).ids == found.ids[5:6]
    assert len(donors(split, stills(clips), 0).identities.unique()) > CLIPS


class Films:
    """Films of the lengths 3, 5 and 2, everybody in one; `frames` may be unknown."""

    def __init__(self, counted=True):
        self.counted = counted
        self.all = [(clip, frame) for clip, length in ((7, 3), (8, 5), (9, 2)) for frame in range(length)]

    def __len__(self):
        return len(self.all)

    def __getitem__(self, indices):
        clips, frames = (torch.tensor([self.all[i][k] for i in indices]) for k in (0, 1))
        known = {"clips": clips, **({"frames": frames} if self.counted else {})}
        ids = tuple(
            f"{clip}/{frame}" for clip, frame in clips.new_tensor([self.all[i] for i in indices]).tolist()
        )
        return Batch(torch.zeros(len(indices), 3, 8, 8), ids, annotations=known)


@pytest.mark.parametrize("seed", range(4))
def test_where_the_donors_clip_is_over_one_frame_of_it_stays(seed):
    films = Films()
    batch = films[range(3, 8)]
    found = donors(films, batch, seed)
    [clip] = found.clips.unique().tolist()
    assert clip in (7, 9), "somebody else, where clips alone are known"
    length = {7: 3, 9: 2}[clip]
    assert found.annotations["frames"][:length].tolist() == list(range(length))
    [rest] = found.annotations["frames"][length:].unique().tolist()
    assert 0 <= rest < length


def test_where_nobody_counts_frames_a_clip_has_one_picture_of_its_donor():
    films = Films(counted=False)
    assert len(set(donors(films, films[range(3, 8)], 0).ids)) == 1


class Data:
    size = 8

    def split(self, name):
        return Films()

    def known_of(self, split):
        return {"clips", "frames"}


def test_clips_are_told_by_the_pictures_names():
    assert clips_of(Data(), "test", range(2, 5)) == {"7/2": 7, "8/0": 8, "8/1": 8}
    stills_alone = Data()
    stills_alone.known_of = lambda split: set()
    assert clips_of(stills_alone, "test", range(3)) is None


@pytest.mark.parametrize("taken", [range(0, 3), range(3, 8), range(0, 10), range(8, 10)])
def test_whole_clips_pass(taken):
    check_whole(Data(), "test", taken)


@pytest.mark.parametrize("taken", [range(0, 2), range(1, 3), range(3, 7), range(9, 10)])
def test_a_clip_that_is_cut_is_an_error_of_one_line(taken):
    with pytest.raises(DataError, match="take a multiple of their frames") as caught:
        check_whole(Data(), "test", taken)
    assert "\n" not in str(caught.value)


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
