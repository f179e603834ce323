"""Faces in motion: the same person, clothes, place and light, frame by frame another pose and expression.

Everything that moves does so by smooth functions of time, which are drawn once for a clip; a frame is a pure
function of its clip's streams and its own number.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from magdr_core.api import SampleRng
from magdr_core.functional import constant

from .parameters import ACTION_UNITS, AU_INDEX, Expression, FaceParameters, Pose
from .sampling import sample_expression, sample_pose

FRAMES_PER_SECOND = 25

TALKING = 0.6
"""Share of clips in which somebody talks."""

SPOKEN = {"AU25": 0.35, "AU26": 0.25}
"""How far a syllable opens the mouth at most."""

SYLLABLES = (2.5, 4.5)
"""A second."""

NODS, MOODS = (0.4, 1.0), (0.3, 0.9)
"""How often a second the head, and the expression, go to their other end and back."""

BLINKING = 0.3
"""Share of clips in which the eyes blink within the first `BLINK_WITHIN` seconds."""

BLINK_WITHIN, BLINK_HALF = 0.4, 0.06
"""Seconds: when, and how long closing or opening takes."""

_ELSEWHERE, _SHARES = 71, 72


def in_motion(params: FaceParameters, rng: SampleRng, frame: Tensor, own: SampleRng) -> FaceParameters:
    """Frames of clips, B of them. The first one of a clip, with the number 0, shows the face as it is given.

    The head and the expression go towards another pose and expression, drawn like the first ones, and come
    back; beside that some people talk, and some blink. Sensor noise is new in every frame.

    Args:
        params: the clips' faces, the same for all frames of a clip.
        rng: a stream per frame, the same for all frames of a clip; it is not advanced.
        frame: numbers in the clip from 0, `[B]` int64.
        own: a stream per frame, of that frame alone.
    """
    seconds = frame.to(torch.float32) / FRAMES_PER_SECOND
    there, d = rng.fork(_ELSEWHERE), rng.fork(_SHARES)
    nod = _there_and_back(d, seconds, NODS)
    mood = _there_and_back(d, seconds, MOODS)
    expression = _between(params.expression, sample_expression(there), mood)
    expression = _talking(expression, d, seconds)
    return replace(
        params,
        pose=_moved(params.pose, sample_pose(there), nod),
        expression=_blinking(expression, d, seconds),
        surroundings=replace(params.surroundings, grain_key=own.bits(1)[:, 0]),
    )


def _there_and_back(d: SampleRng, seconds: Tensor, often: tuple[float, float]) -> Tensor:
    """Shares of a way, `[B]` in [0,1]: 0 at first, smoothly to an end of it, and so on."""
    furthest, frequency = d.uniform(low=0.5), d.uniform(low=often[0], high=often[1])
    return furthest * (0.5 - 0.5 * torch.cos(2 * math.pi * frequency * seconds))


def _between(a: Expression, b: Expression, share: Tensor) -> Expression:
    def mixed(one: Tensor, other: Tensor) -> Tensor:
        return one + share[:, None] * (other - one)

    return Expression(mixed(a.action_units, b.action_units).clamp(0, 1), mixed(a.gaze, b.gaze))


def _moved(a: Pose, b: Pose, share: Tensor) -> Pose:
    """The head turns, nods and shifts; shoulders keep their place under it."""
    turned = {n: getattr(a, n) + share * (getattr(b, n) - getattr(a, n)) for n in ("roll", "yaw", "pitch")}
    nearer = a.scale + 0.5 * share * (b.scale - a.scale)
    return replace(a, **turned, scale=nearer, offset=a.offset + share[:, None] * (b.offset - a.offset))


def _talking(a: Expression, d: SampleRng, seconds: Tensor) -> Expression:
    talks = (d.uniform() < TALKING).to(torch.float32) * d.uniform(low=0.5)
    phase = 2 * math.pi * d.uniform(low=SYLLABLES[0], high=SYLLABLES[1]) * seconds
    opened = talks * (0.5 - 0.5 * torch.cos(phase))
    most = constant([SPOKEN.get(name, 0.0) for name in ACTION_UNITS], seconds.device)
    return replace(a, action_units=(a.action_units + opened[:, None] * most).clamp(0, 1))


def _blinking(a: Expression, d: SampleRng, seconds: Tensor) -> Expression:
    blinks = (d.uniform() < BLINKING).to(torch.float32)
    # Not so early that the first frame would be amid it.
    middle = BLINK_HALF + d.uniform(low=0.0, high=BLINK_WITHIN - BLINK_HALF)
    shut = (blinks * (1 - (seconds - middle).abs() / BLINK_HALF)).clamp(0, 1)
    eyes = constant([name == "AU45" for name in ACTION_UNITS], seconds.device)
    lids = torch.maximum(a.action_units[:, AU_INDEX["AU45"], None], shut[:, None])
    return replace(a, action_units=torch.where(eyes, lids, a.action_units))
