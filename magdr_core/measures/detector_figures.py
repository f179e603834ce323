"""Figures of detectors: decisions at an operating point, rankings, and what gets past them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from magdr_core.components.figure import DISRUPTION, Figure
from magdr_core.measures.derived_figures import (
    LET_PASS,
    NOT_ATTACKED,
    REFERENCES,
    SHARE,
    SMALL,
    forwards,
    successful,
)

SCORES = ("score", "clean:score")
FLAGS = ("flagged", "clean:flagged")

_of_detectors = partial(Figure, role="detector")
_share = partial(_of_detectors, threshold=SHARE)


def decision_figures() -> Iterator[Figure]:
    """Of attacked and clean images at an operating point."""

    def decision(name: str, summary: str) -> Figure:
        return _share(
            name=name,
            needs=FLAGS,
            statistic=name,
            summary=summary,
            points=True,
            modes=False,
            off=NOT_ATTACKED,
        )

    yield decision("precision", "share of what is flagged that was attacked")
    recall = decision("recall", "share of attacked images that are flagged")
    yield replace(recall, needs=("flagged",), statistic="share", modes=True)
    f1 = decision("f1", "harmonic mean of precision and recall")
    yield f1
    yield successful(f1)
    for name in ("precision_weighted", "recall_weighted", "f1_weighted"):
        yield decision(name, "of both classes, weighted by their sizes")
    yield decision("accuracy", "share of attacked and clean images that are judged rightly")


def detector_figures() -> Iterator[Figure]:
    """All others, in the order of tables."""
    yield from _rankings()
    yield from _false_alarms()
    yield from _undetected()
    yield replace(forwards("detector"), off=REFERENCES)


def _rankings() -> Iterator[Figure]:
    ranked = _of_detectors(
        name="auroc",
        threshold=SMALL,
        needs=SCORES,
        statistic="auroc",
        summary="attacked images against clean ones",
        modes=False,
        off=NOT_ATTACKED,
    )
    yield ranked
    yield replace(
        ranked,
        name="auroc_noise",
        needs=("score", "noise:score"),
        summary="attacked images against random noise of the same bound",
    )
    yield replace(
        ranked,
        name="auroc_noise_l2",
        needs=("score", "noise-l2:score"),
        summary="attacked images against random noise with the L2 norm of their perturbations",
    )
    yield successful(ranked)
    for percent in (1, 5):
        name, summary = f"tpr_at_{percent}fpr", f"share found at {percent}% false alarms of the run's own"
        yield replace(ranked, name=name, threshold=SHARE, statistic=name, summary=summary)
    yield replace(
        ranked,
        name="f1_of_all",
        better="neither",
        threshold=SHARE,
        statistic="f1_of_all",
        summary="F1 of flagging every image, attacked or clean; an F1 that is no higher says nothing",
    )


def _false_alarms() -> Iterator[Figure]:
    alarms = _of_detectors(
        name="fpr_clean",
        better="lower",
        threshold=SMALL,
        needs=("flagged",),
        statistic="share",
        summary="share of clean images over the threshold",
        points=True,
        modes=False,
        on=("clean",),
    )
    yield alarms
    yield replace(
        alarms,
        name="fpr_benign",
        summary="share of clean images over the threshold after a harmless edit",
        points=False,
        on=("benign",),
    )


def _undetected() -> Iterator[Figure]:
    """Of attacks that know the detector."""
    disruption = partial(_of_detectors, unit=DISRUPTION, digits=4, threshold=LET_PASS)
    yield disruption(
        name="mse_o",
        better="neither",
        needs=("disruption",),
        summary="disruption by an attack that knows the detector, flagged or not",
    )
    yield disruption(
        name="mse_o_undetected",
        better="lower",
        needs=("disruption", "flagged"),
        statistic="mean_undetected",
        summary="disruption that gets past the detector; flagged images count as 0",
    )
    yield _share(
        name="success_undetected",
        better="lower",
        needs=("disruption", "flagged"),
        statistic="success_undetected",
        summary="share of images that are over .05 and not flagged",
    )
    kept = partial(_share, better="lower", statistic="kept_at_95_evasion", modes=False)
    yield kept(
        name="kept_at_95_evasion",
        needs=("disruption", "flagged", "strongest/disruption", "clean:flagged"),
        summary="disruption that evades 95% of the time, as a share of the strongest undefended one",
    )
    yield kept(
        name="kept_targeted",
        needs=("targeted/progress", "targeted/flagged", "strongest/progress", "clean:flagged"),
        summary="the same of how much nearer outputs come to a target: the attack's own, or the input",
    )
