"""Reading clips frame by frame, and writing them, without loss where that matters (extra `video`: PyAV)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.media.pictures import MAX_PIXELS, MIN_SIDE, to_levels

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm")

_DEFAULT_RATE = Fraction(25)

# A playlist named .mp4 could name other files or addresses; FFmpeg shall open this file and nothing else.
_OPEN = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo",
}


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise DataError("video needs PyAV: pip install 'magdr[video]'") from None
    return av


def _allowed_missing(declared: int) -> int:
    """Edit lists and a last group of pictures may cost a clip that is whole a frame or two."""
    return max(2, declared // 100)


@dataclass(frozen=True)
class Video:
    """A clip; iterating decodes it from the start, one frame at a time.

    Attributes:
        path: the file.
        fps: frames per second, on average.
        declared: the number of frames that the file declares (for formats that declare only a duration:
            duration times rate), 0 if it declares neither.
        height, width: of a frame as it is shown, in pixels.
    """

    path: Path
    fps: Fraction
    declared: int
    height: int
    width: int

    def __iter__(self) -> Iterator[Tensor]:
        """`[3,H,W]` float32 in [0,1], 8-bit levels, turned as the file says.

        Raises:
            DataError: a frame cannot be decoded, frames differ in size, or the file ends before the declared
                number of frames; the frames before that have been given.
        """
        count = 0
        for count, frame in enumerate(self._decoded(), 1):
            if frame.shape != (3, self.height, self.width):
                raise DataError(f"{self.path}: frame {count} has another size than the first")
            yield frame
        if count < self.declared - _allowed_missing(self.declared):
            raise DataError(
                f"{self.path}: is damaged or truncated: {count} of {self.declared} declared frames decode"
            )

    def _decoded(self) -> Iterator[Tensor]:
        av = _av()
        count = 0
        try:
            with av.open(f"file:{self.path}", options=_OPEN) as container:
                for frame in container.decode(video=0):
                    if frame.is_corrupt:
                        raise ValueError("damaged data")
                    count += 1
                    yield _tensor(frame)
        except (av.error.FFmpegError, EOFError, ValueError) as e:
            raise DataError(f"{self.path}: frame {count + 1} cannot be decoded ({_reason(e)})") from None


def _tensor(frame: Any) -> Tensor:
    levels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    return torch.rot90(levels, _turns(frame), (1, 2)).float().div(255).contiguous()


def _turns(frame: Any) -> int:
    """Quarter turns counterclockwise that the file's display matrix asks for (phones film sideways)."""
    return round(frame.rotation / 90)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def read_video(path: Path | str) -> Video:
    """Open a clip and decode its first frame, so that what is no video is refused at once.

    Raises:
        DataError: PyAV is missing; the file is missing, empty, no video, damaged, or its frames are smaller
            than `MIN_SIDE` or larger than `MAX_PIXELS`. One line.
    """
    path = Path(path)
    av = _av()
    try:
        if not path.stat().st_size:
            raise DataError(f"{path}: is empty")
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist") from None
    try:
        with av.open(f"file:{path}", options=_OPEN) as container:
            if not container.streams.video:
                raise DataError(f"{path}: has no video stream")
            stream = container.streams.video[0]
            pixels = stream.codec_context.width * stream.codec_context.height
            if pixels > MAX_PIXELS:
                raise DataError(f"{path}: frames of more than {MAX_PIXELS // 10**6} megapixels")
            fps = stream.average_rate or stream.guessed_rate or _DEFAULT_RATE
            declared = stream.frames or _estimate(container, stream, fps)
            frame = next(container.decode(video=0), None)
    except (av.error.FFmpegError, EOFError, ValueError) as e:
        raise DataError(f"{path}: is not a video that can be read ({_reason(e)})") from None
    if frame is None:
        raise DataError(f"{path}: has no frame that can be decoded")
    first = _tensor(frame)
    if min(first.shape[1:]) < MIN_SIDE:
        raise DataError(f"{path}: frames of {first.shape[2]} x {first.shape[1]} pixels are too small")
    return Video(path, Fraction(fps), declared, first.shape[1], first.shape[2])


def _estimate(container: Any, stream: Any, fps: Fraction) -> int:
    """The number of frames by the declared duration; only where nothing but this stream sets it."""
    if stream.duration is not None and stream.time_base is not None:
        return int(stream.duration * stream.time_base * fps)
    if container.duration is not None and len(container.streams) == 1:
        return int(Fraction(container.duration, 1_000_000) * fps)
    return 0


@contextmanager
def video_writer(
    path: Path | str, fps: Fraction | float, *, lossless: bool = True
) -> Iterator[Callable[[Tensor], None]]:
    """Write a clip frame by frame, without sound; the file is there when the block ends well, else not.

    Args:
        path: ends in `.mkv` if lossless, else in `.mp4`.
        fps: frames per second.
        lossless: FFV1 in RGB, so that 8-bit frames come back to the last bit; else H.264, which every player
            shows, with sides cropped to even numbers.

    Yields:
        a function that takes the next frame, `[3,H,W]` in [0,1], all of one size.

    Raises:
        DataError: another suffix, PyAV is missing, no frames, or the file cannot be written.
    """
    path = Path(path)
    wanted = ".mkv" if lossless else ".mp4"
    if path.suffix.lower() != wanted:
        raise DataError(f"{path}: {'lossless clips' if lossless else 'clips for players'} end in {wanted}")
    av = _av()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as e:
        raise DataError(f"{path}: cannot be written ({e.strerror})") from None
    try:
        encoder = _Encoder(av, name, Fraction(fps).limit_denominator(100_000), lossless)
        try:
            yield encoder.add
        finally:
            encoder.close()
        if not encoder.count:
            raise DataError(f"{path}: there are no frames to write")
        os.chmod(name, 0o644)
        os.replace(name, path)
    except (av.error.FFmpegError, OSError) as e:
        raise DataError(f"{path}: cannot be written ({_reason(e)})") from None
    finally:
        Path(name).unlink(missing_ok=True)


class _Encoder:
    def __init__(self, av: Any, name: str, fps: Fraction, lossless: bool) -> None:
        self._av, self._fps, self._lossless = av, fps, lossless
        self._container = av.open(name, "w", format="matroska" if lossless else "mp4")
        self._stream: Any = None
        self.count = 0

    def add(self, image: Tensor) -> None:
        levels = to_levels(image)
        if not self._lossless:
            levels = levels[: levels.shape[0] // 2 * 2, : levels.shape[1] // 2 * 2].copy()
        if self._stream is None:
            self._stream = self._new_stream(levels.shape[1], levels.shape[0])
        frame = self._av.VideoFrame.from_ndarray(levels, format="rgb24")
        frame.pts = self.count
        frame.time_base = 1 / self._fps
        self._container.mux(self._stream.encode(frame))
        self.count += 1

    def _new_stream(self, width: int, height: int) -> Any:
        stream = self._container.add_stream("ffv1" if self._lossless else "libx264", rate=self._fps)
        stream.width, stream.height = width, height
        stream.pix_fmt = "bgr0" if self._lossless else "yuv420p"
        stream.time_base = 1 / self._fps
        if not self._lossless:
            stream.options = {"crf": "16", "preset": "medium"}
        return stream

    def close(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


def write_video(
    path: Path | str, frames: Iterable[Tensor], fps: Fraction | float, *, lossless: bool = True
) -> int:
    """Write a clip; see :func:`video_writer`. Only one frame is held at a time.

    Returns:
        the number of frames.
    """
    count = 0
    with video_writer(path, fps, lossless=lossless) as add:
        for frame in frames:
            add(frame)
            count += 1
    return count
