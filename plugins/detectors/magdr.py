"""MagDR's detector as a plugin: distortion, consistency or both, calibrated or as printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from magdr_core.api import DetectorSpec, Field, ImageMap, MagDRDetector, Metric, Need, Parser, hookimpl

MAGDR_API = 1


def magdr(
    *,
    parser: Parser,
    criteria: Sequence[Metric],
    augmentations: Sequence[ImageMap],
    form: Literal["learned", "one-sided", "per-edit", "standardised", "literal"] = "learned",
    evidence: Literal["both", "distortion", "consistency"] = "both",
    distortion_weight: Annotated[float, Field(ge=0, le=100)] = 1.0,
    leave_out: tuple[str, ...] = (),
    consistency_over: Literal["image", "target", "both"] = "image",
    oracle: bool = False,
) -> MagDRDetector:
    """What G changes outside the target (distortion) and how unstable its output is (consistency)."""
    return MagDRDetector(
        parser,
        criteria,
        augmentations,
        form=form,
        evidence=evidence,
        distortion_weight=distortion_weight,
        leave_out=leave_out,
        consistency_over=consistency_over,
        oracle=oracle,
    )


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="magdr",
            build=magdr,
            cite="Chen et al., MagDR, CVPR 2021, Eq. 4-7 and 9",
            gradient="straight-through",  # JPEG among the f_k rounds; counted votes have none, and say so
            needs={
                "parser": Need("parser"),
                "criteria": Need("metric", depth=1),
                "augmentations": Need("augmentation", depth=1),
            },
        )
    ]
