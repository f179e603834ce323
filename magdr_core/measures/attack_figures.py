"""Figures of attacks. An attack that disrupts more is the better attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from magdr_core.components.figure import DISRUPTION, Figure, Threshold
from magdr_core.measures.derived_figures import DISRUPTS, SHARE, SMALL, inside, with_median

_share = partial(Figure, role="attack", threshold=SHARE)


def attack_figures() -> Iterator[Figure]:
    """In the order of tables."""
    error = Figure(
        name="mse_o",
        role="attack",
        unit=DISRUPTION,
        digits=4,
        threshold=DISRUPTS,
        needs=("mse_o",),
        summary="mean squared error of the output on the attacked image and on the clean one",
    )
    yield from with_median(error, inside(error))
    yield _share(
        name="success",
        needs=("success",),
        statistic="share",
        summary="share of images over .05, or, of a targeted attack, less than half as far from its target",
    )
    yield from with_median(
        replace(
            error,
            name="mse_o_changed",
            needs=("mse_o_changed",),
            summary="the same over the pixels that the clean edit changes; 0 where it changes none",
        )
    )
    over = partial(_share, statistic="success")
    yield over(
        name="success_target",
        needs=("mse_o_target",),
        summary="share of images over .05 inside the region that is edited",
    )
    yield over(
        name="success_changed",
        needs=("mse_o_changed",),
        summary="share of images over .05 over the pixels that the clean edit changes (CMUA's rule)",
    )
    yield from with_median(
        Figure(
            name="identity_o",
            role="attack",
            better="lower",
            threshold=SMALL,
            needs=("identity_o",),
            summary="cosine of who the outputs on the attacked and on the clean image show, to the most "
            "lenient encoder",
        )
    )
    yield _share(
        name="success_identity",
        needs=("success_identity",),
        statistic="share",
        summary="share of images whose output shows somebody else than the clean output, to every encoder",
    )
    yield Figure(
        name="psnr_i",
        role="attack",
        unit="dB",
        digits=2,
        threshold=Threshold(0.5),
        needs=("psnr_i",),
        summary="PSNR of the attacked image, at most 100: what the attack is seen by",
    )
    yield replace(
        error,
        name="mse_aim",
        better="lower",
        needs=("mse_aim",),
        summary="of a targeted attack: mean squared error of the output and the image that it aims at",
    )
    yield from _behind_channels()


def _behind_channels() -> Iterator[Figure]:
    """As shares of the output's error without the channel."""
    part = partial(_share, statistic="ratio")
    yield part(
        name="disruption_kept",
        needs=("mse_o", "direct:mse_o"),
        summary="output error behind a channel, as a share of that without it, the channel's own included",
    )
    yield part(
        name="perturbation_kept",
        needs=("mse_o_perturbation", "direct:mse_o"),
        summary="output error behind a channel against clean pictures behind it, in the same share",
    )
    yield part(
        name="disruption_of_channel",
        better="neither",
        needs=("mse_o_channel", "direct:mse_o"),
        summary="what the channel does to the output on clean pictures by itself, in the same share",
    )
