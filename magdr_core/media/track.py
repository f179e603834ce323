"""One face through a clip: a cut that moves smoothly, and decisions that do not flicker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np
from torch import Tensor

from magdr_core.media.faces import LIFT, MARGIN, Box, find_faces, placed

LOOKS_PER_SECOND = 6
"""How often the face is looked for; in between its place is interpolated."""

SMOOTH_SECONDS = 0.5
"""Over which places are averaged, and scores are summarised by their median."""

HYSTERESIS = 0.5
"""A stretch of a clip ends when its score is this far below the threshold; learned scores are log odds."""


def face_track(
    frames: Iterable[Tensor], fps: Fraction | float, *, progress: Callable[[int], None] = lambda done: None
) -> list[Box]:
    """The cut of every frame: around the largest face where one is first seen, then around the nearest one.

    Looked for `LOOKS_PER_SECOND` times a second; outliers are dropped by a median, gaps interpolated and the
    path averaged, since a cut that jitters makes a generator's output flicker.

    Returns:
        as many cuts as frames; none if no face was seen at all.
    """
    every = max(1, round(float(fps) / LOOKS_PER_SECOND))
    seen: list[tuple[int, float, float, float]] = []
    count = height = width = 0
    for count, frame in enumerate(frames, 1):
        height, width = frame.shape[1:]
        if (count - 1) % every == 0:
            faces = find_faces(frame)
            if faces:
                face = faces[0] if not seen else min(faces, key=lambda f: _jump(f, seen[-1]))
                seen.append((count - 1, *_centre(face), float(face.side)))
        progress(count)
    if not seen:
        return []
    path = smoothed(np.array(seen), count, round(float(fps) * SMOOTH_SECONDS))
    return [placed(row - LIFT * side, column, MARGIN * side, height, width) for row, column, side in path]


def _centre(face: Box) -> tuple[float, float]:
    return face.top + face.side / 2, face.left + face.side / 2


def _jump(face: Box, last: tuple[int, float, float, float]) -> float:
    """How far a face is from the last one, in place and size."""
    row, column = _centre(face)
    return abs(row - last[1]) + abs(column - last[2]) + abs(face.side - last[3])


def smoothed(
    seen: np.ndarray[tuple[int, ...], np.dtype[np.float64]], count: int, window: int
) -> list[tuple[float, float, float]]:
    """A path through `[n,4]` sightings (frame, row, column, side): one (row, column, side) per frame."""
    times = np.arange(count)
    columns = []
    for values in seen[:, 1:].T:
        sound = values.copy()
        sound[1:-1] = running_median(values.tolist(), 3)[1:-1]
        path = np.interp(times, seen[:, 0], sound)
        reach = max(1, window // 2)
        kernel = np.hanning(2 * reach + 3)[1:-1]
        # The ends are mirrored through their own value, so that a moving face does not lag there.
        left, right = 2 * path[0] - path[reach:0:-1], 2 * path[-1] - path[-2 : -reach - 2 : -1]
        padded = np.concatenate([_long(left, reach, path[0]), path, _long(right, reach, path[-1])])
        columns.append(np.convolve(padded, kernel / kernel.sum(), mode="valid"))
    return [(float(r), float(c), float(s)) for r, c, s in zip(*columns, strict=True)]


def _long(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], length: int, fill: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A clip shorter than the window has too little to mirror."""
    return values if len(values) == length else np.full(length, fill)


def running_median(values: Sequence[float], window: int) -> list[float]:
    """The median of `window` values around each one; fewer at the ends."""
    reach = window // 2
    return [float(np.median(values[max(0, i - reach) : i + reach + 1])) for i in range(len(values))]


def half_second_medians(scores: Sequence[float], fps: Fraction | float) -> list[float]:
    """The running median over `SMOOTH_SECONDS`, of three frames at least."""
    return running_median(scores, max(3, round(float(fps) * SMOOTH_SECONDS)))


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


def stretches(states: Sequence[bool], fps: Fraction | float) -> list[tuple[float, float]]:
    """(begin, end) in seconds of each run of True."""
    found: list[tuple[float, float]] = []
    begin: int | None = None
    for i, state in enumerate([*states, False]):
        if state and begin is None:
            begin = i
        elif not state and begin is not None:
            found.append((round(begin / float(fps), 3), round(i / float(fps), 3)))
            begin = None
    return found
