"""Clips: frame by frame, exact where lossless, and refused in one line where damaged."""

import os
import re
import struct
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from magdr_core.errors import DataError
from magdr_core.media import VIDEO_SUFFIXES, read_video, video_writer, write_video
from tests.edits import edited

av = pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")


@pytest.fixture(scope="module")
def frames():
    levels = torch.randint(0, 256, (24, 3, 48, 50), generator=torch.Generator().manual_seed(0))
    return levels / 255


@pytest.fixture(scope="module")
def clip(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    assert write_video(path, iter(frames), 25) == 24
    return path


def moving():
    """Frames that H.264 hardly changes."""
    ramp = torch.linspace(0, 1, 64).expand(3, 48, 64)
    return torch.stack([ramp.roll(i, 2) for i in range(0, 24, 2)])


def test_a_lossless_clip_comes_back_to_the_last_bit(clip, frames):
    video = read_video(clip)
    assert (video.fps, video.declared, video.height, video.width) == (25, 0, 48, 50)
    assert torch.equal(torch.stack(list(video)), frames)
    assert torch.equal(next(iter(video)), frames[0])  # from the start again


def test_a_clip_for_players_is_close_and_keeps_its_rate(tmp_path):
    frames = moving()
    path = tmp_path / "a.mp4"
    write_video(path, frames, Fraction(30000, 1001), lossless=False)
    video = read_video(path)
    assert video.fps == Fraction(30000, 1001)
    assert video.declared == len(frames)
    assert (torch.stack(list(video)) - frames).abs().mean() < 0.03


def test_odd_sides_are_cropped_for_players(tmp_path):
    write_video(tmp_path / "odd.mp4", torch.zeros(3, 3, 33, 35), 10, lossless=False)
    assert next(iter(read_video(tmp_path / "odd.mp4"))).shape == (3, 32, 34)


def matrix(a, b, c, d):
    """QuickTime's display matrix: x' = a x + c y, y' = b x + d y, with y downwards."""
    one, last = 1 << 16, 1 << 30
    return struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, last)


@pytest.mark.parametrize(
    ("stored", "quarters"),
    [
        ((0, 1, -1, 0), -1),  # the right side goes down: clockwise, as phones held upright film
        ((0, -1, 1, 0), 1),
        ((-1, 0, 0, -1), 2),
    ],
)
def test_rotation_that_the_file_asks_for_is_applied(tmp_path, stored, quarters):
    path = tmp_path / "phone.mp4"
    write_video(path, moving(), 25, lossless=False)
    plain = next(iter(read_video(path)))
    # PyAV reads display matrices but does not write them.
    data = path.read_bytes()
    track = data.index(b"tkhd")
    path.write_bytes(data[:track] + edited(data[track:], (matrix(1, 0, 0, 1), matrix(*stored)), first=True))
    video = read_video(path)
    turned = next(iter(video))
    assert (video.height, video.width) == tuple(turned.shape[1:])
    assert torch.equal(turned, torch.rot90(plain, quarters, (1, 2)))


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_clip_that_was_cut_off_is_refused_after_what_decodes(tmp_path, clip, share):
    data = clip.read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(data[: int(share * len(data))])
    video, given = read_video(path), []
    with pytest.raises(
        DataError, match=r"cut\.mkv: .*damaged or truncated|\d+ frames decode, the first .* of 0.96 seconds"
    ):
        given.extend(video)
    assert 0 < len(given) < 24


