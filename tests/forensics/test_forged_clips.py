"""Forged clips: a fake clip is one film, with one donor and one set of draws."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.forgeries._rerender import FLIPPED, Rerendered

from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError
from magdr_core.forensics.clips import check_whole, clips_of, drawn_by
from magdr_core.forensics.making import donors, forge
from magdr_core.toolkit import Toolkit

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


class Sketches:
    """A split that would draw otherwise; it remembers what was wanted."""

    def __init__(self, batch):
        self.batch = batch

    def indices_of(self, ids):
        return [self.batch.ids.index(name) for name in ids]

    def edited(self, indices, changes):
        self.wanted = torch.stack(list(changes.values()), 1)
        return self.batch.images[indices]

    def reenacted(self, indices, action_units):
        self.wanted = action_units
        return self.batch.images[indices]


@pytest.mark.parametrize("how", ["edited", "reenacted"])
def test_a_redrawn_clip_is_turned_one_way_although_its_frames_differ(how):
    """What the frames show is drawn at random here; only what the clip opens with is theirs in common."""
    count, length = 40, 3
    ids = [f"{clip}/{frame}" for clip in range(count) for frame in range(length)]
    rng, of_clip = SampleRng(0, "shown", ids), SampleRng(0, "opens", [str(i) for i in range(count)])
    names = [f"attribute:{name}" for name in FLIPPED]
    shown = {n: rng.integers(1, high=2)[:, 0].float() for n in names} | {"action_units": rng.uniform(17)}
    opens = {n: of_clip.integers(1, high=2)[:, 0].float() for n in names}
    opens["action_units"] = of_clip.uniform(17)
    known = {**shown, **{f"opening:{n}": v.repeat_interleave(length, 0) for n, v in opens.items()}}
    clips = torch.arange(count).repeat_interleave(length)
    batch = Batch(torch.zeros(len(ids), 3, 4, 4), tuple(ids), annotations={**known, "clips": clips})
    split = Sketches(batch)
    Rerendered(split, how)(batch, batch[:0], SampleRng(0, "redrawn", drawn_by(batch)))
    wanted = split.wanted.reshape(count, length, -1)
    now = torch.stack([shown[n] for n in names], 1) if how == "edited" else shown["action_units"]
    turned = (wanted != now.reshape(wanted.shape)).any(1)
    assert bool((wanted == wanted[:, :1]).all(1)[turned].all()), "one value for all frames of what is turned"
    first = torch.stack([opens[n] for n in names], 1) if how == "edited" else opens["action_units"]
    apart = (wanted[:, 0] - first).abs()[turned]
    assert float(apart.min()) > 0.39
