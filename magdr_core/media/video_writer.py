"""Writing clips frame by frame, each frame at its time, with the sound of another clip."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.media.frame_times import sane_rate
from magdr_core.media.pictures import to_levels
from magdr_core.media.sound import Sound
from magdr_core.media.video import load_pyav, reason

_TICKS = {True: 1000, False: 90_000}
"""Ticks a second of a lossless clip (Matroska's own) and of one for players: encoders and containers allocate
and round by this number, so it is fixed, whatever a source declares."""

LARGE = 4_000_000
"""Pixels of a frame from which encoders are kept from holding dozens of frames: those of 4K took 1.3 GB."""

MAX_PIXELS = 10_000_000
"""Of a frame; 4K has 8.9 million at most. The encoders hold many frames at once."""

Add = Callable[..., None]


@contextmanager
def video_writer(
    path: Path | str, fps: Fraction | float, *, lossless: bool = True, sound: Sound | None = None
) -> Iterator[Add]:
    """Write a clip frame by frame; the file is there when the block ends well, else not.

    Args:
        path: ends in `.mkv` if lossless, else in `.mp4`.
        fps: frames per second, for frames that are added without a time.
        lossless: FFV1 in RGB, so that 8-bit frames come back to the last bit; else H.264, which every player
            shows, with sides cropped to even numbers.
        sound: the sound of another clip, to be laid under the frames; it says itself what became of it.

    Yields:
        `add(image, seconds=None)`, which takes the next frame, `[3,H,W]` in [0,1] or uint8, all of one size,
        and when it is shown: seconds from the beginning, rising.

    Raises:
        DataError: another suffix, PyAV is missing, no frames, frames of more than `MAX_PIXELS`, or the file
            cannot be written.
    """
    path = Path(path)
    wanted = ".mkv" if lossless else ".mp4"
    if path.suffix.lower() != wanted:
        raise DataError(f"{path}: {'lossless clips' if lossless else 'clips for players'} end in {wanted}")
    av = load_pyav()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".magdr-clip-", suffix=wanted)
        os.close(handle)
    except OSError as e:
        raise DataError(f"{path}: cannot be written ({e.strerror})") from None
    try:
        encoder = _Encoder(av, path, name, sane_rate(Fraction(fps)), lossless, sound)
        try:
            yield encoder.add
        finally:
            encoder.close()
        if not encoder.count:
            raise DataError(f"{path}: there are no frames to write")
        os.chmod(name, 0o644)
        os.replace(name, path)
    except (av.error.FFmpegError, OSError) as e:
        raise DataError(f"{path}: cannot be written ({reason(e)})") from None
    finally:
        Path(name).unlink(missing_ok=True)


def check_writable_size(path: Path, width: int, height: int) -> None:
    """Raises DataError for frames that are too large to be encoded in a bounded memory."""
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{path}: frames of {width} x {height} are more than {MAX_PIXELS // 10**6} megapixels: such "
            "clips are judged (magdr detect), not written"
        )


class _Encoder:
    def __init__(
        self, av: Any, path: Path, name: str, fps: Fraction, lossless: bool, sound: Sound | None
    ) -> None:
        self._av, self._path, self._lossless, self._sound = av, path, lossless, sound
        self._fps = fps.limit_denominator(100_000)
        # A file object, since PyAV takes names as text, which those of folders need not be.
        self._file = open(name, "wb")  # noqa: SIM115 (closed below)
        self._container = av.open(_Sink(self._file), "w", format="matroska" if lossless else "mp4")
        self._stream: Any = None
        self._tick = Fraction(1, _TICKS[lossless])
        self._last = -1
        self.count = 0

    def add(self, image: Tensor, seconds: float | None = None) -> None:
        levels = to_levels(image)
        if not self._lossless:
            levels = levels[: levels.shape[0] // 2 * 2, : levels.shape[1] // 2 * 2].copy()
        if self._stream is None:
            self._stream = self._new_stream(levels.shape[1], levels.shape[0])
            if self._sound is not None:
                self._sound.start(self._container)
        time = self.count / self._fps if seconds is None else Fraction(seconds)
        frame = self._av.VideoFrame.from_ndarray(levels, format="rgb24")
        self._last = max(round(time / self._tick), self._last + 1)
        frame.pts, frame.time_base = self._last, self._tick
        if self._sound is not None:
            self._sound.mux_until(float(time))
        self._container.mux(self._stream.encode(frame))
        self.count += 1

    def _new_stream(self, width: int, height: int) -> Any:
        check_writable_size(self._path, width, height)
        stream = self._container.add_stream("ffv1" if self._lossless else "libx264", rate=self._fps)
        stream.width, stream.height = width, height
        stream.pix_fmt = "bgr0" if self._lossless else "yuv420p"
        stream.codec_context.time_base = self._tick
        stream.time_base = self._tick
        if not self._lossless:
            # Without frames that are stored out of order: with uneven times those make an MP4 declare less
            # than it holds, and players stop early.
            stream.options = {"crf": "16", "preset": "medium", "bf": "0"}
        if width * height > LARGE:
            stream.codec_context.thread_count = 1
            if not self._lossless:
                stream.options |= {"rc-lookahead": str(10 * LARGE // (width * height))}
        return stream

    def close(self) -> None:
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
                if self._sound is not None:
                    self._sound.mux_until(None)
        finally:
            try:
                self._container.close()
            finally:
                if self._sound is not None:
                    self._sound.close()
                self._file.close()


class _Sink:
    """An open file without its name."""

    def __init__(self, file: Any) -> None:
        self.write, self.seek, self.tell = file.write, file.seek, file.tell


def write_video(
    path: Path | str, frames: Iterable[Tensor], fps: Fraction | float, *, lossless: bool = True
) -> int:
    """Write a clip without sound; see :func:`video_writer`. Only one frame is held at a time.

    Args:
        frames: `[3,H,W]` each, all of one size, in [0,1] or uint8.

    Returns:
        the number of frames.

    Raises:
        DataError: as for :func:`video_writer`.
    """
    count = 0
    with video_writer(path, fps, lossless=lossless) as add:
        for frame in frames:
            add(frame)
            count += 1
    return count
