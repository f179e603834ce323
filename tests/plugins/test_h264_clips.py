"""A clip through H.264: PyAV's own result for the same settings, and whole clips together."""

from __future__ import annotations

import io
import sys

import av
import numpy as np
import pytest
import torch
from magdr_plugins.augmentations.degrading import h264, h264_clip
from magdr_plugins.datasets.procedural_clips import ProceduralClips

from magdr_core.errors import DataError
from magdr_core.forensics.making import degrade
from magdr_core.functional import psnr, to_8bit

FRAMES = 6
REGISTRY = """
[augmentation.h264-32]
use = "h264"
params = { crf = 32 }
[augmentation.grainy]
use = "noise"
params = { sigma = 0.1 }
"""


@pytest.fixture(scope="module")
def faces():
    return ProceduralClips(frames=FRAMES).split("test")[range(2 * FRAMES)].images


@pytest.fixture
def clip(faces):
    return faces[:FRAMES]


def by_hand(x, crf):
    """With PyAV alone, stored as MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = x.shape[3], x.shape[2], "yuv420p"
        stream.options = {"crf": str(crf)}
        stream.codec_context.thread_count = 1
        for one in x:
            levels = (one * 255).round().byte().permute(1, 2, 0).numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), "rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("crf", [23, 32, 40])
def test_a_clip_is_coded_as_x264_does_when_it_is_told_the_level_alone(clip, crf):
    assert torch.equal(h264_clip(clip, crf=crf), by_hand(clip, crf))


def test_levels_get_worse_and_frames_keep_their_order(clip):
    found = [h264_clip(clip, crf=crf) for crf in (23, 32, 40)]
    assert all(torch.equal(y, to_8bit(y)) for y in found)
    quality = torch.stack([psnr(y, clip) for y in found])
    assert (quality[:-1] > quality[1:]).all()
    assert (quality[-1] > 18).all()
    nearest = torch.cdist(h264_clip(clip, crf=0).flatten(1), clip.flatten(1)).argmin(1)
    assert nearest.tolist() == list(range(FRAMES))


def test_frames_are_coded_by_means_of_each_other(clip):
    """A frame of a clip is not what it would be by itself, and depends on what else is in its clip."""
    together = h264_clip(clip, crf=32)
    assert not torch.equal(together, h264(clip, crf=32))
    assert not torch.equal(together[:3], h264_clip(clip[:3], crf=32))


def test_colours_are_subsampled_once_for_both_classes_by_the_codec_itself():
    """Stripes of one pixel lose their colour, and brightness stays."""
    x = torch.zeros(3, 3, 64, 64)
    x[:, 0, :, ::2], x[:, 2, :, 1::2] = 1.0, 1.0
    y = h264_clip(x, crf=0)
    assert float((y[:, 0] - y[:, 2]).abs().mean()) < 0.35 < float((x[:, 0] - x[:, 2]).abs().mean())


def test_a_clip_comes_out_the_same_again_and_at_odd_sides(clip):
    assert torch.equal(h264_clip(clip), h264_clip(clip))
    odd = clip[:, :, :13, :31]
    assert h264_clip(odd).shape == odd.shape
    assert torch.equal(h264_clip(clip[:0]), clip[:0])


def test_as_a_quality_clips_are_coded_one_by_one_and_stills_alone(faces, toolkit_from):
    kit = toolkit_from(REGISTRY)
    ids = [str(i) for i in range(len(faces))]
    clips = torch.tensor([7] * FRAMES + [3] * FRAMES)
    coded = degrade(kit, "h264-32", faces, ids, 0, clips)
    for rows in (slice(0, FRAMES), slice(FRAMES, None)):
        assert torch.equal(coded[rows], h264_clip(faces[rows], crf=32))
        assert torch.equal(coded[rows], degrade(kit, "h264-32", faces[rows], ids[rows], 0, clips[rows]))
    assert torch.equal(degrade(kit, "h264-32", faces[:2], ids[:2], 0), h264(faces[:2], crf=32))
    grainy = degrade(kit, "grainy", faces, ids, 0, clips)
    assert torch.equal(grainy, degrade(kit, "grainy", faces, ids, 0)), "other qualities know no clips"


def test_without_pyav_one_line_says_what_to_install(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"^h264 needs PyAV: pip install 'magdr\[video\]'$"):
        h264_clip(clip)
