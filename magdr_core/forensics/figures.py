"""Every figure of a forensic model: what is told of fakes beside their reals, and of reals alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from magdr_core.components.figure import Figure, Threshold
from magdr_core.forensics.localization import KNOWN
from magdr_core.forensics.scenarios import RESTORED
from magdr_core.results.cell import ATTACK

ROLE = "forensic"

_SMALL = Threshold(0.01)
_SHARE = Threshold(0.02)

_HERE = "magdr_core.forensics.statistics"
_RANKED = ("score", "real_score")


def _verdicts() -> Iterator[Figure]:
    """Of forged pictures and the real ones that they were made of."""

    def figure(name: str, summary: str, **more: object) -> Figure:
        told = {"needs": _RANKED, "threshold": _SMALL, **more}
        return Figure(name=name, role=ROLE, summary=summary, **told)  # type: ignore[arg-type]

    yield figure("auc", "fakes against their own reals", statistic="auroc")
    yield figure("ap", "average precision, as many reals as fakes", statistic=f"{_HERE}:AVERAGE_PRECISION")
    yield figure(
        "eer",
        "equal error rate: reals flagged as often as fakes missed",
        better="lower",
        statistic=f"{_HERE}:EQUAL_ERROR_RATE",
    )
    yield figure(
        "accuracy",
        "share of fakes and reals judged rightly at the threshold that calibration reals set",
        needs=("flagged", "real_flagged"),
        statistic="accuracy",
        threshold=_SHARE,
    )
    yield figure("tpr", "share of fakes flagged", needs=("flagged",), statistic="share", threshold=_SHARE)
    yield figure(
        "clip_auc",
        "clips by the mean score of their frames, forged against real ones",
        needs=("clip_score", "real_clip_score", "clip_weight"),
        statistic=f"{_HERE}:CLIP_AUC",
    )
    yield figure(
        "auc_change",
        "auc after a quality, an evasion or a restoration minus before, of the same faces",
        needs=(*_RANKED, "score_before", "real_score_before"),
        statistic=f"{_HERE}:AUC_CHANGE",
    )
    yield figure(
        "tpr_change",
        "tpr after a quality, an evasion or a restoration minus before, of the same faces",
        needs=("flagged", "flagged_before"),
        statistic=f"{_HERE}:SHARE_CHANGE",
        threshold=_SHARE,
    )
    yield figure(
        "auc_untouched",
        "restored fakes against their own reals as those were before",
        needs=("score", "real_score_before"),
        statistic="auroc",
        on=(RESTORED,),
    )


def _masks() -> Iterator[Figure]:
    """Of fakes alone: of a real picture, overlap is nought of nought."""
    for name, summary in (
        ("iou", "overlap of the located with the forged pixels at 1/2: share of their union"),
        ("pixel_f1", "F1 of the forged pixels at 1/2"),
        ("pixel_auc", "forged pixels against the picture's others"),
        ("pbca", "share of pixels judged rightly at 1/2; an empty mask has much of it"),
    ):
        yield Figure(
            name=name,
            role=ROLE,
            needs=(name, KNOWN),
            statistic=f"{_HERE}:MASKED_MEAN",
            threshold=_SMALL,
            summary=f"{summary}; mean over fakes whose masks are known",
        )


def _reals() -> Iterator[Figure]:
    """Of reals alone, untouched, edited or attacked."""

    def alarm(name: str, needs: str, summary: str, statistic: str = "share") -> Figure:
        return Figure(
            name=name,
            role=ROLE,
            better="lower",
            needs=(needs,),
            statistic=statistic,
            threshold=_SHARE,
            summary=summary,
        )

    yield alarm("false_alarms", "alarm", "share of reals flagged at the threshold that calibration reals set")
    yield replace(
        alarm("false_alarms_change", "alarm", "false_alarms of these reals minus those of what they were"),
        needs=("alarm", "alarm_before"),
        statistic=f"{_HERE}:SHARE_CHANGE",
    )
    yield replace(
        alarm(
            "alarms_over_noise", "alarm", "false_alarms of attacked reals minus those at noise of the bound"
        ),
        needs=("alarm", "noise:alarm"),
        statistic=f"{_HERE}:SHARE_CHANGE",
        on=(ATTACK,),
    )
    yield alarm("flagged_pixels", "alarm_pixels", "share of a real picture's pixels located", "mean")
    yield alarm("located_reals", "alarm_region", "share of reals with more than 1% of their pixels located")
    edited = Figure(
        name="auc_edited",
        role=ROLE,
        better="neither",
        needs=("edited_score", "untouched_score"),
        statistic="auroc",
        threshold=_SMALL,
        summary="edited, attacked or restored reals against the same ones untouched; 0.5: not told apart",
    )
    yield edited
    yield replace(
        edited,
        name="auc_noise",
        needs=("edited_score", "noise:edited_score"),
        on=(ATTACK,),
        summary="attacked reals against the same ones at noise as strong; 0.5: any noise does as much",
    )


FIGURES = (*_verdicts(), *_masks(), *_reals())