def test_a_clip_with_damage_inside_is_refused(tmp_path, frames):
    path = tmp_path / "hurt.mp4"
    write_video(
        path, torch.rand(24, 3, 48, 48, generator=torch.Generator().manual_seed(0)), 25, lossless=False
    )
    data = bytearray(path.read_bytes())
    for i in range(len(data) // 3, len(data) // 3 + 300):
        data[i] ^= 0x5A
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"hurt\.mp4: frame \d+ cannot be decoded") as caught:
        list(read_video(path))
    assert "\n" not in str(caught.value)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("nothing.mp4", b"", "is empty"),
        ("text.mp4", b"dear diary, " * 200, "is not a video that can be read"),
        ("list.mp4", PLAYLIST, "is not a video that can be read"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, clip, name, content, expected):
    (tmp_path / "clip.mkv").write_bytes(clip.read_bytes())
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        read_video(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_clip_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_video(tmp_path / "gone.mp4")


def test_without_pyav_the_extra_is_named(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"magdr\[video\]"):
        read_video(clip)
    with pytest.raises(DataError, match=r"magdr\[video\]"):
        write_video(tmp_path / "a.mkv", [], 25)


def test_nothing_is_left_of_a_clip_that_could_not_be_written(tmp_path):
    def broken():
        yield torch.zeros(3, 32, 32)
        raise DataError("the source ended")

    with pytest.raises(DataError, match="the source ended"):
        write_video(tmp_path / "a.mkv", broken(), 25)
    with pytest.raises(DataError, match="no frames"):
        write_video(tmp_path / "a.mkv", [], 25)
    with pytest.raises(DataError, match=r"end in \.mkv"):
        write_video(tmp_path / "a.avi", [torch.zeros(3, 32, 32)], 25)
    assert not any(tmp_path.iterdir())


def test_suffixes_are_lower_case_and_dotted():
    assert all(s.startswith(".") and s == s.lower() for s in VIDEO_SUFFIXES)


# -- times ----------------------------------------------------------------------------------------------


UNEVEN = [0.0, 0.04, 0.08, 0.12, 0.32, 0.52, 0.76]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_frames_keep_their_times(tmp_path, suffix):
    path = tmp_path / f"uneven{suffix}"
    with video_writer(path, 25, lossless=suffix == ".mkv") as add:
        for seconds, frame in zip(UNEVEN, moving(), strict=False):
            add(frame, seconds)
    video = read_video(path)
    assert [seconds for seconds, _ in video.timed()] == pytest.approx(UNEVEN, abs=1e-5)
    assert video.length.seconds >= Fraction(76, 100)


def encoded(path, times, size=(48, 48), rate=25, codec="mpeg4", container=None, ticks=1000):
    """A clip by PyAV itself, as others write them."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, ticks)
        for i, seconds in enumerate(times):
            levels = np.full((size[1], size[0], 3), 10 * i % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
            frame.pts, frame.time_base = round(seconds * ticks), Fraction(1, ticks)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_a_clip_with_few_frames_for_its_length_is_whole(tmp_path):
    times = [i / 25 for i in range(8)] + [0.52 + i / 5 for i in range(8)]
    encoded(tmp_path / "vfr.mkv", times, container="matroska", codec="libx264")
    video = read_video(tmp_path / "vfr.mkv")
    assert [seconds for seconds, _ in video.timed()] == pytest.approx(times, abs=0.002)
    assert video.declared == 0, "Matroska declares no number of frames, and none is made up"


def test_times_are_counted_from_the_beginning_of_the_file(tmp_path):
    encoded(tmp_path / "late.mkv", [5 + i / 25 for i in range(4)], container="matroska", codec="libx264")
    times = [seconds for seconds, _ in read_video(tmp_path / "late.mkv").timed()]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12], abs=0.002)


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_an_unevenly_timed_clip_that_was_cut_off_is_told_from_a_whole_one(tmp_path, share):
    encoded(tmp_path / "a.mkv", [i / 5 for i in range(40)], size=(256, 256), container="matroska")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"damaged or truncated") as caught:
        list(read_video(tmp_path / "cut.mkv"))
    assert re.search(r"\d+ frames decode, the first [\d.]+ of [78][\d.]* seconds", str(caught.value))


def test_a_declared_billion_frames_a_second_is_not_believed(tmp_path):
    path = tmp_path / "fast.mp4"
    encoded(path, [i / 10**9 for i in range(5)], rate=10**9, codec="libx264", ticks=10**9)
    video = read_video(path)
    assert video.fps == 1000
    assert "1e+09 frames a second" in video.notes[0]
    assert [seconds for seconds, _ in video.timed()] == [0, 0.001, 0.002, 0.003, 0.004]


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    encoded(tmp_path / "large.mp4", [0, 0.04], size=(512, 256))
    monkeypatch.setattr("magdr_core.media.video.MAX_PIXELS", 100_000)
    with pytest.raises(DataError, match=r"large\.mp4: frames of more than"):
        read_video(tmp_path / "large.mp4")


def test_a_clip_of_sound_alone_has_no_video_stream(tmp_path):
    with av.open(str(tmp_path / "song.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        sound.rate, sound.pts, sound.time_base = 48000, 0, Fraction(1, 48000)
        out.mux(stream.encode(sound))
        out.mux(stream.encode())
    with pytest.raises(DataError, match=r"song\.mp4: has no video stream"):
        read_video(tmp_path / "song.mp4")


def test_names_that_are_no_text_are_read_and_written(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff%d\n.mkv")
    write_video(path, moving()[:3], 25)
    assert len(list(read_video(path))) == 3


def test_a_long_name_is_written_if_the_folder_takes_it(tmp_path):
    path = tmp_path / ("x" * 251 + ".mkv")
    write_video(path, moving()[:2], 25)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_frames_that_encoders_could_not_hold_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[video_writer.__module__], "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match=r"frames of 64 x 32 are more than .* judged"):
        write_video(tmp_path / "a.mkv", [torch.zeros(3, 32, 64)], 25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lossless", [True, False])
def test_large_frames_are_all_written(tmp_path, monkeypatch, lossless):
    monkeypatch.setattr(sys.modules[video_writer.__module__], "LARGE", 1000)
    path = tmp_path / ("a.mkv" if lossless else "a.mp4")
    frames = [torch.full((3, 32, 64), i / 255) for i in range(30)]
    write_video(path, frames, 25, lossless=lossless)
    again = list(read_video(path))
    assert len(again) == 30
    if lossless:
        assert torch.equal(torch.stack(again), torch.stack(frames))
