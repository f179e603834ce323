"""The times of a clip's frames: what a file says of them, as far as it can be believed.

Frames need not be equally far apart: phones drop them in the dark, screen recorders write one when something
changes. So nothing here is computed from a number of frames and a rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

MAX_RATE = 1000
"""Frames per second. A file may declare any; windows of time in frames are bounded by this one."""

MAX_SECONDS = 10**7
"""Four months: a later timestamp is damaged, and would not fit where it is written."""

_DEFAULT_RATE = Fraction(25)

_SHARE = Fraction(1, 100)
"""Of the declared duration that may be missing at the end, since headers are rounded and edited."""


def sane_rate(declared: Fraction | None) -> Fraction:
    """A rate to work with: at most `MAX_RATE`, and 25 where there is none."""
    if not declared or declared <= 0:
        return _DEFAULT_RATE
    return min(max(Fraction(declared), Fraction(1, 1000)), Fraction(MAX_RATE))


class Clock:
    """Makes the times of frames rise: at least 1 / `MAX_RATE` from one frame to the next.

    A frame without a time comes one frame after the one before.
    """

    def __init__(self, fps: Fraction) -> None:
        self._frame = 1 / fps
        self._last: Fraction | None = None

    def at(self, seconds: Fraction | None) -> float:
        """The time of the next frame.

        Raises:
            ValueError: a time that cannot be right.
        """
        if seconds is not None and abs(seconds) > MAX_SECONDS:
            raise ValueError(f"a frame is declared to be shown after {float(seconds):.3g} seconds")
        if self._last is None:
            self._last = max(Fraction(0), seconds or Fraction(0))
        elif seconds is None:
            self._last += self._frame
        else:
            self._last = max(seconds, self._last + Fraction(1, MAX_RATE))
        return float(self._last)


@dataclass(frozen=True)
class Length:
    """How long a file says it is.

    Attributes:
        seconds: from the beginning; None if it does not say.
        of_pictures: it is said of the video stream itself; otherwise of the whole, which sound may end.
    """

    seconds: Fraction | None = None
    of_pictures: bool = False

    @staticmethod
    def declared(container: Any, stream: Any) -> Length:
        """What the video stream declares, else what the container does."""
        begin = Fraction(container.start_time or 0, 1_000_000)
        if stream.duration and stream.time_base:
            start = (stream.start_time or 0) * stream.time_base - begin
            return Length(stream.duration * stream.time_base + start, True)
        tagged = _clock_seconds(stream.metadata.get("DURATION", ""))
        if tagged:
            return Length(tagged - begin, True)
        if container.duration:
            return Length(Fraction(container.duration, 1_000_000))
        return Length()


UNKNOWN = Length()


def _clock_seconds(text: str) -> Fraction | None:
    """Matroska's `00:01:02.500000000`."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (ValueError, ZeroDivisionError):
        return None


class Extent:
    """How much of a declared length was met while reading.

    Args:
        declared: what the file says.
    """

    def __init__(self, declared: Length) -> None:
        self._declared = declared
        self._end = Fraction(0)
        self._last: Fraction | None = None
        self._longest = Fraction(0)

    def seen(self, frame: Any, begin: Fraction) -> None:
        """A frame was decoded."""
        if frame.pts is None or not frame.time_base:
            return
        time = frame.pts * frame.time_base - begin
        lasts = (frame.duration or 0) * frame.time_base
        if self._last is not None:
            self._longest = max(self._longest, time - self._last)
        self._longest = max(self._longest, lasts)
        self._last = time
        self._end = max(self._end, time + lasts)

    def heard(self, packet: Any, begin: Fraction) -> None:
        """A piece of sound was read; it counts where only the whole file's length is known."""
        if not self._declared.of_pictures and packet.pts is not None and packet.time_base:
            self._end = max(self._end, (packet.pts + (packet.duration or 0)) * packet.time_base - begin)

    @property
    def is_cut_short(self) -> bool:
        """More is missing than headers may be wrong by: two frames, one of the longest, or a hundredth."""
        total = self._declared.seconds
        if total is None or self._last is None:
            return False
        allowed = max(2 * self._longest, total * _SHARE)
        return self._end < total - allowed

    def __str__(self) -> str:
        total = self._declared.seconds
        of = "" if total is None else f" of {float(total):.3g}"
        return f"the first {float(self._end):.3g}{of} seconds"
