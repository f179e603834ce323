"""Random faces: how often what occurs, and in which ranges.

Every part draws from its own fork of the per-image streams, so that a face does not depend on the batch
it is in, and so that a range may be changed in one part without moving another part's numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import SampleRng
from magdr_core.functional import constant

from .parameters import (
    ACTION_UNITS,
    AU_INDEX,
    Accessories,
    Expression,
    FaceParameters,
    Hair,
    Identity,
    Pose,
    Surroundings,
)

_IDENTITY, _HAIR, _EXPRESSION, _POSE, _WORN, _PLACE, _OWN_IDENTITY = range(7)


class _Draw:
    """Short names for the draws that the functions below make over and over, each `[B]` or `[B,k]`."""

    def __init__(self, rng: SampleRng) -> None:
        self.rng = rng

    def uni(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        return self.rng.uniform(1, low=low, high=high)[:, 0]

    def bell(self, mean: float, spread: float, limit: float = 2.0) -> Tensor:
        """Normal, cut off at `limit` standard deviations."""
        return mean + spread * self.rng.normal(1)[:, 0].clamp(-limit, limit)

    def flag(self, chance: float) -> Tensor:
        return (self.uni() < chance).to(torch.float32)

    def choice(self, *weights: float) -> Tensor:
        """Index of one of the weights (which sum to 1), int64."""
        edges = constant(weights, self.rng.device).cumsum(0)[:-1]
        return torch.bucketize(self.uni(), edges, right=True)

    def colour(self, saturation: float, low: float, high: float) -> Tensor:
        """`[B,3]`: any hue, saturation up to the given one, brightness in the range."""
        return hsv(self.uni(), saturation * self.uni(), self.uni(low, high))


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """`[B,3]` colours from hue, saturation and value in [0,1]."""
    corner = constant([5.0, 3.0, 1.0], hue.device)
    k = (corner + hue[:, None] * 6.0) % 6.0
    return value[:, None] * (1.0 - saturation[:, None] * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0))


def _cat(*columns: Tensor) -> Tensor:
    return torch.stack(columns, 1)


def sample_parameters(
    rng: SampleRng, identity_rng: SampleRng | None = None, *, grain: float = 1.0
) -> FaceParameters:
    """Draw one face per stream of `rng`; the streams themselves are not advanced.

    Args:
        rng: drives pose, expression, clothes, light, background and camera.
        identity_rng: drives the person; by default forked from `rng`.
        grain: multiplies the sensor noise (standard deviation up to 0.004 at 1).
    """
    person = rng.fork(_OWN_IDENTITY) if identity_rng is None else identity_rng
    identity = _identity(_Draw(person.fork(_IDENTITY)), _hair(_Draw(person.fork(_HAIR))))
    return FaceParameters(
        identity=identity,
        expression=sample_expression(rng),
        pose=sample_pose(rng),
        accessories=_accessories(_Draw(rng.fork(_WORN))),
        surroundings=_surroundings(_Draw(rng.fork(_PLACE)), grain),
    )


def sample_expression(rng: SampleRng) -> Expression:
    """An expression per stream, which are not advanced."""
    return _expression(_Draw(rng.fork(_EXPRESSION)))


def sample_pose(rng: SampleRng) -> Pose:
    """A pose per stream, which are not advanced."""
    return _pose(_Draw(rng.fork(_POSE)))


def _identity(d: _Draw, hair: Hair) -> Identity:
    pale = d.flag(0.16)
    pale_tone, other_tone = d.uni(0.0, 0.06), d.uni(0.14, 1.0)
    # Long hair and beards seldom meet, nor beards and lipstick.
    long = (hair.length > 0.7).to(torch.float32)
    beard = d.flag(0.36) * (1.0 - long * d.flag(0.9))
    makeup = (1.0 - beard) * d.flag(0.5)
    length = d.uni(0.30, 0.39)
    return Identity(
        tone=torch.where(pale > 0.5, pale_tone, other_tone),
        tone_other=torch.where(pale > 0.5, other_tone, pale_tone),
        undertone=d.bell(0.0, 0.5),
        head=_cat(
            d.uni(0.66, 0.79), d.uni(0.12, 0.36), d.uni(0.0, 0.75), d.uni(0.93, 1.07), d.uni(0.1, 0.4),
            d.uni(0.0, 1.0),
        ),
        ears=_cat(d.uni(0.72, 1.1), d.uni(0.0, 0.05)),
        eyes=_cat(
            d.uni(0.29, 0.335), d.uni(0.17, 0.205), d.uni(0.85, 1.15), d.bell(0.02, 0.05),
            d.uni(-0.04, 0.04),
        ),
        fold=d.uni(),
        iris=_cat(d.uni(), d.uni()),
        makeup=_cat(makeup * d.uni(), makeup * d.uni(0.2, 1.0)),
        brows=_cat(
            d.uni(0.195, 0.255), d.uni(0.185, 0.215), d.uni(0.053, 0.08), d.uni(0.0, 0.06),
            d.bell(0.0, 0.08),
        ),
        nose=_cat(length, d.uni(0.125, 0.195), d.uni(0.5, 1.2), d.uni(0.5, 1.3)),
        mouth=_cat(
            d.uni(0.56, 0.62), d.uni(0.235, 0.3), d.uni(0.055, 0.095), d.uni(0.075, 0.125), d.uni(),
        ),
        lips=_cat(d.uni(), d.uni()),
        age=d.uni() ** 2.2,
        blush=d.uni(),
        freckles=d.flag(0.15) * d.uni(0.4, 1.0),
        beard=beard,
        beard_style=_cat(d.uni(0.45, 1.0), d.flag(0.65) * d.uni(0.35, 1.0), d.flag(0.5) * d.uni(0.3, 1.0)),
        asymmetry=_cat(d.bell(0.0, 0.5), d.bell(0.0, 0.5), d.bell(0.0, 0.5), d.bell(0.0, 0.5)),
        hair=hair,
    )  # fmt: skip


def _hair(d: _Draw) -> Hair:
    colour = d.choice(0.30, 0.27, 0.30, 0.13)
    # 0 cropped, 1 short, 2 to the ears, 3 to the chin, 4 long, 5 tied up, 6 a round mane
    style = d.choice(0.11, 0.22, 0.10, 0.15, 0.27, 0.08, 0.07)
    low = constant([-0.02, 0.05, 0.30, 0.72, 1.15, 0.08, 0.55], colour.device)[style]
    high = constant([0.12, 0.24, 0.55, 1.10, 2.10, 0.20, 0.85], colour.device)[style]
    top = constant([0.05, 0.12, 0.13, 0.12, 0.11, 0.07, 0.28], colour.device)[style]
    side = constant([0.06, 0.085, 0.12, 0.14, 0.13, 0.06, 0.30], colour.device)[style]
    mane = (style == 6).to(torch.float32)
    curl = torch.maximum(d.flag(0.22) * d.uni(0.3, 1.0), mane * d.uni(0.7, 1.0))
    receding = d.flag(0.13) * (style <= 1).to(torch.float32)
    bangs = d.flag(0.34)
    tied = (style == 5).to(torch.float32)
    return Hair(
        colour=colour,
        shade=_cat(d.uni(), d.uni()),
        brow_colour=colour.clone(),
        length=low + (high - low) * d.uni(),
        top=top * d.uni(0.7, 1.5) * (1.0 - 0.6 * receding),
        side=side * d.uni(0.8, 1.35),
        flare=d.uni(-0.08, 0.22),
        hairline=d.uni(-0.64, -0.5) - receding * d.uni(0.08, 0.26),
        temples=d.uni(0.0, 0.12) + receding * d.uni(0.0, 0.12),
        part=d.rng.sign(1)[:, 0] * d.uni(0.0, 0.38),
        cover=d.uni(0.80, 0.99),
        front_open=d.uni() * d.flag(0.75),
        bangs=bangs * (1.0 - receding),
        bangs_drop=d.uni(-0.36, -0.22),
        bangs_tilt=d.flag(0.6) * d.rng.sign(1)[:, 0] * d.uni(0.2, 0.6),
        wave=d.uni() ** 1.3,
        curl=curl,
        bun=_cat(tied, d.bell(0.0, 0.14), d.uni(0.24, 0.36)),
        strands=d.uni(0.5, 1.0),
        noise=d.rng.uniform(2, 32, 32, low=-1.0, high=1.0),
    )


def _expression(d: _Draw) -> Expression:
    smiling, opened = d.flag(0.5) > 0.5, d.flag(0.35) > 0.5
    smile = _cat(d.uni(0.75, 1.0), d.uni(0.2, 0.7))
    rest = _cat(d.uni(0.0, 0.12), d.uni(0.0, 0.15))
    open_mouth = _cat(d.uni(0.55, 1.0), d.uni(0.12, 0.8))
    closed = _cat(d.uni(0.0, 0.1), d.uni(0.0, 0.06))
    au = {name: d.flag(0.14) * d.uni(0.2, 0.9) for name in ACTION_UNITS}
    au["AU45"] = d.flag(0.05) * d.uni(0.3, 1.0)
    au["AU09"] = au["AU09"] * d.flag(0.4)
    au["AU12"] = torch.where(smiling, smile[:, 0], rest[:, 0])
    au["AU06"] = torch.where(smiling, smile[:, 1], rest[:, 1])
    au["AU15"] = torch.where(smiling, torch.zeros_like(au["AU15"]), au["AU15"])
    # A smile shows teeth, but not so much that the mouth counts as open.
    parted = torch.where(smiling, d.uni(0.4, 0.52), closed[:, 0])
    au["AU25"] = torch.where(opened, open_mouth[:, 0], parted)
    au["AU26"] = torch.where(opened, open_mouth[:, 1], closed[:, 1])
    assert set(au) == set(AU_INDEX)
    return Expression(
        action_units=torch.stack([au[name] for name in ACTION_UNITS], 1),
        gaze=_cat(d.bell(0.0, 0.4), d.bell(0.0, 0.3)),
    )


def _pose(d: _Draw) -> Pose:
    return Pose(
        roll=d.bell(0.0, 0.07),
        yaw=d.bell(0.0, 0.12),
        pitch=d.bell(0.0, 0.06),
        scale=d.uni(0.77, 0.85),
        offset=_cat(d.bell(0.0, 0.03), d.bell(-0.01, 0.025)),
        lean=_cat(d.bell(0.0, 0.07), d.uni(0.2, 0.5)),
    )


def _accessories(d: _Draw) -> Accessories:
    sombre = d.flag(0.5)[:, None]
    cloth = torch.stack([d.colour(0.8, 0.12, 0.9), d.colour(0.6, 0.3, 1.0)], 1)
    muted = torch.stack([d.colour(0.4, 0.06, 0.3), d.colour(0.15, 0.75, 0.98)], 1)
    dark = d.flag(0.62)[:, None]
    frame = dark * d.colour(0.5, 0.04, 0.2) + (1.0 - dark) * d.colour(0.7, 0.35, 0.8)
    hat = torch.stack([d.colour(0.75, 0.12, 0.85), d.colour(0.6, 0.1, 0.95)], 1)
    gold = d.flag(0.6)[:, None]
    light = constant([[0.93, 0.76, 0.36], [0.88, 0.89, 0.93]], cloth.device)
    return Accessories(
        glasses=d.flag(0.35),
        glasses_shape=_cat(
            d.uni(0.215, 0.255), d.uni(0.145, 0.2), d.uni(), d.uni(0.026, 0.055), 0.1 + 0.4 * d.uni() ** 2,
            d.uni(-0.1, 0.25),
        ),
        glasses_colour=frame,
        hat=d.flag(0.15),
        hat_kind=d.choice(0.4, 0.3, 0.3),
        hat_shape=_cat(d.uni(), d.uni(-0.5, -0.41), d.uni(), d.bell(0.0, 0.08)),
        hat_colour=hat,
        earrings=d.flag(0.22),
        earring_shape=_cat(d.uni(), d.uni(0.05, 0.09)),
        necklace=d.flag(0.15),
        jewel_colour=gold * light[0] + (1.0 - gold) * light[1],
        neckline=_cat(d.uni(0.05, 0.42), d.uni(), d.uni(0.44, 0.6)),
        cloth_kind=d.choice(0.34, 0.13, 0.13, 0.1, 0.2, 0.1),
        cloth_colour=sombre[:, None] * muted + (1.0 - sombre[:, None]) * cloth,
        cloth_scale=_cat(d.uni(2.5, 6.0), d.uni()),
    )  # fmt: skip


def _surroundings(d: _Draw, grain: float) -> Surroundings:
    side, above = d.bell(0.0, 0.45, 1.6), d.uni(0.05, 0.75)
    norm = torch.sqrt(side * side + above * above + 0.64)
    hue = d.uni()
    palette = torch.stack(
        [
            hsv((hue + d.bell(0.0, 0.06)) % 1.0, d.uni(0.0, 0.65) ** 1.5, d.uni(0.25, 0.95)),
            hsv((hue + d.bell(0.0, 0.08)) % 1.0, d.uni(0.0, 0.65) ** 1.5, d.uni(0.08, 0.85)),
            hsv(d.uni(), d.uni(0.0, 0.7) ** 1.4, d.uni(0.3, 1.0)),
        ],
        1,
    )
    return Surroundings(
        light=_cat(side / norm, -above / norm, 0.8 / norm),
        key=d.uni(0.5, 0.8),
        fill=d.uni(0.22, 0.38),
        warmth=d.bell(0.15, 0.4),
        tint=1.0 + 0.045 * d.rng.uniform(3, low=-1.0, high=1.0),
        kind=d.choice(0.26, 0.22, 0.15, 0.13, 0.12, 0.06, 0.06),
        palette=palette,
        clouds=d.rng.uniform(3, 6, 6, low=-1.0, high=1.0),
        shapes=d.rng.uniform(7, 7),
        pattern=d.rng.uniform(4),
        exposure=d.uni(0.9, 1.1),
        vignette=d.uni(0.0, 0.28),
        blur=d.uni(0.0, 0.5) * d.flag(0.6),
        grain=grain * d.uni(0.0005, 0.004),
        grain_key=d.rng.bits(1)[:, 0],
    )
