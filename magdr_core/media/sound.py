"""The sound of a clip, laid under a new one: copied where the new file can hold it, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

from magdr_core.errors import DataError
from magdr_core.media.video import begin_of, load_pyav, opened, pyav_errors, reason

_PLAYED_IN_MP4 = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
"""What MP4 holds and players understand; Matroska holds everything that is read here."""


class Sound:
    """The sound tracks of a clip. It never ends the work on the pictures: what goes wrong is in `lost`.

    Args:
        path: the clip.
        copied: codecs that are copied as they are; everything else becomes AAC. None: all of them.

    Attributes:
        lost: why sound is missing, or cut short; "" if all of it was kept.
    """

    def __init__(self, path: Path, *, copied: frozenset[str] | None = None) -> None:
        self.path = path
        self.lost = ""
        self._copied = copied
        self._tracks: dict[int, _Copied | _Encoded] = {}
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None
        self._begin = Fraction(0)
        self._container: Any = None
        self._open = ExitStack()

    @staticmethod
    def under(path: Path, clip: Path) -> Sound:
        """The sound of `clip` for a file that is called `path`: `.mp4` is for players."""
        return Sound(clip, copied=_PLAYED_IN_MP4 if path.suffix.lower() == ".mp4" else None)

    def start(self, container: Any) -> None:
        """Add the tracks to a file that is about to be written."""
        self._container = container
        errors: tuple[type[Exception], ...] = (DataError, *pyav_errors())
        try:
            source = self._open.enter_context(opened(self.path))
            self._begin = begin_of(source)
            for stream in source.streams.audio:
                if stream.codec_context is None:
                    raise ValueError("its codec is not known")
                copied = self._copied is None or stream.codec_context.name in self._copied
                self._tracks[stream.index] = (_Copied if copied else _Encoded)(stream, container)
            if self._tracks:
                self._packets = source.demux(list(source.streams.audio))
        except errors as e:
            self._give_up(e)

    def mux_until(self, seconds: float | None) -> None:
        """Write what is heard until then; everything if None."""
        while not self.lost:
            packet, self._waiting = self._waiting, None
            try:
                packet = packet or next(self._packets, None)
                if packet is None:
                    break
                if seconds is not None and self._time(packet) > seconds:
                    self._waiting = packet
                    return
                if packet.is_corrupt:
                    raise ValueError("damaged data")
                self._container.mux(self._tracks[packet.stream.index].packets(packet, self._begin))
            except pyav_errors() as e:
                self._give_up(e)
        if seconds is None and not self.lost:
            try:
                for track in self._tracks.values():
                    self._container.mux(track.rest())
            except pyav_errors() as e:
                self._give_up(e)

    def close(self) -> None:
        """Let go of the clip."""
        self._packets = iter(())
        self._waiting = None
        self._tracks.clear()
        self._open.close()

    def _time(self, packet: Any) -> float:
        return -1.0 if packet.pts is None else float(packet.pts * packet.time_base - self._begin)

    def _give_up(self, error: BaseException) -> None:
        self.lost = reason(error)


class _Copied:
    """A track whose packets are taken over as they are."""

    def __init__(self, stream: Any, container: Any) -> None:
        self._stream = container.add_stream_from_template(stream)
        self._last: int | None = None
        # Encoders begin with a piece before zero, on which decoders warm up. MP4 says so in an edit list,
        # which Matroska does not have: it would show all pictures later to make room for that piece.
        formats = container.format.name, stream.container.format.name
        self._from_zero = "matroska" in formats[0] and "matroska" not in formats[1]

    def packets(self, packet: Any, begin: Fraction) -> list[Any]:
        if packet.pts is None or packet.dts is None or not packet.size:
            return []
        shift = round(begin / packet.time_base)
        pts, dts = packet.pts - shift, packet.dts - shift
        if (self._from_zero and pts < 0) or (self._last is not None and dts <= self._last):
            return []
        self._last = dts
        packet.pts, packet.dts, packet.stream = pts, dts, self._stream
        return [packet]

    def rest(self) -> list[Any]:
        return []


class _Encoded:
    """A track that is decoded and becomes AAC."""

    def __init__(self, stream: Any, container: Any) -> None:
        av = load_pyav()
        rate = min(max(stream.codec_context.sample_rate, 8000), 48000)
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=rate)
        self._stream.codec_context.layout = layout
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        self._next: int | None = None
        self._rate = rate

    def packets(self, packet: Any, begin: Fraction) -> list[Any]:
        found = []
        for decoded in packet.decode():
            if self._next is None:
                seconds = Fraction(0) if decoded.pts is None else decoded.pts * decoded.time_base - begin
                self._next = max(0, round(seconds * self._rate))
            decoded.pts = None
            found += self._encoded(self._resampler.resample(decoded))
        return found

    def rest(self) -> list[Any]:
        if self._next is None:
            return []
        return [*self._encoded(self._resampler.resample(None)), *self._stream.encode(None)]

    def _encoded(self, frames: list[Any]) -> list[Any]:
        found = []
        for frame in frames:
            frame.pts, frame.time_base = self._next, Fraction(1, self._rate)
            self._next = (self._next or 0) + frame.samples
            found += self._stream.encode(frame)
        return found
