"""One face through a clip: a cut that moves smoothly, and decisions that do not flicker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from torch import Tensor

from magdr_core.media.faces import Box, cut_around
from magdr_core.media.finding import turn_of
from magdr_core.media.found import FaceFinder, places_in

LOOKS_PER_SECOND = 6
"""How often the face is looked for; in between its place is interpolated."""

SMOOTH_SECONDS = 0.5
"""Over which places are averaged, and scores are summarised by their median."""

UPRIGHT = 10.0
"""Degrees. A clip whose face is nowhere turned further is cut upright, as photographs are: turned cuts lose a
little of the finest detail."""

HYSTERESIS = 0.5
"""A stretch of a clip ends when its score is this far below the threshold; learned scores are log odds."""


def face_track(
    frames: Iterable[tuple[float, Tensor]],
    finder: FaceFinder,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[float], list[Box]]:
    """The cut of every frame: around the largest face where one is first seen, then around the nearest one.

    Looked for `LOOKS_PER_SECOND` times a second; outliers are dropped by a median, gaps interpolated and the
    path averaged, since a cut that jitters makes a generator's output flicker. The cuts turn with the face
    where it is turned by more than `UPRIGHT` degrees anywhere.

    Args:
        frames: (seconds, `[3,H,W]` in [0,1] or uint8), the times rising.

    Returns:
        the times, and as many cuts; no cut if no face was seen at all.
    """
    times: list[float] = []
    seen: list[tuple[float, float, float, float, float]] = []
    height = width = 0
    looked = -math.inf
    for seconds, frame in frames:
        height, width = frame.shape[1:]
        # The nearest frame to the wanted time, be it before it or after.
        half_a_frame = (seconds - times[-1]) / 2 if times else 0.0
        times.append(seconds)
        if seconds - looked > 1 / LOOKS_PER_SECOND - half_a_frame:
            looked = seconds
            faces = places_in(frame, finder)
            if faces:
                face = faces[0] if not seen else min(faces, key=lambda f: _jump(f, seen[-1]))
                seen.append((seconds, *face.centre, float(face.side), turn_of(frame, face)))
        progress(len(times))
    if not seen:
        return times, []
    path = smoothed(np.array(seen), times)
    turns = any(abs(angle) > UPRIGHT for *_, angle in path)
    return times, [
        cut_around(row, column, side, angle if turns else 0.0, height, width)
        for row, column, side, angle in path
    ]


def _jump(face: Box, last: tuple[float, ...]) -> float:
    """How far a face is from the last one, in place and size."""
    row, column = face.centre
    return abs(row - last[1]) + abs(column - last[2]) + abs(face.side - last[3])


def smoothed(
    seen: np.ndarray[tuple[int, ...], np.dtype[np.float64]], times: Sequence[float]
) -> list[tuple[float, ...]]:
    """A path through `[n,1+k]` sightings (seconds, then row, column, side, ...): k values per frame.

    Gaps are bridged in time; the average is over as many frames as `SMOOTH_SECONDS` have at the clip's usual
    rate.
    """
    reach = max(1, _usual_frames(times) // 2)
    kernel = np.hanning(2 * reach + 3)[1:-1]
    columns = []
    for values in seen[:, 1:].T:
        sound = values.copy()
        sound[1:-1] = running_median(values.tolist(), 3)[1:-1]
        path = np.interp(times, seen[:, 0], sound)
        # The ends are mirrored through their own value, so that a moving face does not lag there.
        left, right = 2 * path[0] - path[reach:0:-1], 2 * path[-1] - path[-2 : -reach - 2 : -1]
        padded = np.concatenate([_long(left, reach, path[0]), path, _long(right, reach, path[-1])])
        columns.append(np.convolve(padded, kernel / kernel.sum(), mode="valid"))
    return [tuple(float(value) for value in values) for values in zip(*columns, strict=True)]


def _usual_frames(times: Sequence[float]) -> int:
    """Frames in `SMOOTH_SECONDS`, at the median distance from one to the next; no more than there are."""
    if len(times) < 2:
        return 1
    usual = float(np.median(np.diff(times)))
    return round(min(SMOOTH_SECONDS / usual, float(len(times))))


def _long(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], length: int, fill: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A clip shorter than the window has too little to mirror."""
    return values if len(values) == length else np.full(length, fill)


def running_median(values: Sequence[float], window: int) -> list[float]:
    """The median of `window` values around each one; fewer at the ends."""
    reach = window // 2
    return [float(np.median(values[max(0, i - reach) : i + reach + 1])) for i in range(len(values))]


def half_second_medians(scores: Sequence[float], times: Sequence[float]) -> list[float]:
    """The median over `SMOOTH_SECONDS` around each frame; of it and its neighbours where they are fewer.

    Args:
        times: of the frames, in seconds, rising.
    """
    near = SMOOTH_SECONDS / 2 + 1e-6
    medians = []
    first = last = 0
    for i, seconds in enumerate(times):
        while times[first] < seconds - near:
            first += 1
        while last < len(times) and times[last] <= seconds + near:
            last += 1
        low, high = (first, last) if last - first >= 3 else (max(0, i - 1), i + 2)
        medians.append(float(np.median(scores[low:high])))
    return medians


def steady(medians: Sequence[float], threshold: float) -> list[bool]:
    """Which frames belong to a disrupted stretch of the clip.

    A frame's own verdict may flicker where its score is near the threshold, so running medians decide: a
    stretch begins when they rise above the threshold, and ends when they fall `HYSTERESIS` below.
    """
    state, states = False, []
    for score in medians:
        state = score > (threshold - HYSTERESIS if state else threshold)
        states.append(state)
    return states


def stretches(states: Sequence[bool], times: Sequence[float], end: float) -> list[tuple[float, float]]:
    """(begin, end) in seconds of each run of True: from its first frame to the next frame after its last.

    Args:
        times: of the frames, in seconds, rising.
        end: when the last frame ends.
    """
    found: list[tuple[float, float]] = []
    begin: float | None = None
    for state, seconds in zip([*states, False], [*times, end], strict=True):
        if state and begin is None:
            begin = seconds
        elif not state and begin is not None:
            found.append((round(begin, 3), round(seconds, 3)))
            begin = None
    return found
