"""Reading clips frame by frame, each frame with the time at which it is shown (extra `video`: PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core.errors import DataError
from magdr_core.media.formats import UNREADABLE_CLIPS
from magdr_core.media.frame_times import MAX_RATE, UNKNOWN, Clock, Extent, Length, sane_rate
from magdr_core.media.pictures import MIN_SIDE
from magdr_core.media.regular_files import open_regular
from magdr_core.media.tiles import in_unit

MAX_BYTES = 2**40
"""Clips are read piece by piece, so that their size costs no memory; anything above that is no clip."""

# A playlist named .mp4 could name other files or addresses. FFmpeg is handed an open file and may open
# nothing by itself.
_OPEN = {
    "protocol_whitelist": "none",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo",
}

MAX_PIXELS = 36_000_000
"""Of a frame; 8K has 33 million."""


def load_pyav() -> Any:
    """The module `av`.

    Raises:
        DataError: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise DataError("video needs PyAV: pip install 'magdr[video]'") from None
    return av


@dataclass(frozen=True)
class Video:
    """A clip; iterating decodes it from the start, one frame at a time.

    Attributes:
        path: the file.
        fps: frames per second as the file declares it, an average; at most `MAX_RATE`.
        declared: the number of frames that the file declares; 0 if it declares none, as Matroska and WebM do.
        height, width: of a frame as it is shown, in pixels.
        length: how long the file says it is.
        notes: what of the file's own word was not believed.
    """

    path: Path
    fps: Fraction
    declared: int
    height: int
    width: int
    length: Length = UNKNOWN
    notes: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        """About how many frames there are, for showing progress; 0 if nothing is known."""
        seconds = self.length.seconds
        return self.declared or (0 if seconds is None else min(10**9, int(seconds * self.fps)))

    def __iter__(self) -> Iterator[Tensor]:
        """`[3,H,W]` float32 in [0,1], 8-bit levels, turned as the file says.

        Raises:
            DataError: as for :meth:`timed`.
        """
        return (frame for _, frame in self.timed())

    def timed(self) -> Iterator[tuple[float, Tensor]]:
        """(seconds from the beginning of the file, frame `[3,H,W]` as iterating gives it), the times rising.

        Raises:
            DataError: as for :meth:`levels`.
        """
        return ((seconds, in_unit(levels)) for seconds, levels in self.levels())

    def levels(self) -> Iterator[tuple[float, Tensor]]:
        """(seconds from the beginning of the file, frame as `[3,H,W]` uint8), the times rising.

        Raises:
            DataError: a frame cannot be decoded, frames differ in size, or the last one ends before the
                duration that the file declares; the frames before that have been given.
        """
        extent, clock, count = Extent(self.length), Clock(self.fps), 0
        for seconds, frame in self._decoded(extent):
            count += 1
            if frame.shape != (3, self.height, self.width):
                raise DataError(f"{self.path}: frame {count} has another size than the first")
            try:
                shown = clock.at(seconds)
            except ValueError as e:
                raise DataError(f"{self.path}: {e}") from None
            yield shown, frame
        if extent.is_cut_short:
            raise DataError(f"{self.path}: is damaged or truncated: {count} frames decode, {extent}")

    def _decoded(self, extent: Extent) -> Iterator[tuple[Fraction | None, Tensor]]:
        count = 0
        try:
            with opened(self.path) as container:
                stream = picture_stream(container)
                begin = begin_of(container)
                for packet in container.demux():
                    if packet.stream.type == "audio":
                        extent.heard(packet, begin)
                    if packet.stream is not stream:
                        continue
                    for frame in packet.decode():
                        if frame.is_corrupt:
                            raise ValueError("damaged data")
                        count += 1
                        extent.seen(frame, begin)
                        yield seconds_of(frame.pts, frame.time_base, begin), _tensor(frame)
        except pyav_errors() as e:
            where = f"frame {count + 1} cannot be decoded ({reason(e)}); {count} frames decode, {extent}"
            raise DataError(f"{self.path}: {where}: it is damaged or truncated") from None


