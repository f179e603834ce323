"""Figures of defenses: inputs (I) and outputs (O) beside the clean ones, and what is left of attacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from magdr_core.components.figure import ADJUSTED_P, SQUARED_LEVELS, Figure, Threshold
from magdr_core.measures.derived_figures import (
    NOT_ATTACKED,
    SHARE,
    SMALL,
    SQUARED,
    forwards,
    inside,
    successful,
    with_median,
)

_of_defenses = partial(Figure, role="defense")

_SQUARED_ERROR = _of_defenses(
    name="mse",
    unit=SQUARED_LEVELS,
    better="lower",
    digits=1,
    threshold=SQUARED,
    summary="mean squared error",
)

_PSNR = _of_defenses(
    name="psnr",
    unit="dB",
    digits=2,
    threshold=Threshold(0.5),
    summary="PSNR of each image, at most 100 for equal ones",
)

_BOTH_SIDES = (
    _SQUARED_ERROR,
    _of_defenses(name="ssim", threshold=SMALL, summary="structural similarity"),
    _PSNR,
    _of_defenses(name="fsim", threshold=SMALL, summary="feature similarity (phase congruency and gradients)"),
    _of_defenses(name="featsim", threshold=SMALL, summary="cosine of the face parser's pooled deep features"),
)
"""Of inputs and of outputs: `mse_i` and `mse_o`, and so on."""


def defense_figures() -> Iterator[Figure]:
    """In the order of tables."""
    for side in "io":
        yield from _of_side(side)
    yield from with_median(
        _of_defenses(
            name="identity_o",
            threshold=SMALL,
            needs=("identity_o",),
            summary="cosine of who the output and the clean output show, to the most lenient encoder",
        )
    )
    error = replace(_SQUARED_ERROR, name="mse_o", needs=("mse_o",))
    yield from with_median(inside(error))
    yield replace(successful(error), modes=False, off=NOT_ATTACKED)
    yield from _under_attacks_that_know()
    yield from _beside_the_best_baseline()
    yield forwards("defense")


def _of_side(side: str) -> Iterator[Figure]:
    for figure in _BOTH_SIDES:
        name = f"{figure.name}_{side}"
        yield from with_median(replace(figure, name=name, needs=(name,)))
    yield replace(
        _PSNR,
        name=f"psnr_pooled_{side}",
        needs=(f"mse_{side}",),
        statistic="psnr_pooled",
        summary="PSNR of the pooled error; the mean of the images' own is another figure",
    )
    yield replace(
        _SQUARED_ERROR,
        name=f"l2_table2_{side}",
        unit="levels times 4.433",
        needs=(f"mse_{side}",),
        statistic="l2_table2",
        summary="4.433 times the root of the pooled error: the unit of the paper's Table 2",
    )


def _under_attacks_that_know() -> Iterator[Figure]:
    # Those two of defenses behind a detector, under attacks that know both.
    yield from with_median(
        _of_defenses(
            name="flagged",
            threshold=SHARE,
            needs=("flagged",),
            statistic="share",
            summary="share of images that the detector before the defense flags",
        ),
        replace(
            _SQUARED_ERROR,
            name="undetected_mse_o",
            needs=("undetected_mse_o",),
            summary="output error of what that detector lets pass; flagged images count as 0",
        ),
    )
    kept = partial(_of_defenses, better="lower", threshold=SHARE, modes=False)
    yield kept(
        name="kept",
        statistic="kept",
        needs=("mse_o", "strongest/disruption"),
        summary="output error under an attack that knows all, as a share of the strongest undefended one",
    )
    yield kept(
        name="kept_targeted",
        statistic="kept_targeted",
        needs=("targeted/progress", "strongest/progress"),
        summary="the same of how much nearer outputs come to a target: the attack's own, or the input",
    )


def _beside_the_best_baseline() -> Iterator[Figure]:
    needs = ("mse_o", "baseline:mse_o")
    yield replace(
        _SQUARED_ERROR,
        name="mse_o_difference",
        needs=needs,
        statistic="mean_difference",
        summary="paired difference to the best baseline of the same table; below 0 is better",
    )
    yield _of_defenses(
        name="mse_o_difference_p",
        better="neither",
        threshold=SMALL,
        needs=needs,
        statistic=ADJUSTED_P,
        summary="p of a sign-flip test of that difference, Holm-adjusted over the table",
    )
