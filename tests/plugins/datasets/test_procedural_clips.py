"""Drawn faces in motion: one person, place and light a clip, smooth motion, exact facts of every frame."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from magdr_plugins.datasets.faces import in_motion, render, sample_parameters
from magdr_plugins.datasets.procedural_clips import SPLITS, ProceduralClips

from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError
from magdr_core.functional import to_8bit
from magdr_core.testing import conformance_checks

CLIPS, FRAMES = 10, 6


@pytest.fixture(scope="module")
def split():
    return ProceduralClips(size=32, frames=FRAMES).split("test")


@pytest.fixture(scope="module")
def clips(split):
    return split[range(CLIPS * FRAMES)]


@pytest.mark.parametrize("check", conformance_checks("procedural-clips"), ids=str)
def test_it_holds_to_what_every_dataset_promises(check):
    check()


def by_clip(values):
    return values.reshape(CLIPS, FRAMES, *values.shape[1:])


def test_rows_are_the_frames_of_one_clip_after_the_other(split, clips):
    first = SPLITS["test"][0]
    assert clips.clips.tolist() == [first + i // FRAMES for i in range(CLIPS * FRAMES)]
    assert clips.annotations["frames"].tolist() == [i % FRAMES for i in range(CLIPS * FRAMES)]
    assert torch.equal(clips.identities, clips.clips)
    assert clips.ids[FRAMES + 2] == f"clip-{first + 1}-frame-2"
    assert split.indices_of(clips.ids) == list(range(CLIPS * FRAMES))
    strangers = ("face-3", "clip-5-frame-1", f"clip-{first}-frame-{FRAMES}", f"clip-{first}-frame--1")
    assert split.indices_of(strangers) == [-1] * 4
    with pytest.raises(DataError, match="there is no index"):
        split[[len(split)]]


def test_a_frame_is_the_same_alone_and_in_any_batch(split, clips):
    for i in (0, 4, FRAMES, CLIPS * FRAMES - 1):
        alone = split[[i]]
        assert torch.equal(alone.images[0], clips.images[i])
        for name, value in clips.annotations.items():
            assert torch.equal(alone.annotations[name][0], value[i]), name


def test_person_clothes_place_and_light_stay_and_the_head_and_the_expression_move(split):
    params = split.parameters(range(CLIPS * FRAMES))
    for part in (params.identity, params.identity.hair, params.accessories, params.surroundings):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, torch.Tensor) and field.name != "grain_key":
                assert bool((by_clip(value) == by_clip(value)[:, :1]).all()), field.name
    assert len(params.surroundings.grain_key.unique()) == CLIPS * FRAMES, "sensor noise is new in each frame"
    for moving in (params.pose.yaw, params.pose.roll, params.pose.offset, params.action_units):
        assert bool((by_clip(moving).diff(dim=1) != 0).flatten(1).any(1).all())
    assert bool((by_clip(params.pose.lean).diff(dim=1) == 0).all())


def test_motion_is_smooth(split):
    """From frame to frame far less than between two people, and two steps are about twice one."""
    params = split.parameters(range(CLIPS * FRAMES))
    for values, most in ((params.pose.yaw, 0.05), (params.pose.scale, 0.01), (params.action_units, 0.7)):
        steps = by_clip(values).diff(dim=1).abs()
        assert float(steps.max()) < most, "a lid is the fastest thing in a face"
    steps = by_clip(params.pose.yaw).diff(dim=1)
    assert float((steps.diff(dim=1)).abs().max()) < 0.5 * float(steps.abs().max())


def test_a_picture_and_its_masks_are_what_the_renderer_draws_of_its_parameters(split, clips):
    images, masks = render(split.parameters([9]), 32)
    assert torch.equal(to_8bit(images)[0], clips.images[9])
    assert torch.equal(masks[0], clips.masks[9])


def test_the_first_frame_is_the_face_as_sampled_and_every_frame_knows_what_it_shows():
    rng = SampleRng(0, "motion", ["a"] * 3)
    own = SampleRng(0, "noise", ["0", "1", "2"])
    still = sample_parameters(rng)
    moved = in_motion(still, rng, torch.tensor([0, 5, 10]), own)
    assert torch.equal(moved.action_units[0], still.action_units[0])
    assert torch.equal(moved.pose.yaw[0], still.pose.yaw[0])
    assert not torch.equal(moved.action_units[1], still.action_units[1])


def test_what_a_clip_opens_with_is_known_of_all_its_frames(clips):
    opening = clips.opening
    assert torch.equal(
        by_clip(opening.action_units), by_clip(clips.action_units)[:, :1].expand(-1, FRAMES, -1)
    )
    for name, values in clips.attributes.items():
        assert torch.equal(by_clip(opening.attributes[name]), by_clip(values)[:, :1].expand(-1, FRAMES)), name
    assert opening.ids == clips.ids
    assert torch.equal(opening.masks, clips.masks), "of all else a picture keeps its own"


def test_talking_and_blinking_are_seen_in_some_clips():
    split = ProceduralClips(size=32, frames=12).split("train")
    units = split.parameters(range(40 * 12)).action_units.reshape(40, 12, 17)
    shut, open_ = units[..., 16].amax(1) - units[:, 0, 16], units[..., 14].amax(1) - units[:, 0, 14]
    assert 2 <= int((shut > 0.5).sum()) <= 25
    assert 10 <= int((open_ > 0.1).sum()) <= 38


def test_the_fingerprint_names_what_frames_depend_on():
    names = {
        ProceduralClips(**params).fingerprint()
        for params in ({}, {"size": 32}, {"grain": 2.0}, {"frames": 4})
    }
    assert len(names) == 4
    assert ProceduralClips().fingerprint() == "procedural-clips-v2.1-64px-grain1-8frames"


def test_a_frame_is_redrawn_in_its_own_pose(split, clips):
    rows = [1, FRAMES + 1]
    glasses = torch.tensor([1.0, 1.0])
    redrawn = split.edited(rows, {"Eyeglasses": glasses})
    background = clips.masks[rows, :1] > 0.99
    same = (redrawn == clips.images[rows]).all(1, keepdim=True)
    assert float((same & background).sum() / background.sum()) > 0.95
    with pytest.raises(DataError, match="procedural-clips has no attribute 'Wings'"):
        split.edited([0], {"Wings": glasses[:1]})
