"""Sound stays with its clip, and pictures stay where they were beside it."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from magdr_core.media import read_video, video_writer
from magdr_core.media.sound import Sound

av = pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")

FRAMES, RATE = 10, 48000


def with_sound(path, container, codec, begin=0):
    """Ten frames in .4 s with noise of the same length."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format=container) as out:
        video = out.add_stream("mpeg4" if container != "webm" else "libvpx-vp9", rate=25)
        video.width = video.height = 48
        video.pix_fmt = "yuv420p"
        audio = out.add_stream(codec, rate=RATE)
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((48, 48, 3), 20 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = begin + i, Fraction(1, 25)
            out.mux(video.encode(frame))
            noise = rng.integers(-3000, 3000, (1, 2 * 1920)).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
            sound.rate, sound.pts, sound.time_base = RATE, begin * 1920 + i * 1920, Fraction(1, RATE)
            out.mux(audio.encode(sound))
        out.mux(video.encode())
        out.mux(audio.encode())


def copied(tmp_path, source, suffix):
    """The clip written again with its sound; what became of the sound."""
    path, video = tmp_path / f"again{suffix}", read_video(source)
    sound = Sound.under(path, source)
    with video_writer(path, video.fps, lossless=suffix == ".mkv", sound=sound) as add:
        for seconds, frame in video.timed():
            add(frame, seconds)
    return path, sound


def heard(path):
    """(codec, seconds of sound, when the first picture is shown)"""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(stream))
        rate = stream.codec_context.sample_rate
        name = stream.codec_context.name
    times = [seconds for seconds, _ in read_video(path).timed()]
    return name, samples / rate, times


@pytest.mark.parametrize(
    ("container", "codec", "suffix", "becomes"),
    [
        ("mp4", "aac", ".mkv", "aac"),
        ("mp4", "aac", ".mp4", "aac"),
        ("matroska", "pcm_s16le", ".mkv", "pcm_s16le"),
        ("matroska", "pcm_s16le", ".mp4", "aac"),
        ("webm", "libopus", ".mp4", "opus"),
    ],
)
def test_sound_is_copied_where_the_file_can_hold_it_and_encoded_elsewhere(
    tmp_path, container, codec, suffix, becomes
):
    source = tmp_path / f"in.{container}"
    with_sound(source, container, codec)
    path, sound = copied(tmp_path, source, suffix)
    name, seconds, times = heard(path)
    assert sound.lost == ""
    assert name.removeprefix("lib") == becomes
    assert seconds == pytest.approx(0.4, abs=0.05)
    # Opus begins 6.5 ms before it is heard; older FFmpeg moves all streams by that.
    assert 0 <= times[0] < (0.008 if becomes == "opus" else 0.0021)
    assert np.subtract(times, times[0]) == pytest.approx([i / 25 for i in range(FRAMES)], abs=0.0021)


def test_a_clip_without_sound_stays_without(tmp_path):
    with video_writer(tmp_path / "a.mkv", 25) as add:
        for _ in range(3):
            add(torch.zeros(3, 32, 32))
    path, sound = copied(tmp_path, tmp_path / "a.mkv", ".mp4")
    assert sound.lost == ""
    with av.open(str(path)) as container:
        assert not container.streams.audio


def test_sound_that_fails_is_told_and_costs_no_picture(tmp_path, monkeypatch):
    source = tmp_path / "in.mkv"
    with_sound(source, "matroska", "pcm_s16le")

    def broken(self, packet, begin):
        raise ValueError("no such sample")

    monkeypatch.setattr("magdr_core.media.sound._Copied.packets", broken)
    path, sound = copied(tmp_path, source, ".mkv")
    assert sound.lost == "no such sample"
    assert len(list(read_video(path))) == FRAMES