def seconds_of(pts: int | None, time_base: Fraction | None, begin: Fraction) -> Fraction | None:
    """A timestamp in seconds from the beginning of the file; None where there is none."""
    return None if pts is None or not time_base else pts * time_base - begin


def begin_of(container: Any) -> Fraction:
    """The first timestamp of all streams, in seconds: what a player shows as 0."""
    start = container.start_time
    return Fraction(0) if start is None else Fraction(start, 1_000_000)


def picture_stream(container: Any) -> Any:
    """The first video stream of a known codec that is no cover picture; None if there is none."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not _is_cover(stream):
            # The decoder's own bound, since a frame in the middle may declare another size than the first.
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            return stream
    return None


def _is_cover(stream: Any) -> bool:
    attached = getattr(stream.disposition, "attached_pic", None)
    return attached is not None and bool(stream.disposition & attached)


def _tensor(frame: Any) -> Tensor:
    levels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    return torch.rot90(levels, _turns(frame), (1, 2)).contiguous()


def _turns(frame: Any) -> int:
    """Quarter turns counterclockwise that the file's display matrix asks for (phones film sideways)."""
    return round(frame.rotation / 90)


def reason(error: BaseException) -> str:
    """A decoder's or a disk's complaint, in a few words."""
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return " ".join(text.split())


def pyav_errors() -> tuple[type[Exception], ...]:
    """What PyAV raises on files that are no video, damaged, or declare what cannot be."""
    av = load_pyav()
    return (av.error.FFmpegError, EOFError, ValueError, OverflowError, MemoryError, OSError)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A PyAV container for reading; FFmpeg sees the open file and no name.

    Raises:
        DataError: PyAV is missing, or there is no such regular file.
    """
    av = load_pyav()
    with (
        open_regular(path, MAX_BYTES) as file,
        av.open(_Nameless(file), options=_OPEN, metadata_errors="replace") as container,
    ):
        yield container


class _Nameless:
    """An open file without its name, which may be no text."""

    def __init__(self, file: Any) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def read_video(path: Path | str) -> Video:
    """Open a clip and decode its first frame, so that what is no video is refused at once.

    Raises:
        DataError: PyAV is missing; the file is missing, empty, no regular file, no video, damaged, or its
            frames are smaller than `MIN_SIDE` or larger than `MAX_PIXELS`. One line.
    """
    path = Path(path)
    if path.suffix.lower() in UNREADABLE_CLIPS:
        kind = UNREADABLE_CLIPS[path.suffix.lower()]
        raise DataError(f"{path}: cannot be read here: {kind}; convert it to MP4 or Matroska")
    load_pyav()
    try:
        with opened(path) as container:
            stream = picture_stream(container)
            if stream is None:
                raise DataError(f"{path}: has no video stream")
            pixels = stream.codec_context.width * stream.codec_context.height
            if pixels > MAX_PIXELS:
                raise DataError(f"{path}: frames of more than {MAX_PIXELS // 10**6} megapixels")
            said = stream.average_rate or stream.guessed_rate
            length = Length.declared(container, stream)
            declared = stream.frames
            frame = next(container.decode(stream), None)
    except pyav_errors() as e:
        raise DataError(f"{path}: is not a video that can be read ({reason(e)})") from None
    if frame is None:
        raise DataError(f"{path}: has no frame that can be decoded")
    first = _tensor(frame)
    if min(first.shape[1:]) < MIN_SIDE:
        raise DataError(f"{path}: frames of {first.shape[2]} x {first.shape[1]} pixels are too small")
    notes: tuple[str, ...] = ()
    if said and said > MAX_RATE:
        notes = (
            f"declares {float(said):g} frames a second; they are taken to be {1000 / MAX_RATE:g} ms apart",
        )
    return Video(path, sane_rate(said), declared, first.shape[1], first.shape[2], length, notes)
